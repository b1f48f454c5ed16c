"""Gateway killed with -9 again and again, events doubled and mixed up, the city away: nothing is lost."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from estate.embedded.broker import Broker
from estate.processes import wait_until
from tests.drill.conftest import Drill
from tests.integration.gateway.city import FakeCity
from tests.integration.gateway.conftest import CARD, ESTATE, OTHER_ESTATE, PASSWORD, Gateway
from tests.integration.gateway.doors import Door

SETTLED_WITHIN_S = 120
DOUBLED = 0.1
AT_ONCE = 500
MIXED_UP = 40  # so many neighbours change places
CITY_AWAY = 0.3


def send_missing_again(door: Door, events: list[str]) -> None:
    """As a device does: what is not recorded is sent again, the oldest first, until nothing is left."""
    deadline_s = time.monotonic() + SETTLED_WITHIN_S
    while True:
        done = set(door.recorded)
        missing = [event for event in events if event not in done][:AT_ONCE]
        if not missing:
            return
        assert time.monotonic() < deadline_s, f"{len(missing)} events of {door.device} are still not recorded"
        recorded = len(door.recorded)
        for event in missing:
            door.send({"id": event, "kind": "card", "card": CARD, "resent": True})
        wait_until(lambda recorded=recorded: len(door.recorded) > recorded, 20, "nothing was recorded")  # type: ignore[misc]


def round_of(drill: Drill, doors: list[Door], events: dict[str, list[str]]) -> list[tuple[str, Door, bool]]:
    """New events of all doors, some of them doubled, in an order that no device ever had."""
    made: list[tuple[str, Door, bool]] = []
    for _ in range(drill.events // drill.kills):
        door = drill.choice.choice(doors)
        mine = events[door.device]
        mine.append(f"{door.device}-n{len(mine)}")
        made.append((mine[-1], door, False))
        if drill.choice.random() < DOUBLED:  # an impatient device, or a network that doubles
            made.append((drill.choice.choice(mine), door, True))
    for start in range(0, len(made), MIXED_UP):
        part = made[start : start + MIXED_UP]
        drill.choice.shuffle(part)
        made[start : start + MIXED_UP] = part
    return made


@pytest.mark.timeout(1800)
def test_nothing_confirmed_is_lost_and_no_passage_opens_twice(
    drill: Drill, still_gateway: Gateway, mosquitto: Broker, city: FakeCity
) -> None:
    gateway = still_gateway
    gateway.start()
    gateway.wait_rosters()
    doors = [
        Door(estate, device, PASSWORD, mosquitto.port)
        for estate, device in ((ESTATE, "test-1-gate"), (ESTATE, "test-1-a"), (OTHER_ESTATE, "test-2-gate"))
    ]
    events: dict[str, list[str]] = {door.device: [] for door in doors}
    confirmed: set[str] = set()
    for _ in range(drill.kills):
        city.is_down = drill.choice.random() < CITY_AWAY  # the records wait for it
        for event, door, resent in round_of(drill, doors, events):
            door.send({"id": event, "kind": "card", "card": CARD, "resent": resent})
        some = sum(len(set(door.recorded)) for door in doors) + drill.choice.randrange(
            1, drill.events // drill.kills // 2
        )
        wait_until(
            lambda some=some: sum(len(set(door.recorded)) for door in doors) >= some,
            60,
            "no confirmations",  # type: ignore[misc]
        )
        gateway.kill()
        confirmed |= {event for door in doors for event in door.recorded}
        gateway.start()
        gateway.wait_rosters()
    city.is_down = False
    for door in doors:
        send_missing_again(door, events[door.device])
    sent = [event for mine in events.values() for event in mine]
    city.wait_records(len(sent), SETTLED_WITHIN_S)
    arrived = Counter(event for record in city.records for event in record["events"])
    assert arrived == Counter(sent), "each event exactly once"
    assert confirmed <= set(arrived)
    for door in doors:
        for event, answers in door.answers.items():
            assert sum(answer["outcome"] == "open" for answer in answers) <= 1, event
            assert len({str(answer) for answer in answers}) == 1, f"two different answers to {event}"
