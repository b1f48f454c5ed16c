"""PINs, rotating QR codes and visitors' passes at a door, and what guessing leads to."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.codes import GuessLimits, qr_text
from gateway.drivers import Address
from gateway.roster import Item
from tests.unit.gateway.stage import ESTATE, KEY, RESIDENT, Stage, card, item

PIN, DURESS_PIN, CODE = "482913", "771204", "50318842"
SEED = bytes(range(20))
PASS = "33333333-3333-4333-8333-333333333333"
GATE = Address(ESTATE, "gate")
RIGHTS = [{"group": "gate", "from": "2020-01-01T00:00:00Z", "to": None}]


def digest(text: str) -> str:
    return hmac.digest(KEY, text.encode(), "sha256").hex()


def sealed_seed(key: bytes = KEY) -> str:
    nonce = bytes(12)
    cipher = AESGCM(hmac.digest(key, b"qr seal", "sha256"))
    return base64.b64encode(nonce + cipher.encrypt(nonce, SEED, f"{ESTATE}/q1".encode())).decode()


def person(**more: Any) -> dict[str, Any]:
    pins = [
        {"group": "gate", "hmac": digest(f"pin:gate:{PIN}")},
        {"group": "gate", "hmac": digest(f"pin:gate:{DURESS_PIN}"), "duress": True},
    ]
    return {"rights": RIGHTS, "pins": pins, "qr": {"id": "q1", "sealed": sealed_seed()}, **more}


def visitor_pass(**more: Any) -> dict[str, Any]:
    return {
        "group": "gate",
        "hmac": digest(f"visitor:{CODE}"),
        "from": "2020-01-01T00:00:00Z",
        "to": "2099-01-01T00:00:00Z",
        "uses_max": 2,
        **more,
    }


def given() -> list[Item]:
    credentials = ["card", "pin", "qr"]
    return [
        item("door", "gate", {"group": "gate", "credentials": credentials}),
        item("door", "house", {"group": "house", "credentials": credentials}),
        item("person", RESIDENT, person()),
        item("pass", PASS, visitor_pass()),
    ]


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.change(*given())
    return stage


def pin(event_id: str, digits: str = PIN) -> dict[str, Any]:
    return {"id": event_id, "kind": "pin", "pin": digits}


def qr(event_id: str, text: str) -> dict[str, Any]:
    return {"id": event_id, "kind": "qr", "code": text}


def visitor(event_id: str, code: str = CODE) -> dict[str, Any]:
    return {"id": event_id, "kind": "visitor", "code": code}


def shown(stage: Stage, group: str = "gate", ago_s: float = 0.0) -> str:
    return qr_text(SEED, "q1", group, stage.wall_s - ago_s)


def test_a_pin_opens_its_own_group_and_no_other(stage: Stage) -> None:
    stage.event(pin("a"))
    stage.event(pin("b"), device="house")
    assert (stage.cause("a"), stage.cause("b")) == ("granted", "pin_wrong")
    assert [record.person for record in stage.disk.records] == [RESIDENT, None]


def test_no_pin_and_no_code_stands_in_a_record(stage: Stage) -> None:
    stage.event(pin("a"))
    stage.event(visitor("b"))
    stage.event(qr("c", shown(stage)))
    written = repr(stage.disk.records)
    assert not any(secret in written for secret in (PIN, CODE, shown(stage)))


def test_a_duress_pin_opens_like_any_other_and_calls_for_help(stage: Stage) -> None:
    stage.event(pin("a"))
    stage.event(pin("b", DURESS_PIN))
    usual, forced = stage.answers["a"][0], stage.answers["b"][0]
    assert {**usual, "id": ""} == {**forced, "id": ""}  # who stands beside learns nothing
    assert stage.alarms == [(GATE, "duress", RESIDENT)]
    assert [record.cause for record in stage.disk.records] == ["granted", "granted_under_duress"]


def test_after_too_many_wrong_pins_the_right_one_waits_too(stage: Stage) -> None:
    for number in range(3):
        stage.event(pin(f"w{number}", f"00000{number}"))
    stage.event(pin("right"))
    assert stage.cause("right") == "too_many_attempts"
    assert stage.alarms == [(GATE, "codes_guessed", None)]
    stage.event(card("c"))
    assert stage.cause("c") != "too_many_attempts"
    stage.pass_by(301)
    stage.event(pin("later"))
    assert stage.cause("later") == "granted"


def test_a_batch_of_guesses_is_counted_one_by_one(stage: Stage) -> None:
    guesses = [stage.message(pin(f"w{number}", f"{number:06d}")) for number in range(40)]
    stage.take(*guesses, stage.message(pin("right")))
    stage.write()
    causes = [record.cause for record in stage.disk.records]
    assert causes.count("pin_wrong") == 3
    assert stage.cause("right") == "too_many_attempts"


def test_guesses_at_many_doors_stop_the_whole_estate(stage: Stage) -> None:
    doors = [f"d{number}" for number in range(5)]
    stage.change(*(item("door", door, {"group": "gate", "credentials": ["pin", "card"]}) for door in doors))
    for number, door in enumerate(doors * 2):
        stage.event(pin(f"w{number}", f"{number:06d}"), device=door)
    stage.event(pin("right"))
    assert stage.cause("right") == "too_many_attempts"


def test_a_qr_code_opens_once_within_its_minute(stage: Stage) -> None:
    text = shown(stage)
    stage.event(qr("a", text))
    stage.event(qr("b", text))
    assert (stage.cause("a"), stage.cause("b")) == ("granted", "code_used")
    stage.pass_by(30)
    stage.event(qr("c", shown(stage)))
    assert stage.cause("c") == "granted"


@pytest.mark.parametrize(
    ("ago_s", "cause"), [(0, "granted"), (30, "granted"), (-30, "granted"), (90, "qr_expired")]
)
def test_a_qr_code_is_worth_a_minute(stage: Stage, ago_s: float, cause: str) -> None:
    stage.event(qr("a", shown(stage, ago_s=ago_s)))
    assert stage.cause("a") == cause


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("SEQ1:q1:gate:00000000", "qr_invalid"),
        ("SEQ1:q2:gate:00000000", "qr_invalid"),
        ("https://example.org/", "qr_invalid"),
        ("SEQ1:::", "qr_invalid"),
        ("SEV1:99999999", "pass_unknown"),
    ],
)
def test_a_qr_code_of_nobodys_opens_nothing(stage: Stage, text: str, cause: str) -> None:
    stage.event(qr("a", text))
    assert stage.cause("a") == cause


def test_a_qr_code_for_one_group_opens_no_other(stage: Stage) -> None:
    stage.event(qr("a", shown(stage, group="gate")), device="house")
    assert stage.cause("a") == "wrong_door"
    forged = shown(stage, group="gate").replace(":gate:", ":house:")
    stage.event(qr("b", forged), device="house")
    assert stage.cause("b") == "qr_invalid"


def test_a_seed_that_was_sealed_for_another_estate_is_none(stage: Stage) -> None:
    stage.change(item("person", RESIDENT, person(qr={"id": "q1", "sealed": sealed_seed(bytes(31) + b"x")})))
    stage.event(qr("a", shown(stage)))
    assert stage.cause("a") == "qr_invalid"


def test_a_code_that_has_opened_opens_nothing_after_a_kill(stage: Stage) -> None:
    text, items = shown(stage), given()
    stage.event(qr("a", text))
    stage.restart()
    stage.change(*items)
    stage.recall()
    stage.pass_by(1)
    stage.event(qr("b", text))
    assert (stage.cause("a"), stage.cause("b")) == ("granted", "code_used")
    stage.pass_by(90)
    stage.event(qr("c", shown(stage)))
    assert stage.cause("c") == "granted"


def test_a_kill_gives_nobody_new_guesses(stage: Stage) -> None:
    for number in range(3):
        stage.event(pin(f"w{number}", f"00000{number}"))
    stage.restart()
    stage.change(*given())
    stage.recall()
    stage.pass_by(1)
    stage.event(pin("right"))
    assert stage.cause("right") == "too_many_attempts"


def test_other_limits_count_the_guesses_so_far(stage: Stage) -> None:
    for number in range(2):
        stage.event(pin(f"w{number}", f"00000{number}"))
    stage.guesses.take_limits(GuessLimits(2, 8, 300))
    stage.event(pin("right"))
    assert stage.cause("right") == "too_many_attempts"
    stage.guesses.take_limits(GuessLimits(5, 8, 300))
    stage.event(pin("again"))
    assert stage.cause("again") == "granted"


def test_a_pass_opens_as_often_as_it_may_over_a_kill(stage: Stage) -> None:
    stage.event(visitor("a"))
    stage.restart()
    stage.change(
        item("door", "gate", {"group": "gate", "credentials": ["card", "qr"]}),
        item("pass", PASS, visitor_pass()),
    )
    stage.pass_by(1)
    stage.event(qr("b", f"SEV1:{CODE}"))
    stage.event(visitor("c"))
    assert [stage.cause(event) for event in "abc"] == ["granted", "granted", "pass_used_up"]
    assert [record.pass_id for record in stage.disk.records] == [PASS] * 3


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ({"from": "2098-01-01T00:00:00Z"}, "right_not_begun"),
        ({"to": "2021-01-01T00:00:00Z"}, "right_ended"),
        ({"group": "house"}, "wrong_door"),
    ],
)
def test_a_pass_has_its_day_and_its_doors(stage: Stage, more: dict[str, Any], cause: str) -> None:
    stage.change(item("pass", PASS, visitor_pass(**more)))
    stage.event(visitor("a"))
    assert stage.cause("a") == cause


def test_what_was_taken_back_opens_nothing(stage: Stage) -> None:
    stage.change(item("pass", PASS, None), item("person", RESIDENT, {"rights": RIGHTS}))
    stage.event(visitor("a"))
    stage.event(pin("b"))
    stage.event(qr("c", shown(stage)))
    assert [stage.cause(event) for event in "abc"] == ["pass_unknown", "pin_wrong", "qr_invalid"]


@pytest.mark.parametrize("content", [pin("a"), visitor("a"), qr("a", "SEV1:50318842")])
def test_a_code_that_comes_late_or_again_opens_nothing(stage: Stage, content: dict[str, Any]) -> None:
    stage.event({**content, "resent": True})
    assert stage.answers == {}
    assert [record.cause for record in stage.disk.records] == ["answer_unknown"]
    stage.event({**content, "id": "b"})
    assert stage.openings("b") == 1  # and no use was counted for the other one


# -- inside and outside -----------------------------------------------------------------------


@pytest.fixture
def two_ways(stage: Stage) -> Stage:
    stage.change(item("door", "exit", {"group": "gate", "credentials": ["pin", "card"], "way": "out"}))
    return stage


def test_in_twice_without_going_out_is_let_in_and_told(two_ways: Stage) -> None:
    two_ways.event(pin("a"))
    two_ways.event(pin("b"))
    two_ways.event(pin("c"), device="exit")
    two_ways.event(pin("d"))
    causes = [record.cause for record in two_ways.disk.records]
    assert causes == ["granted", "granted_passback", "granted", "granted"]
    assert two_ways.alarms == [(GATE, "passback", RESIDENT)]


def test_an_estate_may_choose_to_refuse_it(two_ways: Stage) -> None:
    two_ways.change(
        item("estate", ESTATE, {"name_zh": "测", "name_en": "T", "faces": True, "passback": "hard"})
    )
    two_ways.event(pin("a"))
    two_ways.event(pin("b"))
    assert two_ways.cause("b") == "passback"
    two_ways.pass_by(13 * 3600)
    two_ways.event(pin("c"))
    assert two_ways.cause("c") == "granted"


def test_where_nobody_is_seen_going_out_coming_in_twice_is_nothing(stage: Stage) -> None:
    stage.event(pin("a"))
    stage.event(pin("b"))
    assert stage.cause("b") == "granted"


def test_the_way_out_lets_everybody_out(two_ways: Stage) -> None:
    two_ways.event(pin("a", "000000"), device="exit")
    assert two_ways.openings("a") == 1
    assert two_ways.disk.records[0].cause == "way_out"
    two_ways.event({**pin("b", "000000"), "resent": True}, device="exit")
    assert two_ways.answers["b"] == []


def test_a_door_has_its_hours(stage: Stage) -> None:
    hours = [{"days": [1, 2, 3, 4, 5, 6, 7], "from": "08:00", "to": "16:01"}]
    stage.change(item("door", "gate", {"group": "gate", "credentials": ["pin", "card"], "hours": hours}))
    stage.event(pin("a"))  # four in the afternoon in Jiangmen
    stage.pass_by(60)
    stage.event(pin("b"))
    assert (stage.cause("a"), stage.cause("b")) == ("granted", "outside_hours")
