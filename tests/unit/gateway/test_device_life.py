"""Device life: provisioned, online, offline, retired; door leaf and battery; alarms as they stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.web.devices_view import ALARMS as PAGE_WORDS
from gateway.alarms import ALARMS_MAX, WORDS, AlarmBook, sentences
from gateway.devices import DeviceBook
from gateway.drivers import Address
from tests.unit.gateway.panel_stage import DEVICE, ESTATE, PanelStage

GATE = Address(ESTATE, "gate")


@pytest.fixture
def stage(tmp_path: Path) -> PanelStage:
    """A native door beside the panels."""
    stage = PanelStage(tmp_path)
    stage.change("door", "gate", {"group": "gate", "credentials": ["card"]})
    return stage


def says(stage: PanelStage, **facts: object) -> None:
    payload = json.dumps({"v": 1, "state": "heartbeat", **facts}).encode()
    stage.inbox.append((f"estate/{ESTATE}/gate/status", payload))
    stage.settle()


def test_a_forced_door_is_reported_and_over_after_an_hour(stage: PanelStage) -> None:
    says(stage, contact="forced")
    assert stage.alarm_kinds("gate") == ["door_forced"]
    [report] = stage.devices.reports()
    assert report.contact == "forced"


def test_a_door_that_stays_open_is_reported_until_it_is_closed(stage: PanelStage) -> None:
    says(stage, contact="open")
    stage.pass_by(50)
    assert stage.alarm_kinds("gate") == []
    says(stage, contact="open")  # a heartbeat says it again, and it is open since the first
    stage.pass_by(15)
    assert stage.alarm_kinds("gate") == ["door_held_open"]
    says(stage, contact="closed")
    assert stage.alarm_kinds("gate") == []


def test_a_device_may_say_itself_that_its_door_is_held_open(stage: PanelStage) -> None:
    says(stage, contact="held_open")
    assert stage.alarm_kinds("gate") == ["door_held_open"]


def test_a_low_battery_is_reported_until_it_is_changed(stage: PanelStage) -> None:
    says(stage, battery_percent=15)
    assert stage.alarm_kinds("gate") == ["battery_low"]
    says(stage)
    assert stage.alarm_kinds("gate") == ["battery_low"]
    says(stage, battery_percent=100)
    assert stage.alarm_kinds("gate") == []


def test_a_change_of_leaf_or_battery_is_told_and_a_repetition_is_not(stage: PanelStage) -> None:
    says(stage, contact="closed", battery_percent=80)
    stage.devices.changes()
    says(stage, contact="closed", battery_percent=80)
    assert stage.devices.changes() == []
    says(stage, contact="open")
    [change] = stage.devices.changes()
    assert (change.contact, change.battery_percent) == ("open", 80)


def test_a_device_is_provisioned_then_online_then_offline_and_retired_at_the_end(stage: PanelStage) -> None:
    def life(active: bool = True) -> str:
        return stage.devices.life_of(GATE, "native", active).life

    assert life() == "provisioned"
    says(stage)
    assert life() == "online"
    stage.pass_by(100)
    assert life() == "offline"
    assert life(active=False) == "retired"
    assert DeviceBook().life_of(GATE, "native", True).life == "provisioned"


def test_every_kind_of_alarm_has_its_words_and_one_sentence_names_its_devices() -> None:
    numbers = iter(range(10))
    book = AlarmBook(lambda: str(next(numbers)))
    book.sound(GATE, "door_forced", 0.0)
    book.sound(Address(ESTATE, "shed"), "door_forced", 0.0)
    [sentence] = sentences(book.raised())
    assert "e/gate, e/shed" in sentence
    assert "the door was forced" in sentence
    assert all(zh and en for zh, en in WORDS.values())


def test_the_operators_page_has_words_for_every_kind_that_a_gateway_raises() -> None:
    assert set(PAGE_WORDS) == set(WORDS)
    assert all(all(said) for said in PAGE_WORDS.values())


def test_an_alarm_is_raised_once_counted_again_and_known_over_a_restart() -> None:
    numbers = iter(range(10))
    book = AlarmBook(lambda: f"id-{next(numbers)}")
    assert book.sound(GATE, "clock_skew", 10.0)
    assert not book.sound(GATE, "clock_skew", 20.0)
    [alarm] = book.changes()
    assert (alarm.times, alarm.raised_at.timestamp(), alarm.repeated_at.timestamp()) == (2, 10.0, 20.0)
    again = AlarmBook(lambda: "other")
    again.restore([alarm])
    assert not again.sound(GATE, "clock_skew", 30.0)
    again.clear(GATE, "clock_skew", 40.0)
    assert [(one.alarm_id, one.cleared_at is not None) for one in again.everything()] == [("id-0", True)]
    assert again.raised() == []


def test_no_device_can_fill_our_memory_with_alarms() -> None:
    numbers = iter(range(3 * ALARMS_MAX))
    book = AlarmBook(lambda: str(next(numbers)))
    for number in range(2 * ALARMS_MAX):
        book.sound(Address(ESTATE, DEVICE), "opened_for_nobody", 0.0, f"person-{number}")
    assert len(book.raised()) == ALARMS_MAX
