"""Whatever bytes come in, the driver gives a value and never an exception, and nothing false opens."""

from __future__ import annotations

import json
import random
from pathlib import Path

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from gateway.drivers import DeviceSign, DoorEvent, Rejected
from gateway.drivers.native import NativeDriver
from tests.unit.gateway.stage import Stage, card

GOOD = [
    path.read_bytes()
    for path in sorted((Path(__file__).resolve().parents[2] / "contracts/native").rglob("good/*.json"))
]
DRIVER = NativeDriver("estate")
LEAVES = st.sampled_from(["event", "status"])

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=5,
)
names = st.sampled_from(["v", "id", "at", "kind", "frames", "card", "track", "resent", "liveness", "state"])


def check(leaf: str, payload: bytes) -> None:
    reading = DRIVER.read(f"estate/e/d/{leaf}", payload)
    if isinstance(reading, DoorEvent):
        assert leaf == "event"
        assert 1 <= len(reading.event_id) <= 64
        assert reading.event_id.isprintable() or not reading.event_id.isascii()
        assert reading.card or reading.code or reading.templates or reading.images
        assert all(len(template) == 512 for template in reading.templates)
    elif isinstance(reading, Rejected):
        assert reading.reason
        assert reading.size_bytes == len(payload)
    else:
        assert isinstance(reading, DeviceSign)
        assert leaf == "status"


@settings(max_examples=150)
@given(LEAVES, st.binary(max_size=200))
@example("event", b"[" * 100_000)
@example("event", b'{"v":1,"id":' + b"9" * 5000 + b"}")
@example("event", b'{"v":1,"id":"a","at":"9999-12-31T23:59:59-23:59","kind":"card","card":"1"}')
def test_any_bytes_give_a_value(leaf: str, payload: bytes) -> None:
    check(leaf, payload)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(LEAVES, st.dictionaries(names, values, max_size=6))
def test_any_json_gives_a_value(leaf: str, content: dict[str, object]) -> None:
    check(leaf, json.dumps(content).encode())


@settings(max_examples=300)
@given(LEAVES, st.sampled_from(GOOD), st.integers(0, 2**32))
def test_a_good_message_with_faults_in_it_gives_a_value(leaf: str, payload: bytes, seed: int) -> None:
    chance, broken = random.Random(seed), bytearray(payload)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(broken))
        match chance.randrange(4):
            case 0:
                broken[place] = chance.randrange(256)
            case 1:
                del broken[place : place + chance.randrange(1, 20)]
            case 2:
                broken[place:place] = chance.choice(
                    [b'"', b"{", b"\\u0000", b"\xff", b"1e999", b"null", b","]
                )
            case _:
                broken[place : place + 4] = chance.choice([b"true", b"[]", b"-1", b'""'])
        if not broken:
            break
    check(leaf, bytes(broken))


@settings(max_examples=30)
@given(names, values)
def test_a_message_with_one_field_of_another_kind_gives_a_value(name: str, value: object) -> None:
    for payload in GOOD:
        content = json.loads(payload)
        check("event", json.dumps({**content, name: value}).encode())
        content.pop(name, None)
        check("event", json.dumps(content).encode())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(LEAVES, st.binary(max_size=100) | st.sampled_from(GOOD)), max_size=10))
def test_between_any_other_messages_a_residents_card_still_opens_and_nothing_else_does(
    others: list[tuple[str, bytes]],
) -> None:
    assume(not any(b"fire" in payload for _, payload in others))  # that opens everything, as it should
    stage = Stage()
    stage.pass_by(60)
    half = len(others) // 2
    messages = [(f"estate/e/gate/{leaf}", payload) for leaf, payload in others]
    stage.take(*messages[:half], stage.message(card("mine")), *messages[half:])
    stage.write()
    assert stage.cause("mine") == "granted"
    assert [event for event in stage.answers if stage.openings(event)] == ["mine"]
