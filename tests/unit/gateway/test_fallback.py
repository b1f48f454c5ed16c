"""The list of cards that a door opens for by itself while the box is down."""

from __future__ import annotations

from typing import Any

from gateway.devices import DeviceBook
from gateway.drivers import Address
from gateway.drivers.commands import Command, KeepCards
from gateway.fallback import CHANGED_AFTER_S, GOOD_FOR_S, PART, RENEWED_AFTER_S, FallbackLists
from gateway.roster import EstateRoster
from tests.unit.gateway.stage import ESTATE, NOON_S, item

GATE = Address(ESTATE, "gate")


class Office:
    def __init__(self) -> None:
        self.roster, self.devices = EstateRoster(ESTATE), DeviceBook()
        self.sent: list[tuple[Address, KeepCards]] = []
        self.connected = True
        self.lists = FallbackLists({ESTATE: self.roster}, self.devices, self._send)
        self.change(item("door", "gate", {"group": "gate", "credentials": ["card", "face"]}))
        self.devices.heard(self.devices.device(GATE), NOON_S)

    def change(self, *items: Any) -> None:
        self.roster.apply(items, 1)
        self.lists.applied(ESTATE, items)

    def person(
        self, name: str, *, until: str | None = None, group: str = "gate", blocked: bool = False
    ) -> None:
        rights = [{"group": group, "from": "2020-01-01T00:00:00Z", "to": until}]
        self.change(
            item("person", name, {"rights": rights, "cards": [{"hmac": f"ref-{name}", "blocked": blocked}]})
        )

    def _send(self, address: Address, command: Command) -> bool:
        assert isinstance(command, KeepCards)
        if self.connected:
            self.sent.append((address, command))
        return self.connected


def test_a_door_gets_the_cards_of_its_group_whose_right_outlives_the_list() -> None:
    office = Office()
    office.person("ann")
    office.person("lost", blocked=True)
    office.person("elsewhere", group="shed")
    office.person("leaving", until="2026-09-01T20:00:00Z")
    office.lists.tick(NOON_S)
    [(address, sent)] = office.sent
    assert address == GATE
    assert sent.references == ("ref-ann",)
    assert sent.until_s == NOON_S + GOOD_FOR_S


def test_it_is_renewed_daily_and_a_minute_after_a_change() -> None:
    office = Office()
    office.person("ann")
    office.lists.tick(NOON_S)
    office.lists.tick(NOON_S + 1)
    assert len(office.sent) == 1
    office.change(item("person", "ann", None))
    office.lists.tick(NOON_S + 2)
    assert len(office.sent) == 1
    office.lists.tick(NOON_S + CHANGED_AFTER_S)
    assert [sent.references for _, sent in office.sent] == [("ref-ann",), ()]
    office.lists.tick(NOON_S + CHANGED_AFTER_S + RENEWED_AFTER_S - 1)
    assert len(office.sent) == 2
    office.lists.tick(NOON_S + CHANGED_AFTER_S + RENEWED_AFTER_S)
    assert len(office.sent) == 3


def test_a_door_that_is_away_gets_it_when_it_is_back() -> None:
    office = Office()
    office.connected = False
    office.lists.tick(NOON_S)
    office.connected = True
    office.devices.gone(office.devices.device(GATE), NOON_S)
    office.lists.tick(NOON_S + 1)
    assert office.sent == []
    office.devices.heard(office.devices.device(GATE), NOON_S + 2)
    office.lists.tick(NOON_S + 3)
    assert len(office.sent) == 1


def test_a_long_list_goes_in_parts() -> None:
    office = Office()
    cards = [{"hmac": f"r{number}"} for number in range(PART * 2 + 1)]
    rights = [{"group": "gate", "from": "2020-01-01T00:00:00Z", "to": None}]
    office.change(item("person", "many", {"rights": rights, "cards": cards}))
    office.lists.tick(NOON_S)
    assert [(sent.part, sent.parts, len(sent.references)) for _, sent in office.sent] == [
        (1, 3, PART),
        (2, 3, PART),
        (3, 3, 1),
    ]
