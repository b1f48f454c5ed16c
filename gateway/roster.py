"""The roster as the loop sees it: doors, people, rights and cards of the estates this gateway serves.

It lives in memory, is changed only by the loop, and is filled from `RosterStore` at the start and by the
backend's changes after that, so that doors are answered without the backend.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from gateway.codes import UsedCodes, open_seed, pin_reference, read_qr, visitor_reference
from gateway.decision import Door, Finding, Person, Policy, RightState, right_at
from gateway.drivers import Address
from gateway.roster_documents import DOOR, ESTATE, ORDER, PASS, PERSON, ErasureOrder, Waiver, hours_of

# More changes than this between two looks cost as much as looking at everybody.
CHANGES_REMEMBERED = 1_000

Kind: TypeAlias = Literal["estate", "door", "person", "pass", "order"]


class Item(Struct, frozen=True):
    """One fact of the roster at one version; `doc` None means that it is gone."""

    kind: Kind
    id: str
    version: int
    doc: bytes | None  # JSON


class Pass(Struct, frozen=True):
    """A visitor's pass as the loop knows it."""

    pass_id: str
    group: str
    begin_s: float
    end_s: float
    uses_max: int


class Order(Struct, frozen=True):
    """A guard's order as the loop knows it."""

    order_id: str
    action: Literal["open", "lockdown", "release", "all_clear"]
    door: str | None
    given_s: float
    until_s: float


class EstateRoster:
    """One estate's part of the roster."""

    def __init__(self, estate: str) -> None:
        self.estate = estate
        self.version = 0
        self.policy = Policy()
        self.fpir: float | None = None
        self.name_zh = self.name_en = ""
        self.waiver: Waiver | None = None
        self.doors: dict[str, Door] = {}
        self.people: dict[str, Person] = {}
        self.erasures: dict[str, list[ErasureOrder]] = {}  # open orders, by person
        self.unreadable: set[tuple[str, str]] = set()
        self.person_changes = 0  # of this copy, counted up
        self._changed: deque[str] = deque(maxlen=CHANGES_REMEMBERED)
        self._cards: dict[str, tuple[str, bool]] = {}  # reference -> person, blocked
        self._cards_of: dict[str, tuple[str, ...]] = {}
        self._pins: dict[str, tuple[str, bool]] = {}  # reference -> person, duress
        self._pins_of: dict[str, tuple[str, ...]] = {}
        self._qr: dict[str, tuple[str, str]] = {}  # qr id -> person, sealed seed
        self._qr_of: dict[str, str] = {}
        self._seeds: dict[str, bytes] = {}  # opened ones
        self._passes: dict[str, Pass] = {}  # reference -> pass
        self._pass_of: dict[str, str] = {}
        self.orders: dict[str, Order] = {}
        self.two_way_groups: frozenset[str] = frozenset()  # where coming and going are both seen

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

    def cards_until(self, group: str, now_s: float, until_s: float) -> list[str]:
        """The references of cards that open a group from now until then, all the time."""
        found = []
        for reference, (person_id, blocked) in self._cards.items():
            person = self.people.get(person_id)
            spans = person.rights.get(group, ()) if person is not None and not blocked else ()
            if any(begin <= now_s and until_s <= end for begin, end in spans):
                found.append(reference)
        return sorted(found)

    def find_pin(self, pin: str, key: bytes | None, group: str, now_s: float) -> Finding:
        """Whose PIN this is at a door group."""
        if key is None:
            return Finding("no_key")
        held = self._pins.get(pin_reference(key, group, pin))
        person = self.people.get(held[0]) if held else None
        if held is None or person is None:
            return Finding("unknown")
        return Finding("match", person, right_at(person, group, now_s), duress=held[1])

    def find_qr(
        self, text: str, key: bytes | None, group: str, now_s: float, used: UsedCodes
    ) -> tuple[Finding, bytes | None]:
        """Whose QR code this is, and its seed; a code for another group is right, and of no use here."""
        if key is None:
            return Finding("no_key"), None
        shown = read_qr(text)
        held = self._qr.get(shown.qr_id) if shown is not None else None
        if shown is None or held is None:
            return Finding("unknown"), None
        seed = self._seeds.get(shown.qr_id) or open_seed(key, self.estate, shown.qr_id, held[1])
        person = self.people.get(held[0])
        if seed is None or person is None:
            return Finding("unknown"), None
        self._seeds[shown.qr_id] = seed
        reading = used.check(seed, shown, now_s)
        right = right_at(person, group, now_s) if shown.group == group else "none"
        return Finding(reading, person if reading == "match" else None, right), seed

    def qr_of(self, person_id: str) -> str | None:
        """What a person's QR codes are called."""
        return next((qr_id for qr_id, held in self._qr.items() if held[0] == person_id), None)

    def find_pass(
        self, code: str, key: bytes | None, group: str, now_s: float, uses: Mapping[str, int]
    ) -> Finding:
        """Which visitor's pass this is."""
        if key is None:
            return Finding("no_key")
        held = self._passes.get(visitor_reference(key, code))
        if held is None:
            return Finding("unknown")
        if uses.get(held.pass_id, 0) >= held.uses_max:
            return Finding("used", pass_id=held.pass_id)
        state: RightState = "live"
        if held.group != group:
            state = "none"
        elif now_s < held.begin_s:
            state = "not_begun"
        elif now_s >= held.end_s:
            state = "ended"
        return Finding("match", None, state, pass_id=held.pass_id)

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
        elif item.kind == "person":
            self._person(item)
        elif item.kind == "pass":
            self._pass(item)
        else:
            self._order(item)

    def _estate(self, item: Item) -> None:
        if item.doc is None:
            self.policy, self.waiver = Policy(), None
            return
        doc = ESTATE.decode(item.doc)
        self.waiver = doc.liveness_waiver
        self.policy = Policy(
            doc.faces,
            doc.liveness_waiver.until if doc.liveness_waiver else None,
            doc.panels is not None,
            doc.panels.roster_lease_days if doc.panels is not None else 0,
            doc.passback,
        )
        self.fpir, self.name_zh, self.name_en = doc.fpir, doc.name_zh, doc.name_en

    def _door(self, item: Item) -> None:
        if item.doc is None:
            self.doors.pop(item.id, None)
            self._find_two_ways()
            return
        doc = DOOR.decode(item.doc)
        self.doors[item.id] = Door(
            item.id,
            doc.group,
            frozenset(doc.credentials),
            doc.active,
            doc.name_zh,
            doc.name_en,
            doc.way,
            doc.protocol,
            hours_of(doc),
        )
        self._find_two_ways()

    def _find_two_ways(self) -> None:
        ways = {(door.group, door.way) for door in self.doors.values() if door.active}
        self.two_way_groups = frozenset(
            group for group, way in ways if way == "in" and (group, "out") in ways
        )

    def _person(self, item: Item) -> None:
        self.person_changes += 1
        self._changed.append(item.id)
        self.people.pop(item.id, None)
        self.erasures.pop(item.id, None)
        for reference in self._cards_of.pop(item.id, ()):
            if self._cards.get(reference, ("", False))[0] == item.id:
                del self._cards[reference]
        for reference in self._pins_of.pop(item.id, ()):
            if self._pins.get(reference, ("", False))[0] == item.id:
                del self._pins[reference]
        if (qr_id := self._qr_of.pop(item.id, None)) is not None:
            self._qr.pop(qr_id, None)
            self._seeds.pop(qr_id, None)
        if item.doc is not None:
            doc = PERSON.decode(item.doc)
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
            if doc.pins:
                self._pins_of[item.id] = tuple(pin.hmac for pin in doc.pins)
                self._pins.update({pin.hmac: (item.id, pin.duress) for pin in doc.pins})
            if doc.qr is not None:
                self._qr_of[item.id] = doc.qr.id
                self._qr[doc.qr.id] = (item.id, doc.qr.sealed)

    def _pass(self, item: Item) -> None:
        self._passes.pop(self._pass_of.pop(item.id, ""), None)
        if item.doc is not None:
            doc = PASS.decode(item.doc)
            self._pass_of[item.id] = doc.hmac
            self._passes[doc.hmac] = Pass(
                item.id, doc.group, doc.begin.timestamp(), doc.end.timestamp(), doc.uses_max
            )

    def _order(self, item: Item) -> None:
        self.orders.pop(item.id, None)
        if item.doc is not None:
            doc = ORDER.decode(item.doc)
            until_s = doc.until.timestamp() if doc.until is not None else float("inf")
            self.orders[item.id] = Order(doc.order, doc.action, doc.door, doc.given_at.timestamp(), until_s)


class RosterBook:
    """The rosters and card keys of all estates this gateway serves; belongs to the loop."""

    def __init__(self, rosters: Iterable[EstateRoster], card_keys: Mapping[str, bytes]) -> None:
        self.estates = {roster.estate: roster for roster in rosters}
        self.card_keys = dict(card_keys)
        self.on_applied: list[Callable[[str, list[Item]], None]] = []  # told after each change of a roster

    def apply(self, estate: str, items: Iterable[Item], version: int, anew: bool) -> None:
        """Take in changes of an estate, or (`anew`) replace everything of it."""
        if anew:
            self.estates[estate] = EstateRoster(estate)
        items = list(items)
        self.estates[estate].apply(items, version)
        for told in self.on_applied:
            told(estate, items)

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
