"""The documents of the roster as they come over the wire; the backend's `registry.documents` writes them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.decision import Hours, Passback


class Waiver(Struct, frozen=True):
    """Faces without a liveness verdict are taken until that day."""

    until: date
    author: str
    reason: str


class Panels(Struct, frozen=True):
    """The estate lets panels match by themselves."""

    roster_lease_days: Annotated[int, Meta(ge=1, le=90)] = 7


class EstateDoc(Struct, frozen=True):
    """An estate."""

    name_zh: str
    name_en: str
    faces: bool
    liveness_waiver: Waiver | None = None
    fpir: float | None = None
    panels: Panels | None = None  # none: the gateway decides, panels only send
    passback: Passback = "soft"


class OpenHours(Struct, frozen=True):
    """When a door is open to residents; `till` 24:00 is the day's end."""

    days: list[Annotated[int, Meta(ge=1, le=7)]]
    begin: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = msgspec.field(name="from")
    till: Annotated[str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")] = msgspec.field(name="to")


class DoorDoc(Struct, frozen=True):
    """A door."""

    group: str
    credentials: list[str]
    name_zh: str = ""
    name_en: str = ""
    building: str | None = None
    way: Literal["in", "out"] = "in"
    protocol: str = "native"
    active: bool = True
    hours: list[OpenHours] | None = None


class Right(Struct, frozen=True):
    """A right to a door group."""

    group: str
    begin: datetime = msgspec.field(name="from")
    end: datetime | None = msgspec.field(name="to", default=None)


class Card(Struct, frozen=True):
    """A card by its reference."""

    hmac: str
    blocked: bool = False


class Pin(Struct, frozen=True):
    """A PIN by its reference; `duress` opens and calls for help."""

    group: str
    hmac: str
    duress: bool = False


class QrSeed(Struct, frozen=True):
    """The seed of a person's QR codes, sealed under the estate's key."""

    id: str
    sealed: str


class ErasureOrder(Struct, frozen=True):
    """The city wants everything ("all") or the photograph kept for panels ("photograph") erased."""

    order: str
    scope: str
    reason: str


class PersonDoc(Struct, frozen=True):
    """A person."""

    rights: list[Right] = []
    cards: list[Card] = []
    face_consent: bool = False
    panel_consent: bool = False
    erase: list[ErasureOrder] = []
    pins: list[Pin] = []
    qr: QrSeed | None = None


class PassDoc(Struct, frozen=True):
    """A visitor's pass: a code for a door group, for a day at most, for so many times."""

    group: str
    hmac: str
    begin: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    uses_max: Annotated[int, Meta(ge=1)]


class OrderDoc(Struct, frozen=True):
    """What a guard has ordered: one opening, a lockdown, a release, or the end of a fire alarm."""

    order: str  # its id; the roster's item is one for each door and kind, so that they never pile up
    action: Literal["open", "lockdown", "release", "all_clear"]
    author: str
    reason: str
    given_at: datetime
    door: str | None = None  # None: all of the estate
    until: datetime | None = None


# Made here and not at their first use: msgspec crashes when two threads use a type for the first time.
ESTATE = msgspec.json.Decoder(EstateDoc)
DOOR = msgspec.json.Decoder(DoorDoc)
PERSON = msgspec.json.Decoder(PersonDoc)
PASS = msgspec.json.Decoder(PassDoc)
ORDER = msgspec.json.Decoder(OrderDoc)


def hours_of(doc: DoorDoc) -> Hours | None:
    """A door's hours in minutes of the day."""
    if doc.hours is None:
        return None
    return tuple((frozenset(one.days), _minutes(one.begin), _minutes(one.till)) for one in doc.hours)


def _minutes(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)
