"""What is confirmed is never lost: whatever is killed, unplugged or full."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from estate.embedded.broker import Broker, MosquittoBroker
from estate.processes import StartFailedError, wait_until
from gateway.journal_store import JournalStore
from tests.integration.gateway.city import FakeCity
from tests.integration.gateway.conftest import (
    CARD,
    ESTATE,
    GATEWAY,
    OTHER_ESTATE,
    PASSWORD,
    RESIDENT,
    Gateway,
    person_doc,
    users,
)
from tests.integration.gateway.doors import Door


def settle(door: Door, events: list[str], seconds: float = 40.0) -> None:
    """Send again what is not recorded, as a device does, until everything is."""
    deadline = time.monotonic() + seconds
    while missing := [event for event in events if event not in set(door.recorded)]:
        assert time.monotonic() < deadline, f"{len(missing)} of {len(events)} never recorded"
        for event in missing:
            door.send({"id": event, "kind": "card", "card": CARD, "resent": True})
        with suppress(StartFailedError):  # not yet: the device goes on sending
            wait_until(lambda: set(missing) <= set(door.recorded), 1.0, "")


def openings(door: Door) -> dict[str, int]:
    return {
        event: sum(answer["outcome"] == "open" for answer in answers)
        for event, answers in door.answers.items()
    }


def test_with_the_city_away_residents_get_in_and_the_records_arrive_later_in_order(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    city.stop()
    events = [gate.card(CARD) for _ in range(50)]
    for event in events:
        assert gate.wait_answer(event)["outcome"] == "open"
        gate.wait_recorded(event)
    gateway.wait(lambda health: any(not link["ok"] for link in health["backend"].values()), "the lost link")
    gateway.wait(lambda health: health["buffer"]["rows"]["unforwarded"] == 50, "the waiting records")
    city.is_down = False
    city.start()
    assert [record["events"][0] for record in city.wait_records(50, 30)] == events


def test_with_the_link_cut_a_right_ends_on_its_own_date(gateway: Gateway, gate: Door, city: FakeCity) -> None:
    ends_at = datetime.now(UTC) + timedelta(seconds=6)
    version = city.put(
        ESTATE, "person", RESIDENT, person_doc(city, ["gate"], [CARD], until=ends_at.isoformat())
    )
    gateway.wait(lambda health: health["estates"][0]["roster_version"] == version, "the right with its end")
    city.stop()
    assert gate.wait_answer(gate.card(CARD))["cause"] == "granted"
    assert datetime.now(UTC) < ends_at
    wait_until(lambda: datetime.now(UTC) > ends_at + timedelta(seconds=0.1), 10, "its end")
    assert gate.wait_answer(gate.card(CARD))["cause"] == "right_ended"


def test_two_gateways_with_estates_of_their_own_share_a_broker(
    tmp_path: Path, mosquitto: Broker, city: FakeCity
) -> None:
    mosquitto.update_users(users())
    gateways = []
    for number, estate in enumerate((ESTATE, OTHER_ESTATE)):
        folder = tmp_path / str(number)
        folder.mkdir()
        gateway = Gateway(folder, mosquitto, city, {})
        settings = folder / "gateway.toml"
        text = settings.read_text().replace(f'["{ESTATE}", "{OTHER_ESTATE}"]', f'["{estate}"]')
        if number:
            city.credentials.add("second.a-secret-of-this-test")
            (folder / "credential").write_text("second.a-secret-of-this-test")
            text = text.replace(f'id = "{GATEWAY}"', 'id = "second"')
        settings.write_text(text)
        gateway.start()
        gateway.wait_rosters()
        gateways.append(gateway)
    doors = [
        Door(estate, device, PASSWORD, mosquitto.port)
        for estate, device in ((ESTATE, "test-1-gate"), (OTHER_ESTATE, "test-2-gate"))
    ]
    events = [door.card(CARD) for door in doors for _ in range(10)]
    for door, mine in zip(doors, (events[:10], events[10:]), strict=True):
        for event in mine:
            door.wait_recorded(event)
    assert sorted(event for record in city.wait_records(20) for event in record["events"]) == sorted(events)
    assert [gateway.health()["counts"]["confirmed"] for gateway in gateways] == [10, 10]


def test_after_a_restart_without_the_city_cards_still_open(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    city.stop()
    assert gateway.stop() == 0
    gateway.start()
    assert gate.wait_answer(gate.card(CARD))["outcome"] == "open"


def test_with_a_full_disk_doors_are_answered_nothing_is_confirmed_and_all_of_it_shows(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    before = gate.card(CARD)
    gate.wait_recorded(before)
    log_bytes = (gateway.state / "journal.db-wal").stat().st_size
    unlimited = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
    # No file of the gateway may grow from here on, as on a full disk.
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (log_bytes, unlimited[1]))
    during = [gate.card(CARD) for _ in range(20)]
    for event in during:
        assert gate.wait_answer(event)["outcome"] == "open"
    gateway.wait(lambda health: not health["journal"]["ok"], "the stalled journal")
    assert gateway.health()["state"] == "impaired"
    unconfirmed = [event for event in during if event not in gate.recorded]
    assert unconfirmed
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, unlimited)
    for event in during:
        gate.wait_recorded(event)
    gateway.wait(lambda health: health["journal"]["ok"], "the journal writes again")
    assert sorted(event for record in city.wait_records(21) for event in record["events"]) == sorted(
        [before, *during]
    )
    assert set(openings(gate).values()) == {1}


@pytest.fixture
def own_broker(servers_folder: Path) -> Iterator[Broker]:
    """One that the test may kill."""
    with MosquittoBroker(servers_folder / "fragile", 0, users()) as broker:
        yield broker


def test_kill_minus_nine_of_the_broker_loses_nothing_confirmed(
    tmp_path: Path, own_broker: Broker, city: FakeCity
) -> None:
    gateway = Gateway(tmp_path, own_broker, city, {})
    gateway.start()
    gateway.wait_rosters()
    door = Door(ESTATE, "test-1-gate", PASSWORD, own_broker.port)
    events = [door.card(CARD) for _ in range(100)]
    door.wait_recorded(events[20])
    own_broker.kill()
    gateway.wait(lambda health: not health["broker"]["connected"], "the lost broker")
    own_broker.start()
    gateway.wait(lambda health: health["broker"]["connected"], "the broker again")
    settle(door, events)
    assert sorted(event for record in city.wait_records(100) for event in record["events"]) == sorted(events)
    assert max(openings(door).values()) == 1


@pytest.mark.parametrize("by", ["city", "hand"])
def test_a_future_that_was_noted_by_mistake_does_not_outlive_the_citys_word_or_a_persons(
    still_gateway: Gateway, mosquitto: Broker, city: FakeCity, by: str
) -> None:
    gateway = still_gateway
    city.put(ESTATE, "person", RESIDENT, person_doc(city, ["gate"], [CARD], until="2031-01-01T00:00:00Z"))
    gateway.start()
    gateway.wait_rosters()
    assert gateway.stop() == 0
    store = JournalStore(gateway.state / "journal.db")
    store.note_time(datetime(2032, 1, 1, tzinfo=UTC).timestamp())
    store.close()
    city.stop()
    gateway.start()
    door = Door(ESTATE, "test-1-gate", PASSWORD, mosquitto.port)
    door.status()

    def offset_learned(health: dict[str, Any]) -> bool:
        door.status()
        return any(abs(one["clock_offset_ms"]) > 1e9 for one in health["devices"])

    gateway.wait(offset_learned, "the door's clock, behind by years as it seems")
    assert door.wait_answer(door.card(CARD))["cause"] == "right_ended"
    assert any("reset-clock" in alarm for alarm in gateway.health()["alarms"])
    if by == "city":
        city.is_down = False
        city.start()
    else:
        assert gateway.command("reset-clock").returncode == 0
    gateway.wait(lambda health: health["now"] < "2031", "the time of today", 30)
    assert shown_until_answered(door)["cause"] == "granted"
    gateway.kill()
    gateway.start()
    assert gateway.health()["now"] < "2031"
    assert shown_until_answered(door)["cause"] == "granted"


def shown_until_answered(door: Door) -> dict[str, Any]:
    """The card is held up again, with signs of life as doors give them, until it is taken for fresh.

    What was learned of the door's clock may not have been kept yet when the clock was set or the kill came.
    Until it is learned again, for at most 30 s, the door's time seems wrong; an event that seems older than
    the start is recorded and not answered.
    """
    until_s = time.monotonic() + 35
    while time.monotonic() < until_s:
        door.status()
        with contextlib.suppress(TimeoutError):
            answer = door.wait_answer(door.card(CARD), 1.0)
            if answer["cause"] != "clock_skew":
                return answer
            time.sleep(0.5)
    raise AssertionError("the door's clock was not learned again")


def test_a_stop_finishes_what_was_taken_in(still_gateway: Gateway, mosquitto: Broker, city: FakeCity) -> None:
    gateway = still_gateway
    gateway.start()
    gateway.wait_rosters()
    door = Door(ESTATE, "test-1-gate", PASSWORD, mosquitto.port)
    events = [door.card(CARD) for _ in range(300)]
    door.wait_recorded(events[0])
    assert gateway.stop() == 0
    gateway.start()
    settle(door, events)
    assert sorted(event for record in city.wait_records(300) for event in record["events"]) == sorted(events)
    assert max(openings(door).values()) == 1


def test_a_refused_credential_stops_no_door_and_is_shown(
    still_gateway: Gateway, mosquitto: Broker, city: FakeCity
) -> None:
    gateway = still_gateway
    gateway.start()
    gateway.wait_rosters()
    city.credential = f"{GATEWAY}.another-secret"
    door = Door(ESTATE, "test-1-gate", PASSWORD, mosquitto.port)
    event = door.card(CARD)
    assert door.wait_answer(event)["outcome"] == "open"
    gateway.wait(
        lambda health: any("401" in link["reason"] for link in health["backend"].values()), "the refusal"
    )
    city.credential = f"{GATEWAY}.a-secret-of-this-test"
    assert city.wait_records(1, 30)[0]["events"] == [event]


def test_an_estate_outside_our_scope_holds_up_no_other(
    still_gateway: Gateway, mosquitto: Broker, city: FakeCity
) -> None:
    city.foreign_estates.add("test-2")
    still_gateway.start()
    still_gateway.wait(
        lambda health: "403" in health["backend"].get("roster:test-2", {"reason": ""})["reason"],
        "the refusal",
    )
    still_gateway.wait(
        lambda health: health["estates"][0]["has_card_key"] and health["estates"][0]["people"],
        "the other estate",
    )
    door = Door(ESTATE, "test-1-gate", PASSWORD, mosquitto.port)
    assert door.wait_answer(door.card(CARD))["outcome"] == "open"
    stranger = Door("test-2", "test-2-gate", PASSWORD, mosquitto.port)
    event = stranger.card(CARD)
    assert stranger.wait_answer(event)["cause"] == "unknown_device"
    assert event not in stranger.recorded  # its roster has not arrived: the device keeps the event
    city.foreign_estates.clear()
    settle(stranger, [event])
    assert [record["cause"] for record in city.wait_records(2, 30)] == ["granted", "answer_unknown"]


def test_a_refused_record_is_parked_shown_and_holds_up_no_other(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    city.refuse_records["unknown_card"] = "unknown_door"
    events = [gate.card(CARD), gate.card("04nobody"), gate.card(CARD)]
    records = city.wait_records(2)
    assert [record["events"][0] for record in records] == [events[0], events[2]]
    gateway.wait(lambda health: health["buffer"]["rows"]["parked"] == 1, "the parked record")
    listed = gateway.command("journal", "list")
    assert listed.returncode == 0
    assert "unknown_door" in listed.stdout


def test_a_city_that_went_back_in_time_is_asked_for_everything(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    city.restore_from_earlier(ESTATE, keep=3)
    gateway.wait(
        lambda health: (health["estates"][0]["roster_version"], health["estates"][0]["people"]) == (3, 0),
        "the roster of that time",
        seconds=40,
    )
    assert gate.wait_answer(gate.card(CARD))["cause"] == "unknown_card"
