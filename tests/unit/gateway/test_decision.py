"""The rules of a door: one example for each cause, and what must hold for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.causes import CAUSES
from gateway.decision import (
    Attempt,
    Door,
    Finding,
    Person,
    Policy,
    before_recognition,
    decide,
    right_at,
    worth_recognising,
)

TODAY = date(2026, 9, 1)
GATE = Door("gate-1", "gate", frozenset({"face", "card"}))
ENROLLED = Person("p-1", {"gate": ((0.0, float("inf")),)}, face_consent=True)
UNWILLING = Person("p-2", {"gate": ((0.0, float("inf")),)}, face_consent=False)
FACES = Policy(faces=True)
FOUND = Finding("match", ENROLLED, "live")


@dataclass(frozen=True)
class Example:
    cause: str
    attempt: dict[str, object] = field(default_factory=dict)
    finding: Finding = FOUND
    asks: tuple[str, ...] = ()


def attempt(**given: object) -> Attempt:
    usual: dict[str, object] = {
        "door": GATE,
        "policy": FACES,
        "credential": "face",
        "today": TODAY,
        "liveness": "live",
    }
    return Attempt(**{**usual, **given})  # type: ignore[arg-type]


CARD: dict[str, object] = {"credential": "card", "liveness": None}
CODES = Door("gate-1", "gate", frozenset({"card", "pin", "qr"}))
PIN: dict[str, object] = {"credential": "pin", "liveness": None, "door": CODES}
QR: dict[str, object] = {"credential": "qr", "liveness": None, "door": CODES}
VISITOR: dict[str, object] = {"credential": "visitor", "liveness": None, "door": CODES}
OUT = Door("gate-2", "gate", GATE.credentials, way="out")
CLOSED = Door("gate-3", "gate", GATE.credentials, active=False)
TWICE = Finding("match", ENROLLED, "live", passback=True)
PANEL: dict[str, object] = {"credential": "panel", "policy": Policy(faces=True, panels_match=True)}
ON_PANEL = Person("p-3", {"gate": ((0.0, float("inf")),)}, face_consent=True, panel_consent=True)
EXAMPLES = [
    Example("unknown_device", {"door": None}),
    Example("device_out_of_use", {"door": Door("gate-1", "gate", GATE.credentials, active=False)}),
    Example("answer_unknown", {"resent": True}),
    Example("clock_skew", {"timing": "skewed"}),
    Example("late", {"timing": "late"}),
    Example("door_face_only", {"door": Door("gate-1", "gate", frozenset({"face"}))}),
    Example("credential_not_taken", {"door": Door("gate-1", "gate", frozenset({"card"}))}),
    Example("credential_not_taken", {**CARD, "door": Door("gate-1", "gate", frozenset({"face", "pin"}))}),
    Example("faces_off", {"policy": Policy()}, asks=("card",)),
    Example("liveness_failed", {"liveness": "spoof"}, asks=("card",)),
    Example("liveness_missing", {"liveness": None}, asks=("card",)),
    Example("encoder_busy", finding=Finding("busy"), asks=("card",)),
    Example("encoder_unavailable", finding=Finding("unavailable"), asks=("card",)),
    Example("face_not_usable", finding=Finding("not_usable"), asks=("card",)),
    Example("unknown_person", finding=Finding("unknown")),
    Example("unknown_person", finding=Finding("match")),  # in the vault, and no longer on the roster
    Example("face_unsure", finding=Finding("unsure"), asks=("card",)),
    Example("card_key_missing", CARD, Finding("no_key")),
    Example("unknown_card", CARD, Finding("unknown")),
    Example("card_blocked", CARD, Finding("blocked", ENROLLED, "live")),
    Example("no_consent", finding=Finding("match", UNWILLING, "live")),
    Example("wrong_door", finding=Finding("match", ENROLLED, "none")),
    Example("right_not_begun", finding=Finding("match", ENROLLED, "not_begun")),
    Example("right_ended", finding=Finding("match", ENROLLED, "ended")),
    Example("released", {**CARD, "state": "released"}, Finding("unknown")),
    Example("released", {"state": "released", "door": CLOSED}),
    Example("door_in_lockdown", {"state": "locked"}),
    Example("too_many_attempts", {**PIN, "too_many": True}),
    Example("pin_wrong", PIN, Finding("unknown")),
    Example("card_key_missing", PIN, Finding("no_key")),
    Example("qr_invalid", QR, Finding("unknown")),
    Example("qr_expired", QR, Finding("expired")),
    Example("code_used", QR, Finding("used")),
    Example("pass_unknown", VISITOR, Finding("unknown")),
    Example("pass_used_up", VISITOR, Finding("used", pass_id="v")),
    Example("right_ended", VISITOR, Finding("match", None, "ended", pass_id="v")),
    Example("granted", VISITOR, Finding("match", None, "live", pass_id="v")),
    Example("credential_not_taken", {**VISITOR, "door": GATE}, Finding("match", None, "live")),
    Example("outside_hours", {**CARD, "outside_hours": True}),
    Example("passback", {**CARD, "policy": Policy(passback="hard")}, TWICE),
    Example("granted_passback", CARD, TWICE),
    Example("way_out", {**CARD, "door": OUT}, Finding("unknown")),
    Example("way_out", {"door": OUT, "policy": Policy(), "state": "locked"}, Finding("unknown")),
    Example("way_out", {**CARD, "door": OUT}, Finding("match", ENROLLED, "ended")),
    Example("granted", {**CARD, "door": OUT}),
    Example("late", {**CARD, "door": OUT, "timing": "late"}),
    Example("opened_by_guard", {"credential": "remote", "state": "locked"}, Finding("unknown")),
    Example("granted_under_duress", PIN, Finding("match", ENROLLED, "live", duress=True)),
    Example("right_ended", PIN, Finding("match", ENROLLED, "ended", duress=True)),
    Example("granted", PANEL, Finding("match", ON_PANEL, "live")),
    Example(
        "granted", {**PANEL, "liveness": None}, Finding("match", ON_PANEL, "live")
    ),  # a panel's yes is its own verdict on that
    Example("credential_not_taken", {**PANEL, "policy": FACES}),  # where the gateway decides
    Example("faces_off", {**PANEL, "policy": Policy(panels_match=True)}, asks=("card",)),
    Example("no_consent", PANEL, Finding("match", ENROLLED, "live")),  # to faces, and not to a panel's copy
    Example("face_unsure", PANEL, Finding("unsure"), asks=("card",)),
    Example("unknown_person", PANEL, Finding("match")),
    Example("granted"),
    Example("granted", CARD),
    Example("granted", CARD, Finding("match", UNWILLING, "live")),  # a card needs no consent to faces
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.cause)
def test_each_cause(example: Example) -> None:
    decision = decide(attempt(**example.attempt), example.finding)
    assert decision.cause.code == example.cause
    assert decision.ask == example.asks


def test_every_cause_has_an_example() -> None:
    assert {example.cause for example in EXAMPLES} == {cause.code for cause in CAUSES}


@pytest.mark.parametrize(
    ("until", "cause"),
    [(date(2026, 9, 2), "granted"), (TODAY, "liveness_missing"), (date(2026, 8, 31), "liveness_missing")],
)
def test_a_waiver_of_the_liveness_verdict_ends_on_its_day(until: date, cause: str) -> None:
    policy = Policy(faces=True, liveness_waiver_until=until)
    assert decide(attempt(policy=policy, liveness=None), FOUND).cause.code == cause


def test_no_waiver_covers_a_failed_verdict() -> None:
    policy = Policy(faces=True, liveness_waiver_until=date(2099, 1, 1))
    assert decide(attempt(policy=policy, liveness="spoof"), FOUND).cause.code == "liveness_failed"


@pytest.mark.parametrize(
    ("now_s", "state"), [(99.0, "not_begun"), (100.0, "live"), (199.9, "live"), (200.0, "ended")]
)
def test_a_right_holds_from_its_first_moment_to_before_its_last(now_s: float, state: str) -> None:
    person = Person("p", {"gate": ((100.0, 200.0),)})
    assert right_at(person, "gate", now_s) == state
    assert right_at(person, "a", now_s) == "none"


def test_of_several_rights_the_living_one_counts_then_the_coming_one() -> None:
    person = Person("p", {"gate": ((0.0, 10.0), (20.0, 30.0))})
    assert [right_at(person, "gate", now_s) for now_s in (5.0, 15.0, 25.0, 35.0)] == [
        "live",
        "not_begun",
        "live",
        "ended",
    ]


attempts = st.builds(
    Attempt,
    door=st.none()
    | st.builds(
        Door,
        device=st.just("d"),
        group=st.just("gate"),
        credentials=st.frozensets(st.sampled_from(["face", "card", "pin"])),
        active=st.booleans(),
        way=st.sampled_from(["in", "in", "out"]),
    ),
    policy=st.builds(
        Policy,
        faces=st.booleans(),
        passback=st.sampled_from(["soft", "hard"]),
        liveness_waiver_until=st.none() | st.sampled_from([date(2026, 8, 1), date(2026, 10, 1)]),
    ),
    credential=st.sampled_from(["face", "card", "pin"]),
    today=st.just(TODAY),
    timing=st.sampled_from(["fresh", "late", "skewed"]),
    resent=st.booleans(),
    liveness=st.sampled_from(["live", "spoof", None]),
    state=st.sampled_from(["normal", "normal", "released", "locked"]),
    outside_hours=st.booleans(),
    too_many=st.booleans(),
)
findings = st.builds(
    Finding,
    recognition=st.sampled_from(
        ["match", "unsure", "unknown", "busy", "unavailable", "not_usable", "blocked", "no_key"]
    ),
    person=st.none() | st.sampled_from([ENROLLED, UNWILLING]),
    right=st.sampled_from(["live", "ended", "not_begun", "none"]),
    duress=st.booleans(),
    passback=st.booleans(),
)


@given(attempts, findings)
def test_a_door_opens_only_when_nothing_at_all_speaks_against_it(attempt: Attempt, finding: Finding) -> None:
    decision = decide(attempt, finding)
    door, person = attempt.door, finding.person
    is_live = not attempt.resent and attempt.timing == "fresh"
    may_open = (
        door is not None
        and attempt.state != "locked"
        and not attempt.outside_hours
        and not attempt.too_many
        and not (finding.passback and attempt.policy.passback == "hard")
        and attempt.credential in door.credentials
        and door.credentials != {"face"}
        and finding.recognition == "match"
        and person is not None
        and finding.right == "live"
    )
    if attempt.credential == "face":
        waiver = attempt.policy.liveness_waiver_until
        verdict = attempt.liveness == "live" or (
            attempt.liveness is None and waiver is not None and waiver > TODAY
        )
        may_open = (
            may_open and attempt.policy.faces and verdict and person is not None and person.face_consent
        )
    if door is not None and door.way == "out":
        may_open = True  # nobody is kept in
    may_open = may_open and door is not None and door.active
    if door is not None and attempt.state == "released":
        may_open = True
    assert (decision.cause.outcome == "open") == (may_open and is_live)


@given(attempts, findings)
def test_who_is_asked_for_another_credential_can_give_one(attempt: Attempt, finding: Finding) -> None:
    decision = decide(attempt, finding)
    if decision.cause.outcome == "ask":
        assert decision.ask
        assert attempt.credential not in decision.ask
        assert attempt.door is not None
        assert set(decision.ask) <= attempt.door.credentials
    else:
        assert decision.ask == ()


@given(attempts, findings)
def test_what_is_clear_before_anybody_is_recognised_stays_so(attempt: Attempt, finding: Finding) -> None:
    early = before_recognition(attempt)
    if early is not None:
        assert decide(attempt, finding).cause == early.cause
    if early is None:
        assert worth_recognising(attempt)


@given(attempts, findings)
def test_only_a_recognised_person_stands_in_the_record(attempt: Attempt, finding: Finding) -> None:
    decision = decide(attempt, finding)
    if decision.person_id is not None:
        assert finding.recognition in ("match", "blocked")
