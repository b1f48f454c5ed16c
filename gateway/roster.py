"""The roster as the loop sees it: doors, people, rights and cards of the estates this gateway serves.

It lives in memory, is changed only by the loop, and is filled from `RosterStore` at the start and by the
backend's changes after that, so that doors are answered without the backend.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from itertools import islice
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Struct

from gateway.decision import Door, Finding, Person, Policy, right_at
from gateway.drivers import Address

# More changes than this between two looks cost as much as looking at everybody.
CHANGES_REMEMBERED = 1_000

Kind: TypeAlias = Literal["estate", "door", "person"]


class Item(Struct, frozen=True):
    """One fact of the roster at one version; `doc` None means that it is gone."""

    kind: Kind
    id: str
    version: int
    doc: bytes | None  # JSON


class _Waiver(Struct, frozen=True):
    until: date
    author: str
    reason: str


class _Panels(Struct, frozen=True):
    roster_lease_days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 7


class _EstateDoc(Struct, frozen=True):
    name_zh: str
    name_en: str
    faces: bool
    liveness_waiver: _Waiver | None = None
    fpir: float | None = None
    panels: _Panels | None = None  # none: the gateway decides, panels only send


class _DoorDoc(Struct, frozen=True):
    group: str
    credentials: list[str]
    name_zh: str = ""
    name_en: str = ""
    building: str | None = None
    way: Literal["in", "out"] = "in"
    protocol: str = "native"
    active: bool = True


class _Right(Struct, frozen=True):
    group: str
    begin: datetime = msgspec.field(name="from")
    end: datetime | None = msgspec.field(name="to", default=None)


class _Card(Struct, frozen=True):
    hmac: str
    blocked: bool = False


class ErasureOrder(Struct, frozen=True):
    """The city wants everything ("all") or the photograph kept for panels ("photograph") erased."""

    order: str
    scope: str
    reason: str


class _PersonDoc(Struct, frozen=True):
    rights: list[_Right] = []
    cards: list[_Card] = []
    face_consent: bool = False
    panel_consent: bool = False
    erase: list[ErasureOrder] = []


# Made here and not at their first use: msgspec crashes when two threads use a type for the first time.
_ESTATE = msgspec.json.Decoder(_EstateDoc)
_DOOR = msgspec.json.Decoder(_DoorDoc)
_PERSON = msgspec.json.Decoder(_PersonDoc)


class EstateRoster:
    """One estate's part of the roster."""

    def __init__(self, estate: str) -> None:
        self.estate = estate
        self.version = 0
        self.policy = Policy()
        self.fpir: float | None = None
        self.name_zh = self.name_en = ""
        self.waiver: _Waiver | None = None
        self.doors: dict[str, Door] = {}
        self.people: dict[str, Person] = {}
        self.erasures: dict[str, list[ErasureOrder]] = {}  # open orders, by person
        self.unreadable: set[tuple[str, str]] = set()
        self.person_changes = 0  # of this copy, counted up
        self._changed: deque[str] = deque(maxlen=CHANGES_REMEMBERED)
        self._cards: dict[str, tuple[str, bool]] = {}  # reference -> person, blocked
        self._cards_of: dict[str, tuple[str, ...]] = {}

    def apply(self, items: Iterable[Item], version: int) -> None:
        """Take in changes; one that cannot be read takes its subject off the roster and is shown."""
        for item in items:
            self.unreadable.discard((item.kind, item.id))
            try:
                self._apply_one(item)
            except msgspec.MsgspecError:
                self._apply_one(Item(item.kind, item.id, item.version, None))
                self.unreadable.add((item.kind, item.id))
        self.version = version

    @property
    def face_only_doors(self) -> list[str]:
        """Doors whose configuration is refused: faces and nothing else."""
        return sorted(door.device for door in self.doors.values() if door.face_only)

    def changed_since(self, person_changes: int) -> list[str] | None:
        """Who was changed since that count, with repetitions; None: too many to remember."""
        count = self.person_changes - person_changes
        if count > len(self._changed):
            return None
        return list(islice(reversed(self._changed), count))

    def find_card(self, number: str, key: bytes | None, group: str, now_s: float) -> Finding:
        """Whose card this is, by its reference under the estate's key."""
        if key is None:
            return Finding("no_key")
        reference = hmac.digest(key, b"card:" + number.encode(), "sha256").hex()
        held = self._cards.get(reference)
        person = self.people.get(held[0]) if held else None
        if held is None or person is None:
            return Finding("unknown")
        return Finding("blocked" if held[1] else "match", person, right_at(person, group, now_s))

    def find_person(self, person_id: str, group: str, now_s: float) -> Finding:
        """What is known of a person whose face was recognised."""
        person = self.people.get(person_id)
        if person is None:
            return Finding("match")
        return Finding("match", person, right_at(person, group, now_s))

    def _apply_one(self, item: Item) -> None:
        if item.kind == "estate":
            self._estate(item)
        elif item.kind == "door":
            self._door(item)
        else:
            self._person(item)

    def _estate(self, item: Item) -> None:
        if item.doc is None:
            self.policy, self.waiver = Policy(), None
            return
        doc = _ESTATE.decode(item.doc)
        self.waiver = doc.liveness_waiver
        self.policy = Policy(
            doc.faces,
            doc.liveness_waiver.until if doc.liveness_waiver else None,
            doc.panels is not None,
            doc.panels.roster_lease_days if doc.panels is not None else 0,
        )
        self.fpir, self.name_zh, self.name_en = doc.fpir, doc.name_zh, doc.name_en

    def _door(self, item: Item) -> None:
        if item.doc is None:
            self.doors.pop(item.id, None)
            return
        doc = _DOOR.decode(item.doc)
        self.doors[item.id] = Door(
            item.id,
            doc.group,
            frozenset(doc.credentials),
            doc.active,
            doc.name_zh,
            doc.name_en,
            doc.way,
            doc.protocol,
        )

    def _person(self, item: Item) -> None:
        self.person_changes += 1
        self._changed.append(item.id)
        self.people.pop(item.id, None)
        self.erasures.pop(item.id, None)
        for reference in self._cards_of.pop(item.id, ()):
            if self._cards.get(reference, ("", False))[0] == item.id:
                del self._cards[reference]
        if item.doc is not None:
            doc = _PERSON.decode(item.doc)
            rights: dict[str, tuple[tuple[float, float], ...]] = {}
            for right in doc.rights:
                end_s = right.end.timestamp() if right.end is not None else float("inf")
                span = (right.begin.timestamp(), end_s)
                rights[right.group] = (*rights.get(right.group, ()), span)
            if doc.erase:
                self.erasures[item.id] = doc.erase
            self.people[item.id] = Person(item.id, rights, doc.face_consent, doc.panel_consent)
            self._cards_of[item.id] = tuple(card.hmac for card in doc.cards)
            self._cards.update({card.hmac: (item.id, card.blocked) for card in doc.cards})


class RosterBook:
    """The rosters and card keys of all estates this gateway serves; belongs to the loop."""

    def __init__(self, rosters: Iterable[EstateRoster], card_keys: Mapping[str, bytes]) -> None:
        self.estates = {roster.estate: roster for roster in rosters}
        self.card_keys = dict(card_keys)

    def apply(self, estate: str, items: Iterable[Item], version: int, anew: bool) -> None:
        """Take in changes of an estate, or (`anew`) replace everything of it."""
        if anew:
            self.estates[estate] = EstateRoster(estate)
        self.estates[estate].apply(items, version)

    def protocol_of(self, address: Address) -> str | None:
        """The protocol of a device; None where no roster has it."""
        roster = self.estates.get(address.estate)
        door = roster.doors.get(address.device) if roster is not None else None
        return door.protocol if door is not None else None

    def estate_of(self, device: str, protocol: str) -> str | None:
        """Whose a device of a protocol is; device ids are unique over all estates."""
        for estate, roster in self.estates.items():
            door = roster.doors.get(device)
            if door is not None and door.protocol == protocol:
                return estate
        return None

    def take_card_key(self, estate: str, key: bytes) -> None:
        """Use this key for the estate's card references."""
        self.card_keys[estate] = key

    def rates(self, otherwise: float) -> dict[str, float]:
        """Each estate's stated false-positive identification rate."""
        return {
            name: roster.fpir if roster.fpir is not None else otherwise
            for name, roster in self.estates.items()
        }
