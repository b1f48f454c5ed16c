"""An access record as the journal keeps it and the backend receives it, and the keys that make it one."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b

from msgspec import Struct

from gateway.drivers import Address, DoorEvent
from gateway.messages import Credential, Outcome


class AccessRecord(Struct, frozen=True, omit_defaults=True):
    """One passage, as it was answered."""

    record_id: str
    estate: str
    device: str
    passage: str
    events: tuple[str, ...]
    credential: Credential
    device_at: datetime
    received_at: datetime
    outcome: Outcome
    cause: str
    person: str | None
    resent: bool
    pass_id: str | None = None  # the visitor's pass it was opened with
    face_confirmed: bool | None = None  # whether an unsure face before it was that person's; None: no face


class SetAside(Struct, frozen=True):
    """A message that was not taken: why, and nothing of its content."""

    estate: str | None
    device: str | None
    event_id: str | None
    reason: str
    size_bytes: int
    received_at: datetime


def event_key(address: Address, event_id: str) -> str:
    """What an event is known by, for ever."""
    return f"{address.estate}/{address.device}/event:{event_id}"


def passage_name(event: DoorEvent) -> str:
    """What the passage is called within its device: its track, or the single event.

    Tracks and event ids are two counters of the device, so the name says which of them it is. A card is
    always a passage of its own: it may follow a face that was asked for one, and must be decided anew.
    """
    if event.track is not None and event.credential == "face":
        return f"track:{event.track}"
    return f"event:{event.event_id}"


def passage_key(address: Address, passage: str) -> str:
    """What a passage is known by, for ever; equal to its event's key where it has only that one."""
    return f"{address.estate}/{address.device}/{passage}"


def record_id(key: str) -> str:
    """The record's UUID (version 8): the same for the same passage, whoever computes it and whenever."""
    digest = blake2b(key.encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-8{digest[17:20]}-{digest[20:]}"


def keys_of(record: AccessRecord) -> list[str]:
    """The keys of a record that is on the disk: its events' and its passage's."""
    address = Address(record.estate, record.device)
    keys = [event_key(address, event) for event in record.events]
    keys.append(passage_key(address, record.passage))
    return keys
