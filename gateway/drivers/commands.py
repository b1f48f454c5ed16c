"""What the gateway may ask of a device, whatever its protocol; acknowledged under its `message_id`."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct


class OpenDoor(Struct, frozen=True):
    """Let somebody in, now."""

    message_id: str
    words: str = ""  # what the device shows


class HoldDoor(Struct, frozen=True):
    """Keep the lock open (released), the way in shut (locked), or go by our answers again (normal)."""

    message_id: str
    state: str


class KeepCards(Struct, frozen=True):
    """The references of cards that a door may open for by itself while the gateway is down."""

    message_id: str
    from_s: float
    until_s: float
    part: int
    parts: int
    references: tuple[str, ...]


class GreetBack(Struct, frozen=True):
    """Tell a device that its "online" was heard, so that it stops repeating it."""

    message_id: str


class SetTime(Struct, frozen=True):
    """Set the device's clock."""

    message_id: str
    now_s: float


class ResumeOn(Struct, frozen=True):
    """Have the device keep each record until it is confirmed."""

    message_id: str
    now_s: float


class ReplayRecords(Struct, frozen=True):
    """Have the device send a window of its records again."""

    message_id: str
    from_s: float
    until_s: float


class PutPerson(Struct, frozen=True):
    """Have a device that matches by itself know a person for a while; upserts by the person."""

    message_id: str
    person: str  # opaque
    from_s: float
    until_s: float
    photo_url: str = ""  # empty: the device keeps the picture it has


class PutPeople(Struct, frozen=True):
    """The same for several; each comes with an address of its picture."""

    message_id: str
    people: tuple[PutPerson, ...]


class RemovePeople(Struct, frozen=True):
    """Have a device forget people, picture and all."""

    message_id: str
    people: tuple[str, ...]


class ListPeople(Struct, frozen=True):
    """Ask for a page of the people on a device."""

    message_id: str
    offset: int
    count: int


class CountPeople(Struct, frozen=True):
    """Ask for the references of the people on a device, where it cannot list them in pages."""

    message_id: str


Command: TypeAlias = (
    OpenDoor
    | HoldDoor
    | KeepCards
    | GreetBack
    | SetTime
    | ResumeOn
    | ReplayRecords
    | PutPerson
    | PutPeople
    | RemovePeople
    | ListPeople
    | CountPeople
)
