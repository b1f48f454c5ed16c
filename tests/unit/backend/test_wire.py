"""Reading what gateways send: every fault is a refusal, never a crash, and never quoted."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.access.wire import read_batch, read_status

RECORD: dict[str, Any] = {
    "record_id": "00000000-0000-0000-0000-000000000001",
    "estate": "east",
    "device": "east-gate",
    "passage": "track:1",
    "events": ["e1"],
    "credential": "face",
    "device_at": "2026-06-01T04:00:00Z",
    "received_at": "2026-06-01T12:00:00+08:00",
    "outcome": "deny",
    "cause": "unknown_person",
    "person": None,
    "resent": True,
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def read(*records: object) -> Any:
    return read_batch(json.dumps({"records": list(records)}).encode())


def test_a_good_record_is_read_whole() -> None:
    one = read(RECORD).records[0]
    assert (one.estate, one.cause, one.resent) == ("east", "unknown_person", True)
    assert one.device_at == one.received_at


@given(st.sampled_from(sorted(RECORD)), JSON)
def test_any_value_in_any_field_is_read_or_refused(name: str, value: object) -> None:
    found = read(RECORD | {name: value}, RECORD)
    assert len(found.records) + len(found.refused) == 2
    assert found.records[-1] == read(RECORD).records[0]


@given(st.sampled_from(sorted(RECORD)))
def test_a_missing_field_is_refused(name: str) -> None:
    found = read({key: value for key, value in RECORD.items() if key != name})
    assert [one.reason for one in found.refused] == ["wrong_shape"]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_a_refusal(body: bytes) -> None:
    for reader in (read_batch, read_status):
        try:
            reader(body)
        except msgspec.MsgspecError:
            continue


@pytest.mark.parametrize("name", ["template", "Image", "FRAMES", "embedding"])
def test_a_face_under_any_known_name_is_called_biometric(name: str) -> None:
    found = read(RECORD | {name: "x" * 700})
    assert [(one.record_id, one.reason) for one in found.refused] == [(RECORD["record_id"], "biometric")]
    assert found.reasons() == "biometric=1"


def test_a_record_without_a_readable_id_is_named_by_its_place() -> None:
    found = read(RECORD, {"record_id": "x"}, 7)
    assert [one.record_id for one in found.refused] == ["#1", "#2"]
    assert found.reasons() == "wrong_shape=2"
