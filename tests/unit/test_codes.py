"""Backend and gateway compute the same of a code, and no code is easy to guess."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from backend.registry import codes as ours
from gateway import codes as theirs

CONTRACT = json.loads((Path(__file__).resolve().parents[1] / "contracts/codes.json").read_text("utf-8"))
KEY = base64.b64decode(CONTRACT["key"])
SEED = base64.b64decode(CONTRACT["qr"]["seed"])


def test_references_are_the_same_on_both_sides() -> None:
    pin, visitor = CONTRACT["pin"], CONTRACT["visitor"]
    assert ours.pin_reference(KEY, group_id=pin["group"], pin=pin["pin"]) == theirs.pin_reference(
        KEY, pin["group"], pin["pin"]
    )
    assert ours.visitor_reference(KEY, visitor["code"]) == theirs.visitor_reference(KEY, visitor["code"])


def test_a_seed_that_the_backend_sealed_opens_at_the_gateway_of_that_estate_only() -> None:
    sealed = ours.seal_seed(KEY, "east", "q1", SEED, bytes(12))
    assert theirs.open_seed(KEY, "east", "q1", sealed) == SEED
    assert theirs.open_seed(KEY, "west", "q1", sealed) is None
    assert theirs.open_seed(bytes(32), "east", "q1", sealed) is None
    assert theirs.open_seed(KEY, "east", "q1", "no base64") is None
    with pytest.raises(InvalidTag):
        ours.open_seed(KEY, "east", "q2", sealed)


@given(st.integers(0, 2**33), st.sampled_from(["gate", "a", "b-2"]))
def test_a_qr_code_is_the_same_on_both_sides_and_another_for_each_group(at_s: int, group: str) -> None:
    text = ours.qr_text(SEED, "q1", group, at_s)
    assert text == theirs.qr_text(SEED, "q1", group, at_s)
    assert text != ours.qr_text(SEED, "q1", group + "x", at_s)
    shown = theirs.read_qr(text)
    assert shown is not None
    assert theirs.UsedCodes().check(SEED, shown, at_s + 30) == "match"


def test_pins_get_longer_with_the_group_so_that_guessing_stays_hopeless() -> None:
    assert [ours.pin_digits(live) for live in (0, 98, 99, 998, 9_998)] == [6, 6, 7, 7, 8]


def test_no_pin_is_one_that_everybody_tries_first() -> None:
    chance = random.Random(7)
    pins = [ours.draw_pin(6, chance.randrange) for _ in range(5_000)]
    assert not {"000000", "123456", "654321", "111111", "121212"} & set(pins)
    assert all(ours.is_obvious(pin) for pin in ("123456", "654321", "901234", "000000", "787878"))
    assert all(len(pin) == 6 for pin in pins)
