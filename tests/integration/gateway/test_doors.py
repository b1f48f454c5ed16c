"""What a door sees: answers, confirmations, and never two openings for one passage."""

from __future__ import annotations

from datetime import timedelta

from tests.integration.gateway.city import FakeCity
from tests.integration.gateway.conftest import (
    CARD,
    ESTATE,
    NEIGHBOUR,
    RESIDENT,
    Gateway,
    door_doc,
    near,
    person_doc,
    vector,
)
from tests.integration.gateway.doors import Door


def test_a_residents_card_opens_is_confirmed_and_reaches_the_city(gate: Door, city: FakeCity) -> None:
    event = gate.card(CARD)
    answer = gate.wait_answer(event)
    gate.wait_recorded(event)
    assert (answer["outcome"], answer["cause"]) == ("open", "granted")
    assert 0 < answer["open_within_ms"] <= 10_000
    record = city.wait_records(1)[0]
    assert record["person"] == RESIDENT
    assert (record["estate"], record["device"], record["events"]) == (ESTATE, "test-1-gate", [event])
    assert record["outcome"] == "open"


def test_an_event_sent_again_is_confirmed_again_and_answered_once(gate: Door, city: FakeCity) -> None:
    event = gate.card(CARD)
    gate.wait_recorded(event)
    for times in (2, 3):
        gate.send({"id": event, "kind": "card", "card": CARD, "resent": True})
        gate.wait_recorded(event, times)
    assert len(gate.answers[event]) == 1
    later = gate.card("04unknown")
    gate.wait_recorded(later)
    assert [record["events"] for record in city.wait_records(2)] == [[event], [later]]


def test_an_event_sent_again_that_nobody_knows_is_recorded_and_never_opens(
    gate: Door, city: FakeCity
) -> None:
    event = gate.card(CARD, resent=True)
    gate.wait_recorded(event)
    record = city.wait_records(1)[0]
    assert (record["outcome"], record["cause"], record["person"]) == ("none", "answer_unknown", RESIDENT)
    assert event not in gate.answers


def test_an_event_from_before_the_gateways_start_is_recorded_and_does_not_open(
    gate: Door, city: FakeCity
) -> None:
    gate.clock_ahead = timedelta(seconds=-60)
    event = gate.card(CARD)
    gate.wait_recorded(event)
    assert event not in gate.answers
    record = city.wait_records(1)[0]
    assert (record["outcome"], record["cause"], record["resent"]) == ("none", "answer_unknown", False)


def test_a_face_opens_a_stranger_does_not_and_no_verdict_asks_for_a_card(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    face = vector(1)
    gateway.enrol(ESTATE, RESIDENT, face)
    gateway.wait(lambda health: health["estates"][0]["enrolled"] == 1, "the gallery")
    known = gate.wait_answer(gate.face([near(face, 2), near(face, 3)]))
    stranger = gate.wait_answer(gate.face([vector(99)]))
    silent = gate.wait_answer(gate.face([near(face, 2)], liveness=None))
    assert (known["outcome"], known["cause"]) == ("open", "granted")
    assert (stranger["outcome"], stranger["cause"]) == ("deny", "unknown_person")
    assert (silent["outcome"], silent["cause"], silent["ask"]) == ("ask", "liveness_missing", ["card"])
    assert [record["person"] for record in city.wait_records(3)] == [RESIDENT, None, None]


def test_a_face_without_consent_is_refused(gateway: Gateway, gate: Door) -> None:
    face = vector(2)
    gateway.enrol(ESTATE, NEIGHBOUR, face)
    gateway.wait(lambda health: health["estates"][0]["enrolled"] == 1, "the gallery")
    assert gate.wait_answer(gate.face([near(face)]))["cause"] == "no_consent"


def test_a_photograph_without_an_encoder_asks_for_a_card(gate: Door, city: FakeCity) -> None:
    event = gate.photograph(b"\xff\xd8\xff\xe0" + bytes(1000))
    answer = gate.wait_answer(event)
    assert (answer["outcome"], answer["cause"], answer["ask"]) == ("ask", "encoder_unavailable", ["card"])
    gate.wait_recorded(event)


def test_a_right_that_is_taken_away_opens_nothing_from_then_on(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    assert gate.wait_answer(gate.card(CARD))["outcome"] == "open"
    version = city.put(ESTATE, "person", RESIDENT, person_doc(city, [], [CARD]))
    gateway.wait(lambda health: health["estates"][0]["roster_version"] == version, "the roster")
    assert gate.wait_answer(gate.card(CARD))["cause"] == "wrong_door"
    city.put(ESTATE, "person", RESIDENT, None)
    gateway.wait(lambda health: health["estates"][0]["people"] == 1, "the roster")
    assert gate.wait_answer(gate.card(CARD))["cause"] == "unknown_card"


def test_a_door_that_takes_only_faces_is_refused_and_shown(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    face = vector(3)
    gateway.enrol(ESTATE, RESIDENT, face)
    gateway.wait(lambda health: health["estates"][0]["enrolled"] == 1, "the gallery")
    city.put(ESTATE, "door", "test-1-gate", door_doc("gate", ("face",)))
    gateway.wait(lambda health: health["estates"][0]["face_only_doors"] == ["test-1-gate"], "the door")
    assert gate.wait_answer(gate.face([near(face)]))["cause"] == "door_face_only"
    assert any("test-1-gate" in alarm for alarm in gateway.health()["alarms"])


def test_frames_of_one_passage_that_come_apart_make_one_record(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    face = vector(4)
    gateway.enrol(ESTATE, RESIDENT, face)
    gateway.wait(lambda health: health["estates"][0]["enrolled"] == 1, "the gallery")
    first = gate.face([near(face, 2)], track="t-1")
    second = gate.face([near(face, 3)], track="t-1")
    gate.wait_recorded(first)
    gate.wait_recorded(second)
    last = gate.card("04last")
    gate.wait_recorded(last)
    assert [record["passage"] for record in city.wait_records(2)] == ["track:t-1", f"event:{last}"]
    assert sum(answer["outcome"] == "open" for found in gate.answers.values() for answer in found) == 1


def test_devices_are_reported_to_the_city(gate: Door, city: FakeCity) -> None:
    gate.status("online")
    city.wait_state(ESTATE, "test-1-gate", "online")
    gate.status("offline")
    city.wait_state(ESTATE, "test-1-gate", "offline")
