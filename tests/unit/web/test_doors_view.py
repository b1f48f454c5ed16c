"""Doors and passages in the guard's words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from backend.access.service import AccessRecordView, DoorStateView
from backend.identity.principal import ALL
from backend.web.causes import cause_words, known_codes
from backend.web.doors_view import announcement, door_cards, passage_of, tally

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
CONTRACT = Path(__file__).parents[2] / "contracts" / "causes.json"


def door(state: str | None = "online", **facts: object) -> DoorStateView:
    values = {
        "device_id": "pj-gate",
        "estate_id": "pj",
        "name_zh": "小区大门",
        "name_en": "Gate",
        "active": True,
        "state": state,
        "since": NOW - timedelta(hours=2) if state else None,
        "clock_offset_ms": 0,
        "reported_at": NOW,
    }
    return DoorStateView(**(values | facts))  # type: ignore[arg-type]


def record(
    number: int = 1, outcome: str = "open", cause: str = "granted", **facts: object
) -> AccessRecordView:
    values = {
        "record_id": UUID(int=number),
        "estate_id": "pj",
        "device_id": "pj-gate",
        "door_name_zh": "小区大门",
        "door_name_en": "Gate",
        "credential": "face",
        "device_at": NOW,
        "received_at": NOW - timedelta(seconds=number),
        "outcome": outcome,
        "cause": cause,
        "person_id": None,
        "resent": False,
    }
    return AccessRecordView(**(values | facts))  # type: ignore[arg-type]


def test_every_cause_of_the_gateway_has_the_guards_words() -> None:
    causes = {each["code"]: each for each in json.loads(CONTRACT.read_text("utf-8"))}
    assert known_codes() == set(causes)
    for code, each in causes.items():
        assert cause_words(code) == (each["guard_zh"], each["guard_en"])


def test_a_cause_of_a_newer_gateway_is_shown_by_its_code() -> None:
    zh, en = cause_words("moon_phase")
    assert "moon_phase" in zh
    assert "moon_phase" in en


def test_a_door_shows_its_three_newest_passages() -> None:
    (card,) = door_cards([door()], [record(number) for number in range(1, 9)], NOW, ALL)
    assert [passage.record_id.int for passage in card.passages] == [1, 2, 3]


def test_a_passage_of_a_door_that_is_gone_breaks_nothing() -> None:
    assert door_cards([], [record(door_name_zh=None, door_name_en=None)], NOW, ALL) == []
    assert passage_of(record(door_name_zh=None), NOW, ALL).door_zh == "pj-gate"


def test_a_door_out_of_use_is_not_shown() -> None:
    assert door_cards([door(active=False)], [], NOW, ALL) == []


def test_an_offline_door_says_since_when_and_what_to_do() -> None:
    (card,) = door_cards([door("offline")], [], NOW, ALL)
    assert card.link.key == "offline"
    assert card.link.since_zh == "10:00 起离线"
    assert "电源" in card.link.advice_zh


def test_a_wrong_clock_is_said_and_is_no_outage() -> None:
    (card,) = door_cards([door(clock_offset_ms=-3_600_000)], [], NOW, ALL)
    assert card.link.key == "online"
    assert "3600 秒" in card.link.advice_zh


def test_doors_are_counted_by_state() -> None:
    cards = door_cards([door(), door("offline"), door(None)], [], NOW, ALL)
    count = tally(cards)
    assert (count.online, count.offline, count.unheard) == (1, 1, 1)


def test_a_screen_reader_hears_of_the_newest_refusal_only() -> None:
    records = [record(1), record(2, "ask", "liveness_missing"), record(3, "deny", "unknown_card")]
    assert announcement(records, NOW) == "小区大门 11:59:58 请刷卡：设备没有给出活体结果"
    assert announcement([record(1)], NOW) == ""


def test_a_granted_passage_needs_no_explanation() -> None:
    assert passage_of(record(), NOW, ALL).cause_zh == ""


def test_a_passage_of_yesterday_carries_its_day() -> None:
    old = record(received_at=NOW - timedelta(days=1))
    assert passage_of(old, NOW, ALL).when == "11月22日 12:00"


def test_only_who_may_ask_is_offered_the_name() -> None:
    known = record(person_id=UUID(int=9))
    assert passage_of(known, NOW, frozenset({"pj"})).named
    assert not passage_of(known, NOW, frozenset({"elsewhere"})).named
    assert not passage_of(record(), NOW, ALL).named
