"""Frames of one passage in several messages: one record, one answer, decided by all of them together."""

from __future__ import annotations

import pytest

from tests.unit.gateway.stage import RESIDENT, Stage, card, face, photograph


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_frame_that_decides_closes_the_passage_for_all_of_them(stage: Stage) -> None:
    stage.event(face("a", 2, track="t"))
    assert not stage.answers
    assert not stage.confirmed
    stage.pass_by(1)
    stage.event(face("b", 1, track="t"))
    assert stage.cause("a") == "granted"
    assert stage.answers["b"] == []
    assert stage.confirmed == ["a", "b"]
    [record] = stage.disk.records
    assert (record.passage, record.person) == ("track:t", RESIDENT)


def test_an_undecided_passage_asks_for_a_card_when_its_time_is_over(stage: Stage) -> None:
    stage.event(face("a", 2, track="t"))
    stage.pass_by(2.9)
    stage.write()
    assert not stage.answers
    stage.pass_by(0.2)
    stage.write()
    assert stage.cause("a") == "face_unsure"
    stage.event(face("b", 1, track="t"))  # too late: the passage has its answer
    assert stage.answers["b"] == []
    assert sorted(stage.confirmed) == ["a", "b"]


def test_the_last_frame_and_the_eighth_do_not_wait(stage: Stage) -> None:
    stage.event(face("a", 3, track="t", last=True))
    assert stage.cause("a") == "unknown_person"
    for number in range(8):
        stage.event(face(f"f{number}", 2, track="u"))
    assert stage.cause("f0") == "face_unsure"


def test_a_single_event_without_a_track_does_not_wait(stage: Stage) -> None:
    stage.event(face("a", 2))
    assert stage.cause("a") == "face_unsure"


def test_a_verdict_of_liveness_may_come_with_a_later_frame_and_a_failed_one_stays(stage: Stage) -> None:
    stage.event(face("a", 1, track="t", liveness=None))
    stage.event(face("b", 1, track="t"))
    assert stage.cause("a") == "granted"
    stage.event(face("c", 2, track="u"))
    stage.event(face("d", 1, track="u", liveness="spoof"))
    stage.pass_by(3.1)
    stage.write()
    assert stage.cause("c") == "liveness_failed"


def test_photographs_of_one_passage_go_to_the_encoder_one_after_the_other(stage: Stage) -> None:
    stage.event(photograph("a", track="t"))
    stage.event(photograph("b", track="t"))
    stage.develop(2)
    stage.develop(1)
    stage.write()
    assert stage.cause("a") == "granted"
    assert sorted(stage.confirmed) == ["a", "b"]


def test_a_photograph_nobody_could_use_may_be_followed_by_a_better_one(stage: Stage) -> None:
    stage.event(photograph("a", track="t"))
    stage.develop(None)
    stage.event(photograph("b", track="t"))
    stage.develop(1)
    stage.write()
    assert stage.cause("a") == "granted"


def test_a_passage_whose_time_ends_in_the_encoder_is_decided_when_that_is_done(stage: Stage) -> None:
    stage.event(photograph("a", track="t"))
    stage.pass_by(3.5)
    stage.develop(2)
    stage.write()
    assert stage.cause("a") == "face_unsure"


def test_a_frame_that_is_sent_again_opens_no_passage(stage: Stage) -> None:
    stage.event(face("a", 2, track="t"))
    stage.event(face("b", 1, track="t", resent=True))
    stage.pass_by(3.1)
    stage.write()
    assert stage.cause("a") == "face_unsure"
    assert stage.openings("b") == 0


def test_who_shows_a_card_meanwhile_is_not_asked_for_one_any_more(stage: Stage) -> None:
    stage.event(face("a", 2, track="t"))
    stage.event(card("b"))
    assert stage.cause("b") == "granted"
    assert stage.answers["a"] == []
    stage.write()
    assert sorted(stage.confirmed) == ["a", "b"]
    assert {record.passage: record.cause for record in stage.disk.records} == {
        "event:b": "granted",
        "track:t": "face_unsure",
    }


def test_a_card_after_an_unsure_face_says_whether_the_face_was_its_holders(stage: Stage) -> None:
    stage.event(face("a", 2))
    stage.event(card("b"))
    stage.event(face("c", 3, track="t", last=True))
    stage.event(face("d", 2))
    stage.pass_by(31)
    stage.event(card("e"))
    confirmed = {record.passage: record.face_confirmed for record in stage.disk.records}
    assert confirmed == {
        "event:a": None,
        "event:b": True,
        "track:t": None,
        "event:d": None,
        "event:e": None,
    }


def test_a_killed_gateway_answers_no_half_seen_passage(stage: Stage) -> None:
    stage.event(face("a", 2, track="t"))
    early = stage.message(face("b", 1, track="t"))
    stage.pass_by(0.1)
    stage.restart()
    stage.take(early)
    stage.event(face("a", 2, track="t", resent=True))
    assert not any(stage.openings(event) for event in "ab")
    assert sorted(stage.confirmed) == ["a", "b"]


def test_a_stop_decides_what_is_undecided(stage: Stage) -> None:
    stage.event(face("a", 2, track="t"))
    stage.pipeline.end_tracks()
    stage.write()
    assert stage.cause("a") == "face_unsure"
    assert stage.pipeline.unsettled == 0
