"""The native protocol's wire schema: what a door sends, and what the gateway sends back (version 1).

`docs/asyncapi.yaml` describes the same for other programs; `tests/contracts/native` has samples of both
kinds, good and bad, that hold the two together.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

VERSION = 1
PAYLOAD_BYTES_MAX = 2 << 20
TEMPLATE_BYTES = 128 * 4  # 128 little-endian float32
FRAMES_MAX = 8

# No control characters: an id with a NUL in it would be cut short on its way to the disk.
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[^\x00-\x1f\x7f]+\Z")]
UtcTime: TypeAlias = Annotated[datetime, Meta(tz=True)]
Outcome: TypeAlias = Literal["open", "deny", "ask", "none"]
# panel: matched by the device itself; remote: opened by a guard's command
Credential: TypeAlias = Literal["face", "card", "pin", "qr", "visitor", "panel", "remote"]
Liveness: TypeAlias = Literal["live", "spoof"]


class Frame(Struct, frozen=True):
    """One frame of a passage: a template, or the image it is to be made from; never both."""

    template: bytes | None = None
    image: bytes | None = None


class FaceMessage(Struct, frozen=True, tag_field="kind", tag="face"):
    """A face stood before the door; the frames are of one passage and are fused."""

    v: Literal[1]
    id: Name
    at: UtcTime
    frames: Annotated[list[Frame], Meta(min_length=1, max_length=FRAMES_MAX)]
    track: Name | None = None
    resent: bool = False
    liveness: Liveness | None = None
    last: bool = False  # no frame of this passage will follow


class CardMessage(Struct, frozen=True, tag_field="kind", tag="card"):
    """A card was held to the reader."""

    v: Literal[1]
    id: Name
    at: UtcTime
    card: Name
    track: Name | None = None
    resent: bool = False


class PinMessage(Struct, frozen=True, tag_field="kind", tag="pin"):
    """A PIN was typed."""

    v: Literal[1]
    id: Name
    at: UtcTime
    pin: Annotated[str, Meta(pattern=r"\A[0-9]{4,12}\Z")]
    track: Name | None = None
    resent: bool = False


class QrMessage(Struct, frozen=True, tag_field="kind", tag="qr"):
    """A QR code was shown to the reader, a resident's or a visitor's."""

    v: Literal[1]
    id: Name
    at: UtcTime
    code: Annotated[str, Meta(pattern=r"\A[\x21-\x7e]{1,128}\Z")]
    track: Name | None = None
    resent: bool = False


class VisitorMessage(Struct, frozen=True, tag_field="kind", tag="visitor"):
    """A visitor's code was typed."""

    v: Literal[1]
    id: Name
    at: UtcTime
    code: Annotated[str, Meta(pattern=r"\A[0-9]{4,12}\Z")]
    track: Name | None = None
    resent: bool = False


class StatusMessage(Struct, frozen=True):
    """A door's sign of life, or its last will, whose `at` is not to be relied on."""

    v: Literal[1]
    state: Literal["online", "heartbeat", "offline"]
    at: UtcTime | None = None
    contact: Literal["closed", "open", "forced", "held_open"] | None = None  # of the door leaf
    battery_percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    fire: bool = False  # its fire input is on: all doors of the estate are released


class AnswerItem(Struct, frozen=True, omit_defaults=True):
    """What the door does for one event, and the words it shows."""

    id: str
    outcome: Literal["open", "deny", "ask"]
    cause: str
    zh: str
    en: str
    ask: tuple[str, ...] | None = None
    open_within_ms: int | None = None


class AnswerMessage(Struct, frozen=True):
    """Answers, and the ids of events that are on the gateway's disk and may be forgotten."""

    answers: list[AnswerItem]
    recorded: list[str]
    v: int = VERSION


class _Marks(Struct, frozen=True):
    # The little that is read of a message that could not be read.
    id: object = None
    v: object = None


_MARKS = msgspec.json.Decoder(_Marks)


def readable_id(payload: bytes) -> str | None:
    """The event id of a payload that is not one of ours, so that its sender can be confirmed to."""
    try:
        mark = _MARKS.decode(payload).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return mark if isinstance(mark, str) and 0 < len(mark) <= 64 else None


def readable_version(payload: bytes) -> object:
    """The version such a payload claims; None when it has none."""
    try:
        return _MARKS.decode(payload).v
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
