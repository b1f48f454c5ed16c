"""The `mqtt/face` panel family: JSON at QoS 0, reliable by its own acknowledgements alone.

Tolerant where real firmware is: numbers as texts, missing fields, both time forms, reversed boxes (the box
is not read at all), pictures under a wrong label or above their limit. Strict where identity is concerned:
a device is the one its topic names, a person is the one whose reference we gave. What a shared topic says
of a device is a hint.

An event's id carries the number that the device wants acknowledged, so that nothing has to be remembered
between a record and its acknowledgement: `rec-389-1758173613`, `snap-946-…`; a record without a usable
number is named by a digest of what it is.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct

from gateway.drivers import (
    Address,
    DeviceHint,
    DeviceReply,
    DoorEvent,
    DriverContext,
    Message,
    PanelVerdict,
    PersonResult,
    Reading,
    Rejected,
)
from gateway.drivers.commands import Command, HoldDoor, KeepCards
from gateway.drivers.mqtt_face_commands import UNLOCK_ID, Letter, acknowledgement, letter, opening
from gateway.messages import AnswerItem

PAYLOAD_BYTES_MAX = 6 << 20  # a picture and a scene, both beyond the manual's limits, as base64
IMAGE_BYTES_MAX = 4 << 20
CUSTOM_ID_MAX = 47
PEOPLE_MAX = 2_000  # of one page of a list
UTC_OFFSET_HOURS = 8.0  # of the panels' local time, where the configuration says nothing else

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError, ValueError)
_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2})")
_WHOLE = re.compile(r"\s*(-?\d{1,18})(?:\.0+)?\s*")
_EVENT_ID = re.compile(r"(rec|own|snap)-(\d*)-")
_REFERENCE = re.compile(r"[^\x00-\x1f\x7f]{1,47}")
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM")
_SALVAGED = {
    "Rec": re.compile(rb'"RecordID"\s*:\s*"?(\d{1,15})\b'),
    "Snap": re.compile(rb'"SnapID"\s*:\s*"?(\d{1,15})\b'),
}
_RESULTS = ("AddSucInfo", "AddErrInfo", "DelSucInfo", "DelErrInfo")
# A record of an opening by the panel itself ("own") is confirmed like any other and never opened again.
_RECORD, _OWN, _STRANGER = "rec", "own", "snap"
_LIVE = 1  # Sendintime: sent within ten seconds
_ALLOWED, _NOT_REGISTERED = 1, 3  # VerifyStatus; all others are nobody's yes
_LATEST_S = 4_102_444_800.0  # 2100; times beyond are no clock's


class _Envelope(Struct, frozen=True):
    operator: object = None
    info: msgspec.Raw = msgspec.Raw(b"{}")
    messageId: object = None  # noqa: N815 (the protocol's own name)
    code: object = None


class _Info(Struct, frozen=True):
    # Only what is used: a scene, a name, an ID-card or telephone number is never even unpacked.
    facesluiceId: object = None  # noqa: N815
    customId: object = None  # noqa: N815
    personId: object = None  # noqa: N815
    RecordID: object = None
    SnapID: object = None
    VerifyStatus: object = None
    PersonType: object = None
    Sendintime: object = None
    PushType: object = None
    time: object = None
    pic: object = None


class _Mark(Struct, frozen=True):
    facesluiceId: object = None  # noqa: N815
    time: object = None


class MqttFaceDriver:
    """Reads and writes the protocol under one topic root.

    Args:
        context: `estate_of` tells whose a device id is; options `root` (mqtt/face) and
            `utc_offset_hours` (8), as the panels' clocks have no zone.
    """

    name = "mqtt_face"

    def __init__(self, context: DriverContext) -> None:
        self._root = str(context.options.get("root", "mqtt/face"))
        self._prefix = self._root + "/"
        self._estate_of = context.estate_of
        self._zone = timezone(
            timedelta(hours=float(context.options.get("utc_offset_hours", UTC_OFFSET_HOURS)))
        )
        self._envelopes = msgspec.json.Decoder(_Envelope)
        self._infos = msgspec.json.Decoder(_Info)
        self._marks = msgspec.json.Decoder(_Mark)
        self._replies = msgspec.json.Decoder(dict[str, Any])

    @classmethod
    def make(cls, context: DriverContext) -> MqttFaceDriver:
        """For the table of drivers."""
        return cls(context)

    def filters(self, estates: Iterable[str]) -> list[str]:  # noqa: ARG002
        """Its topics name no estate; whose a device is says the roster."""
        ways = ("Rec", "Snap", "Ack", "ack")
        return [*(f"{self._root}/+/{way}" for way in ways), f"{self._root}/basic", f"{self._root}/heartbeat"]

    def owns(self, topic: str) -> bool:
        """Whether a topic is under our root."""
        return topic.startswith(self._prefix)

    def read(self, topic: str, payload: bytes) -> Reading:
        """One message of a panel, or one of the shared topics."""
        device, _, way = topic.removeprefix(self._prefix).partition("/")
        shared = topic in (self._prefix + "basic", self._prefix + "heartbeat")
        if not shared and (way not in ("Rec", "Snap", "Ack", "ack") or not device):
            return Rejected(None, "unknown_topic", len(payload))
        address = None
        if not shared:
            estate = self._estate_of(device)
            if estate is None:
                # Not confirmed: the panel keeps its records until somebody registers it.
                return Rejected(None, "unknown_device", len(payload))
            address = Address(estate, device)
        if len(payload) > PAYLOAD_BYTES_MAX:
            return Rejected(address, "oversize", len(payload), _salvaged(way, payload))
        try:
            envelope = self._envelopes.decode(payload)
            if address is None:
                return self._shared(envelope, len(payload))
            return self._own(address, way, envelope, len(payload))
        except _UNREADABLE:
            return Rejected(address, "unreadable", len(payload), _salvaged(way, payload))

    def write(
        self, address: Address, answers: Sequence[AnswerItem], recorded: Sequence[str]
    ) -> list[Message]:
        """An opening for each yes, and an acknowledgement for each record; a no is shown by no command."""
        letters = [
            opening(answer.id, answer.zh)
            for answer in answers
            if answer.outcome == "open" and self.opening_id(answer.id) is not None
        ]
        for event_id in recorded:
            found = _EVENT_ID.match(event_id)
            if found is not None and found[2]:
                letters.append(acknowledgement(event_id, found[1] != _STRANGER, int(found[2])))
        return [self._message(address, one) for one in letters]

    def command(self, address: Address, command: Command) -> list[Message]:
        """All but those for a lock that can be held and for a list of cards, which this family has not."""
        if isinstance(command, HoldDoor | KeepCards):
            return []
        return [self._message(address, letter(address.device, command, self._zone))]

    def opening_id(self, event_id: str) -> str | None:
        """None where the panel has opened by itself: it is not told to."""
        return None if event_id.startswith(_OWN) else UNLOCK_ID + event_id

    # -- the device's own topics ----------------------------------------------------------------

    def _own(self, address: Address, way: str, envelope: _Envelope, size_bytes: int) -> Reading:
        if way in ("Ack", "ack"):
            return self._reply(address, envelope, size_bytes)
        info = self._infos.decode(envelope.info)
        operator = envelope.operator
        kind = _STRANGER if way == "Snap" else _OWN if _whole(info.VerifyStatus) == _ALLOWED else _RECORD
        number = _number(info.SnapID if kind == _STRANGER else info.RecordID)
        at_s = self._seconds(info.time)
        event_id = _event_id(kind, number, at_s, info, bytes(envelope.info))
        fault = _fault(address, info.facesluiceId)
        if fault is None and operator != ("StrSnapPush" if kind == _STRANGER else "RecPush"):
            fault = "unknown_operator"
        if fault is None and at_s is None:
            fault = "time_unreadable"
        if fault is not None or at_s is None:
            return Rejected(address, fault or "unreadable", size_bytes, event_id)
        if kind == _STRANGER:
            return self._stranger(address, event_id, at_s, info, size_bytes)
        return _record(address, event_id, at_s, info, size_bytes)

    def _stranger(
        self, address: Address, event_id: str, at_s: float, info: _Info, size_bytes: int
    ) -> Reading:
        image = _image(info.pic)
        if isinstance(image, str):
            return Rejected(address, image, size_bytes, event_id)
        resent = _is_replay(info.PushType)
        # The family gives no liveness verdict, so that its snapshot alone is unsure.
        return DoorEvent(address, event_id, at_s, "face", resent=resent, images=(image,))

    def _reply(self, address: Address, envelope: _Envelope, size_bytes: int) -> Reading:
        operator = envelope.operator
        if not isinstance(operator, str) or not operator.endswith("-Ack") or len(operator) > 64:
            return Rejected(address, "unknown_operator", size_bytes)
        info = self._replies.decode(envelope.info)
        if (fault := _fault(address, info.get("facesluiceId"))) is not None:
            return Rejected(address, fault, size_bytes)
        code = _whole(envelope.code)
        result = info.get("result", info.get("Result"))
        ok = code in (None, 200) and (result is None or str(result).strip().lower() == "ok")
        return DeviceReply(
            address,
            operator.removesuffix("-Ack"),
            envelope.messageId[:64] if isinstance(envelope.messageId, str) else "",
            ok and not (code is None and result is None),
            None if code == 200 else code,
            _results(info),
            _people(info),
            _whole(info.get("totalPersonNum", info.get("TotalNum", info.get("PersonNum")))),
        )

    # -- the topics that all devices share ------------------------------------------------------

    def _shared(self, envelope: _Envelope, size_bytes: int) -> Reading:
        mark = self._marks.decode(envelope.info)
        kinds = {"Online": "online", "HeartBeat": "alive", "Heartbeat": "alive", "Offline": "offline"}
        kind = kinds.get(envelope.operator) if isinstance(envelope.operator, str) else None
        device = _text(mark.facesluiceId)
        if kind is None or not device:
            return Rejected(None, "hint_unreadable", size_bytes)
        estate = self._estate_of(device)
        if estate is None:
            return Rejected(None, "unknown_device", size_bytes)
        message_id = envelope.messageId[:64] if isinstance(envelope.messageId, str) else ""
        return DeviceHint(Address(estate, device), kind, self._seconds(mark.time), message_id)  # type: ignore[arg-type]

    def _seconds(self, text: object) -> float | None:
        found = _TIME.fullmatch(text.strip()) if isinstance(text, str) and len(text) < 40 else None
        if found is None:
            return None
        try:
            year, month, day, hour, minute, second = map(int, found.groups())
            at_s = datetime(year, month, day, hour, minute, second, tzinfo=self._zone).timestamp()
        except (ValueError, OverflowError):
            return None
        return at_s if 0 <= at_s < _LATEST_S else None

    def _message(self, address: Address, one: Letter) -> Message:
        return f"{self._root}/{address.device}", msgspec.json.encode(one)


def _record(address: Address, event_id: str, at_s: float, info: _Info, size_bytes: int) -> Reading:
    """Somebody was recognised by the panel: whom it means, and whether that is a yes."""
    person = info.customId if info.customId is not None else ""
    if not isinstance(person, str) or (person.strip() and not _REFERENCE.fullmatch(person)):
        # A reference is ours letter by letter; a number in its place is somebody else's.
        return Rejected(address, "reference_malformed", size_bytes, event_id)
    status = _whole(info.VerifyStatus)
    verdict: PanelVerdict = "unsure"
    if status == _NOT_REGISTERED or not person.strip():
        verdict = "unknown"
    elif status == _ALLOWED and _whole(info.PersonType) in (None, 0):
        verdict = "match"
    live = _whole(info.Sendintime) == _LIVE and not _is_replay(info.PushType)
    return DoorEvent(
        address,
        event_id,
        at_s,
        "panel",
        resent=not live,
        person=person.strip(),
        verdict=verdict,
        opened=status == _ALLOWED,
    )


def _is_replay(push_type: object) -> bool:
    """Old firmware has no such field; what it says and we cannot read is not taken for a live one."""
    return push_type is not None and _whole(push_type) != 0


def _salvaged(way: str, payload: bytes) -> str | None:
    """An id for a record that cannot be read, so that it does not block the panel's later ones for ever."""
    pattern = _SALVAGED.get(way)
    found = pattern.search(payload) if pattern is not None else None
    return f"{_RECORD if way == 'Rec' else _STRANGER}-{int(found[1])}-unreadable" if found else None


def _fault(address: Address, named: object) -> str | None:
    """Whether a message on a device's own topic names another device."""
    name = _text(named)
    return "speaks_for_another" if named not in (None, "") and name != address.device else None


def _event_id(kind: str, number: int | None, at_s: float | None, info: _Info, raw: bytes) -> str:
    if number is not None and number > 0 and at_s is not None:
        return f"{kind}-{number}-{at_s:.0f}"
    about = repr((_text(info.personId), at_s)).encode()
    # Without a number the picture tells two records apart; without one, the whole record does.
    picture = info.pic.encode("utf-8", "replace") if isinstance(info.pic, str) and info.pic else raw
    digest = blake2b(about + picture, digest_size=14).hexdigest()
    return f"{kind}-{number if number is not None and number >= 0 else ''}-{digest}"


def _image(pic: object) -> bytes | str:
    """The picture of a data URI, whatever its label says; or why it cannot be used."""
    if not isinstance(pic, str) or not pic:
        return "image_missing"
    text = pic.partition(",")[2] if pic[:5].lower() == "data:" else pic
    if len(text) > IMAGE_BYTES_MAX * 4 // 3 + 4:
        return "image_too_large"
    try:
        image = binascii.a2b_base64(re.sub(r"\s+", "", text), strict_mode=True)
    except (binascii.Error, ValueError):
        return "image_malformed"
    return image if image.startswith(_IMAGE_STARTS) else "image_format_unknown"


def _results(info: dict[str, Any]) -> tuple[PersonResult, ...]:
    """What was done for each person of a batch; both spellings of the lists' names."""
    found: list[PersonResult] = []
    for name, ok in (
        ("AddSucInfo", True),
        ("AddErrInfo", False),
        ("DelSucInfo", True),
        ("DelErrInfo", False),
    ):
        listed = info.get(name)
        for one in listed[:PEOPLE_MAX] if isinstance(listed, list) else ():
            person = one.get("customId") if isinstance(one, dict) else None
            if isinstance(person, str) and _REFERENCE.fullmatch(person):
                code = _whole(one.get("errcode", one.get("errorCode", one.get("code"))))
                found.append(PersonResult(person, ok, None if ok else code))
    return tuple(found)


def _people(info: dict[str, Any]) -> tuple[str, ...] | None:
    """The references on a page of a panel's list, in whichever of its shapes; None where it is no list."""
    found: list[str] = []
    is_list = False
    for name, value in info.items():
        if name in _RESULTS:
            continue
        if name in ("customId", "customIds") and isinstance(value, str) and "totalPersonNum" in info:
            is_list = True
            found += [part.strip() for part in value.split(",")]
        rows = value if isinstance(value, list) else [value] if name.lower().startswith("personinfo") else []
        for row in rows:
            is_list = True
            reference = row.get("customId", row.get("CustomId")) if isinstance(row, dict) else row
            found.append(reference if isinstance(reference, str) else "")
    if not is_list and _whole(info.get("PersonNum", info.get("totalPersonNum"))) != 0:
        return None
    return tuple(one for one in found[:PEOPLE_MAX] if len(one) <= CUSTOM_ID_MAX)


def _whole(value: object) -> int | None:
    """A whole number, sent as a number or as a text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 10**18 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 10**15 else None
    found = (
        _WHOLE.fullmatch(value) if isinstance(value, str) and len(value) < 40 and value.isascii() else None
    )
    return int(found[1]) if found is not None else None


def _number(value: object) -> int | None:
    number = _whole(value)
    return number if number is not None and number < 2**53 else None


def _text(value: object) -> str:
    """An id, sent as a text or as a number; "" for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return str(value)
    return value if isinstance(value, str) and len(value) <= 64 else ""
