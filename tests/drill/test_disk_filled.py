"""A small disk is filled and freed: doors are answered, nothing is confirmed, and nothing is lost."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from estate.embedded.broker import Broker
from tests.drill.conftest import Drill
from tests.drill.test_gateway_killed import send_missing_again
from tests.integration.gateway.city import FakeCity
from tests.integration.gateway.conftest import CARD, ESTATE, PASSWORD, Gateway
from tests.integration.gateway.doors import Door

DISK_MB = 16
CARDS = {3: 300, 50: 5_000}  # by the drill's length


@pytest.fixture
def small_disk(still_gateway: Gateway) -> Iterator[Path]:
    """The gateway's state folder as a disk of its own, a small one."""
    folder = still_gateway.state
    folder.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder], check=True)
    yield folder
    still_gateway.close()
    subprocess.run(["umount", folder], check=True)


@pytest.mark.timeout(900)
def test_a_full_disk_confirms_nothing_answers_everybody_and_loses_nothing(
    drill: Drill, small_disk: Path, still_gateway: Gateway, mosquitto: Broker, city: FakeCity
) -> None:
    gateway = still_gateway
    gateway.start()
    gateway.wait_rosters()
    door = Door(ESTATE, "test-1-gate", PASSWORD, mosquitto.port)
    events = [door.card(CARD)]
    door.wait_recorded(events[0])
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as full:
        while True:
            try:
                full.write(bytes(4096))
            except OSError:
                break
    during = [door.card(CARD) for _ in range(CARDS[drill.kills])]
    for event in during:
        assert door.wait_answer(event, 30)["outcome"] == "open"
    gateway.wait(lambda health: not health["journal"]["ok"], "the stalled journal")
    assert gateway.health()["state"] == "impaired"
    assert [event for event in during if event not in set(door.recorded)]
    ballast.unlink()
    gateway.wait(lambda health: health["journal"]["ok"], "the journal writes again", 30)
    events += during
    send_missing_again(door, events)
    records = city.wait_records(len(events), 60)
    assert Counter(event for record in records for event in record["events"]) == Counter(events)
    assert all(len(answers) == 1 for answers in door.answers.values())
