"""An event's way through the gateway, and what holds however its messages come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.gateway.stage import (
    BLOCKED_CARD,
    ESTATE,
    NOON_S,
    RESIDENT,
    Disk,
    Stage,
    card,
    face,
    item,
    photograph,
    roster,
)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_the_answer_leaves_with_the_confirmation_once_the_record_is_on_the_disk(stage: Stage) -> None:
    stage.take(stage.message(card("a")))
    assert not stage.answers
    stage.write()
    assert stage.cause("a") == "granted"
    assert stage.confirmed == ["a"]
    [record] = stage.disk.records
    assert (record.person, record.outcome, record.passage) == (RESIDENT, "open", "event:a")


def test_a_slow_disk_lets_the_answer_go_alone_and_the_confirmation_follow(stage: Stage) -> None:
    stage.take(stage.message(card("a")))
    stage.pass_by(0.011)
    assert stage.openings("a") == 1
    assert stage.confirmed == []
    stage.write()
    assert stage.openings("a") == 1
    assert stage.confirmed == ["a"]
    assert stage.counters.answered_alone == 1


def test_a_disk_that_takes_nothing_more_still_lets_doors_be_answered() -> None:
    stage = Stage(entries_max=1)
    stage.take(stage.message(card("a")))
    stage.take(stage.message(card("b")))
    assert stage.openings("b") == 1
    assert stage.confirmed == []
    stage.write()
    assert stage.confirmed == ["a"]
    stage.event(card("b"))  # the broker delivers it twice
    assert stage.openings("b") == 1
    assert stage.confirmed == ["a"]
    stage.event(card("b", resent=True))
    assert stage.confirmed == ["a", "b"]
    assert [record.cause for record in stage.disk.records] == ["granted", "answer_unknown"]
    assert stage.openings("b") == 1


def test_a_repeat_is_confirmed_again_and_answered_never_again(stage: Stage) -> None:
    stage.event(card("a"))
    stage.event(card("a", resent=True))
    stage.event(card("a"))
    assert stage.confirmed == ["a", "a", "a"]
    assert len(stage.answers["a"]) == 1
    assert len(stage.disk.records) == 1


def test_a_repeat_in_the_same_batch_counts_once(stage: Stage) -> None:
    stage.take(stage.message(card("a")), stage.message(card("a")), stage.message(card("a", resent=True)))
    stage.write()
    assert len(stage.answers["a"]) == 1
    assert len(stage.disk.records) == 1


def test_an_event_that_only_the_journal_still_knows_is_confirmed_and_not_answered(stage: Stage) -> None:
    stage.event(card("a"))
    stage.restart()
    stage.recents = None  # type: ignore[assignment]
    forgetful = Stage(stage.disk)
    forgetful.recents._keys.clear()
    forgetful.event(card("a"))
    assert forgetful.confirmed == ["a"]
    assert forgetful.answers == {}
    assert len(forgetful.disk.records) == 1


def test_an_event_sent_again_that_nobody_knows_is_recorded_with_its_person_and_never_opens(
    stage: Stage,
) -> None:
    stage.event(card("a", resent=True))
    stage.event(face("b", resent=True))
    assert stage.answers == {}
    assert stage.confirmed == ["a", "b"]
    assert [(one.cause, one.outcome, one.person) for one in stage.disk.records] == [
        ("answer_unknown", "none", RESIDENT)
    ] * 2


def test_an_event_from_before_our_start_gets_no_second_answer(stage: Stage) -> None:
    early = stage.message(card("a"))
    stage.take(early)
    stage.pass_by(0.1)  # the disk hangs: the door is answered alone
    stage.restart()  # and we are killed
    stage.take(early)
    stage.write()
    assert len(stage.answers["a"]) == 1
    assert stage.confirmed == ["a"]
    assert [record.cause for record in stage.disk.records] == ["answer_unknown"]


def test_a_late_event_is_recorded_and_does_not_open(stage: Stage) -> None:
    stage.pass_by(100)
    late = datetime.fromtimestamp(stage.wall_s - 30, UTC).isoformat()
    stage.event(card("a", at=late))
    assert stage.cause("a") == "late"
    assert stage.disk.records[0].person == RESIDENT
    assert stage.confirmed == ["a"]


def test_setting_our_own_clock_shuts_no_door(stage: Stage) -> None:
    stage.event(card("a"))
    for number, step_s in enumerate((-3600.0, 7200.0)):
        stage.wall_s += step_s
        stage.doors_ahead_s -= step_s  # the doors' clocks are as they were
        stage.event(card(f"b{number}"))
        assert stage.cause(f"b{number}") == "granted"


def test_frames_of_a_passage_that_was_answered_are_confirmed_and_no_more(stage: Stage) -> None:
    stage.event(face("a", track="t"))
    stage.event(face("b", track="t"))
    stage.take(stage.message(face("c", track="u")), stage.message(face("d", track="u")))
    stage.write()
    assert sorted(stage.confirmed) == ["a", "b", "c", "d"]
    assert [len(stage.answers[event]) for event in "abcd"] == [1, 0, 1, 0]
    assert [record.passage for record in stage.disk.records] == ["track:t", "track:u"]
    assert stage.counters.joined == 2


def test_after_a_restart_a_further_frame_of_a_recorded_passage_opens_nothing(stage: Stage) -> None:
    stage.event(face("a", track="t"))
    stage.restart()
    stage.recents._keys.clear()
    stage.pass_by(1)
    stage.event(face("b", track="t"))
    assert stage.answers["b"] == []
    assert stage.confirmed == ["a", "b"]
    assert len(stage.disk.records) == 1


def test_a_card_after_a_face_that_was_asked_for_one_is_decided_anew(stage: Stage) -> None:
    stage.event(face("a", 2, track="t", last=True))
    stage.event(card("b", track="t"))
    assert stage.cause("a") == "face_unsure"
    assert stage.cause("b") == "granted"


def test_a_track_and_an_event_of_the_same_name_are_two_passages(stage: Stage) -> None:
    stage.event(face("7"))
    stage.event(face("8", track="7"))
    assert [len(stage.answers[event]) for event in "78"] == [1, 1]


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (face("x", 1), "granted"),
        (face("x", 2), "face_unsure"),
        (face("x", 3), "unknown_person"),
        (face("x", 1, liveness=None), "liveness_missing"),
        (card("x", BLOCKED_CARD), "card_blocked"),
        (card("x", "none"), "unknown_card"),
    ],
)
def test_each_finding_has_its_cause(stage: Stage, event: dict[str, object], cause: str) -> None:
    stage.event(event)
    assert stage.cause("x") == cause


def test_a_door_of_another_group_does_not_open(stage: Stage) -> None:
    stage.event(card("x"), device="shed")
    assert stage.cause("x") == "wrong_door"


def test_without_the_key_for_cards_a_card_opens_nothing(stage: Stage) -> None:
    stage.keys.clear()
    stage.event(card("x"))
    assert stage.cause("x") == "card_key_missing"


# -- photographs ------------------------------------------------------------------------------


def test_a_photograph_is_answered_when_it_has_been_encoded(stage: Stage) -> None:
    stage.event(photograph("a"))
    assert not stage.answers
    stage.develop(1)
    stage.write()
    assert stage.cause("a") == "granted"


@pytest.mark.parametrize(
    ("kind", "id", "doc", "cause"),
    [
        ("person", RESIDENT, {"rights": [], "face_consent": True}, "wrong_door"),
        ("person", RESIDENT, None, "unknown_person"),
        (
            "door",
            "gate",
            {"group": "gate", "credentials": ["face", "card"], "active": False},
            "device_out_of_use",
        ),
        ("door", "gate", None, "unknown_device"),
        ("estate", ESTATE, {"name_zh": "测", "name_en": "T", "faces": False}, "faces_off"),
    ],
)
@pytest.mark.parametrize("anew", [False, True])
def test_a_photograph_is_judged_by_what_holds_when_it_is_answered(
    stage: Stage, kind: str, id: str, doc: Any, cause: str, anew: bool
) -> None:
    stage.event(photograph("a"))
    if anew:
        stage.rosters[ESTATE] = roster()
    stage.rosters[ESTATE].apply([item(kind, id, doc)], 2)
    stage.develop(1)
    stage.write()
    assert stage.cause("a") == cause


def test_a_right_that_ends_while_the_photograph_is_encoded_opens_nothing(stage: Stage) -> None:
    until = datetime.fromtimestamp(stage.wall_s + 2, UTC).isoformat()
    rights = [{"group": "gate", "from": "2020-01-01T00:00:00Z", "to": until}]
    stage.rosters[ESTATE].apply([item("person", RESIDENT, {"rights": rights, "face_consent": True})], 2)
    stage.event(photograph("a"))
    stage.pass_by(3)
    stage.develop(1)
    stage.write()
    assert stage.cause("a") == "right_ended"


@pytest.mark.parametrize(("crashed", "cause"), [(True, "encoder_unavailable"), (False, "face_not_usable")])
def test_a_photograph_that_gave_nothing_asks_for_a_card(stage: Stage, crashed: bool, cause: str) -> None:
    stage.event(photograph("a"))
    stage.develop(None, crashed=crashed)
    stage.write()
    assert stage.cause("a") == cause
    assert stage.answers["a"][0]["ask"] == ["card"]


def test_a_full_queue_asks_for_a_card_at_once(stage: Stage) -> None:
    stage.darkroom.room = 0
    stage.event(photograph("a"))
    assert stage.cause("a") == "encoder_busy"


def test_without_an_encoder_a_photograph_asks_for_a_card(stage: Stage) -> None:
    stage.darkroom.installed = False
    stage.event(photograph("a"))
    assert stage.cause("a") == "encoder_unavailable"


def test_an_encoder_that_never_answers_is_not_waited_for(stage: Stage) -> None:
    stage.take(stage.message(photograph("a")))
    stage.pass_by(5.1)
    stage.write()
    assert stage.cause("a") == "encoder_unavailable"
    stage.develop(1)  # too late
    stage.write()
    assert len(stage.answers["a"]) == 1


def test_a_repeat_of_a_photograph_in_the_encoder_waits_with_it(stage: Stage) -> None:
    stage.event(photograph("a"))
    stage.event(photograph("a"))
    assert len(stage.darkroom.jobs) == 1
    stage.develop(1)
    stage.write()
    assert len(stage.answers["a"]) == 1


def test_photographs_sent_again_keep_no_encoder_busy(stage: Stage) -> None:
    stage.event(photograph("a", resent=True))
    assert stage.darkroom.jobs == []
    assert stage.confirmed == ["a"]


def test_a_photograph_and_a_template_of_one_passage_are_matched_together(stage: Stage) -> None:
    frames = [*photograph("x")["frames"], *face("x", 1)["frames"]]
    stage.event(face("a", frames=frames))
    stage.develop(None)
    stage.write()
    assert stage.cause("a") == "granted"


# -- what is not taken ------------------------------------------------------------------------


def test_what_cannot_be_read_is_set_aside_and_costs_its_neighbours_nothing(stage: Stage) -> None:
    topic = f"estate/{ESTATE}/gate/event"
    stage.take(
        stage.message(card("a")),
        (topic, b'{"v":1,"id":"half'),
        (topic, b'{"v":1,"id":"whole","kind":"?"}'),
        ("nowhere", b"{}"),
        stage.message(card("b")),
    )
    stage.write()
    assert (stage.cause("a"), stage.cause("b")) == ("granted", "granted")
    assert sorted(stage.confirmed) == ["a", "b", "whole"]
    assert [note.reason for note in stage.disk.set_aside] == ["unreadable", "unreadable"]
    assert stage.counters.set_aside == {"unreadable": 2, "unknown_topic": 1}


def test_a_device_on_no_roster_is_told_so_and_set_aside(stage: Stage) -> None:
    stage.event(card("x"), device="ghost")
    assert stage.cause("x") == "unknown_device"
    assert stage.confirmed == ["x"]
    assert stage.disk.records == []


def test_an_estate_that_is_no_longer_ours_is_left_to_its_own_gateway(stage: Stage) -> None:
    topic, payload = stage.message(card("x"))
    stage.take((topic.replace("/e/", "/f/"), payload), (topic.replace("/e/", "/f/"), b"?"))
    stage.write()
    assert stage.answers == {}
    assert stage.confirmed == []
    assert stage.disk.set_aside == []
    assert stage.counters.set_aside == {"estate_not_served": 1, "unreadable": 1}


def test_before_the_first_roster_nothing_is_confirmed(stage: Stage) -> None:
    stage.rosters[ESTATE].doors.clear()
    stage.rosters[ESTATE].version = 0
    stage.event(card("x"))
    assert stage.cause("x") == "unknown_device"
    assert stage.confirmed == []
    stage.rosters[ESTATE].apply([item("door", "gate", {"group": "gate", "credentials": ["card"]})], 2)
    stage.event(card("x", resent=True))
    assert stage.confirmed == ["x"]


def test_a_driver_that_fails_costs_one_message(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = stage.pipeline._intake._driver
    read = driver.read

    def failing(topic: str, payload: bytes) -> object:
        if b"poison" in payload:
            raise KeyError("a fault of the driver")
        return read(topic, payload)

    monkeypatch.setattr(driver, "read", failing)
    stage.take(stage.message(card("poison")), stage.message(card("a")))
    stage.write()
    assert stage.cause("a") == "granted"
    assert stage.counters.set_aside == {"driver_failed": 1}


def test_without_a_broker_connection_answers_are_dropped_and_asked_for_again(stage: Stage) -> None:
    stage.connected = False
    stage.event(card("a"))
    assert stage.counters.unsent == 1
    stage.connected = True
    stage.event(card("a", resent=True))
    assert stage.confirmed == ["a"]
    assert stage.answers == {}  # an opening that nobody heard is not repeated


def test_the_record_is_the_same_however_often_it_is_made() -> None:
    def record_id() -> str:
        stage = Stage(Disk(), now_s=NOON_S)
        stage.event(card("a"))
        return stage.disk.records[0].record_id

    assert record_id() == record_id()
