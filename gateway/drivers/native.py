"""The native protocol: JSON over MQTT 3.1.1, QoS 1; see docs/asyncapi.yaml.

A device's name is the topic's, which the broker's access rules keep to that device alone.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from gateway.drivers import Address, DeviceSign, DoorEvent, DriverContext, Message, Reading, Rejected
from gateway.drivers.commands import Command, HoldDoor, KeepCards, OpenDoor
from gateway.messages import (
    PAYLOAD_BYTES_MAX,
    TEMPLATE_BYTES,
    VERSION,
    AnswerItem,
    AnswerMessage,
    CardMessage,
    Credential,
    FaceMessage,
    PinMessage,
    QrMessage,
    StatusMessage,
    VisitorMessage,
    readable_id,
    readable_version,
)

VISITOR_QR = "SEV1:"
OPEN_COMMAND_MS = 5_000  # after the device has received it, an opening is worth nothing any more
ITEMS_MAX = 200  # answers or confirmations in one message
NORM_MAX = 10.0  # templates are about 1.4 long; far beyond that, products of float32 overflow
_TOPICS_KEPT_MAX = 20_000
# A device without a clock says 1970. Times outside are no clock's, and some are not even a date in UTC.
_AT_S_MAX = 4_102_444_800.0  # 2100
_FLOATS = struct.Struct("<128f")
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


class NativeDriver:
    """Reads and writes the native protocol under one topic root."""

    name = "native"

    def __init__(self, root: str) -> None:
        self._root = root
        self._prefix = root + "/"
        self._events = msgspec.json.Decoder(
            FaceMessage | CardMessage | PinMessage | QrMessage | VisitorMessage
        )
        self._signs = msgspec.json.Decoder(StatusMessage)
        self._encode = msgspec.json.Encoder().encode
        self._places: dict[str, tuple[Address, str] | None] = {}

    @classmethod
    def make(cls, context: DriverContext) -> NativeDriver:
        """With the topic root of the configuration."""
        return cls(context.root)

    def owns(self, topic: str) -> bool:
        """Whether a topic is under our root."""
        return topic.startswith(self._prefix)

    def filters(self, estates: Iterable[str]) -> list[str]:
        """Each estate's events and status messages."""
        return [f"{self._root}/{estate}/+/{way}" for estate in estates for way in ("event", "status")]

    def read(self, topic: str, payload: bytes) -> Reading:
        """One message of a door."""
        place = self._places.get(topic) or self._place(topic)
        if place is None:
            return Rejected(None, "unknown_topic", len(payload))
        address, way = place
        if len(payload) > PAYLOAD_BYTES_MAX:
            return Rejected(address, "oversize", len(payload), readable_id(payload))
        try:
            if way == "event":
                return self._event(address, payload)
            sign = self._signs.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError, ValueError):
            return _unreadable(address, payload)
        alive = sign.state != "offline"
        at_s = _seconds(sign.at) if alive and sign.at is not None else None
        return DeviceSign(address, alive, at_s, sign.contact, sign.battery_percent, sign.fire)

    def write(
        self, address: Address, answers: Sequence[AnswerItem], recorded: Sequence[str]
    ) -> list[Message]:
        """One answer message, or several where there is much to say."""
        topic = f"{self._root}/{address.estate}/{address.device}/answer"
        return [
            (
                topic,
                self._encode(
                    AnswerMessage(list(answers[at : at + ITEMS_MAX]), list(recorded[at : at + ITEMS_MAX]))
                ),
            )
            for at in range(0, max(len(answers), len(recorded)), ITEMS_MAX)
        ]

    def command(self, address: Address, command: Command) -> list[Message]:
        """One command message; none for what only panels have."""
        content = _command(command)
        if content is None:
            return []
        topic = f"{self._root}/{address.estate}/{address.device}/command"
        return [(topic, self._encode({"v": VERSION, "id": command.message_id} | content))]

    def opening_id(self, event_id: str) -> str | None:  # noqa: ARG002
        """Native devices acknowledge no opening."""
        return None

    def _event(self, address: Address, payload: bytes) -> Reading:
        message = self._events.decode(payload)
        at_s = _seconds(message.at)
        if at_s is None:
            return Rejected(address, "time_out_of_range", len(payload), message.id)
        if isinstance(message, FaceMessage):
            return _face(address, message, at_s, len(payload))
        if isinstance(message, CardMessage):
            return DoorEvent(
                address, message.id, at_s, "card", message.track, message.resent, card=message.card
            )
        kind, code = _code(message)
        return DoorEvent(address, message.id, at_s, kind, message.track, message.resent, code=code)

    def _place(self, topic: str) -> tuple[Address, str] | None:
        parts = topic.removeprefix(self._prefix).split("/") if topic.startswith(self._prefix) else []
        if len(parts) != 3 or not parts[0] or not parts[1] or parts[2] not in ("event", "status"):
            return None
        if len(self._places) >= _TOPICS_KEPT_MAX:
            self._places.clear()
        place = self._places[topic] = (Address(parts[0], parts[1]), parts[2])
        return place


def _face(address: Address, message: FaceMessage, at_s: float, size_bytes: int) -> Reading:
    templates: list[bytes] = []
    images: list[bytes] = []
    for frame in message.frames:
        template, image = frame.template, frame.image
        if template is not None and image is None:
            # The length of the vector also tells whether any of its 128 is not a number.
            if len(template) != TEMPLATE_BYTES or not 0 < math.hypot(*_FLOATS.unpack(template)) < NORM_MAX:
                return Rejected(address, "template_malformed", size_bytes, message.id)
            templates.append(template)
        elif image is not None and template is None:
            if not image.startswith(_IMAGE_STARTS):
                return Rejected(address, "image_format_unknown", size_bytes, message.id)
            images.append(image)
        else:
            return Rejected(address, "frame_not_one_of_template_and_image", size_bytes, message.id)
    return DoorEvent(
        address,
        message.id,
        at_s,
        "face",
        message.track,
        message.resent,
        tuple(templates),
        tuple(images),
        message.liveness,
        last=message.last,
    )


def _code(message: PinMessage | QrMessage | VisitorMessage) -> tuple[Credential, str]:
    if isinstance(message, PinMessage):
        return "pin", message.pin
    if isinstance(message, VisitorMessage):
        return "visitor", message.code
    # A visitor's QR code is the visitor's code, with a mark before it.
    kind: Credential = "visitor" if message.code.startswith(VISITOR_QR) else "qr"
    return kind, message.code.removeprefix(VISITOR_QR)


def _command(command: Command) -> dict[str, object] | None:
    if isinstance(command, OpenDoor):
        return {"command": "open", "within_ms": OPEN_COMMAND_MS}
    if isinstance(command, HoldDoor):
        return {"command": "hold", "state": command.state}
    if isinstance(command, KeepCards):
        return {
            "command": "cards",
            "from": _rfc3339(command.from_s),
            "until": _rfc3339(command.until_s),
            "part": command.part,
            "parts": command.parts,
            "references": command.references,
        }
    return None


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(at: datetime) -> float | None:
    seconds = at.timestamp()
    return seconds if 0 <= seconds < _AT_S_MAX else None


def _unreadable(address: Address, payload: bytes) -> Rejected:
    version = readable_version(payload)
    reason = "unknown_version" if version not in (None, VERSION) else "unreadable"
    return Rejected(address, reason, len(payload), readable_id(payload))
