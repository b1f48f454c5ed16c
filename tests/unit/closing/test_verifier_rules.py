"""The verifier's own small rules, apart from a pack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.closing.records import yuan
from backend.closing.verify_pack import (
    DamagedError,
    differences,
    entry_hash,
    external_id,
    fen_from,
    read_files,
    read_lines,
    sums,
)


@given(st.integers(-(10**13), 10**13))
def test_an_amount_is_read_as_it_was_written(fen: int) -> None:
    assert fen_from(yuan(fen)) == fen


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-100, 100))))
def test_sums_lose_nothing(rows: list[tuple[str, int]]) -> None:
    found = sums(rows)
    assert sum(found.values()) == sum(fen for _, fen in rows)
    assert set(found) == {key for key, _ in rows}


@pytest.mark.parametrize(
    "line", ["no json", "[]", "{}", '{"household": "h", "ref": "r"}', '{"ref": 1, "household": 2, "unit": 3}']
)
def test_a_line_without_exactly_its_fields_is_damage(line: str) -> None:
    with pytest.raises(DamagedError):
        read_lines({"households.jsonl": line.encode()}, "households.jsonl")


def test_lines_end_only_at_line_feeds() -> None:
    row = '{"household": "h", "ref": "a\u2028b", "unit": "u"}'
    found = read_lines({"households.jsonl": f"{row}\n{row}\n".encode()}, "households.jsonl")
    assert [one["ref"] for one in found] == ["a\u2028b"] * 2
    assert read_lines({}, "households.jsonl") == []


def test_what_is_neither_folder_nor_zip_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    path.write_bytes(b"no pack")
    with pytest.raises(DamagedError):
        read_files(path)


LINES = [
    {"account": "1002", "debit_fen": 5, "credit_fen": 0},
    {"account": "1001", "debit_fen": 0, "credit_fen": 5},
]
ENTRY: dict[str, Any] = {
    "entry_id": 1,
    "event_kind": "payment",
    "event_key": "stripe:pi_1",
    "effective_on": "2026-11-03",
    "posted_at": "2026-11-03T02:00:00.000000Z",
    "summary_zh": "收款",
    "actor": "x",
    "principal_id": None,
    "reverses_entry_id": None,
    "reason": None,
    "lines": LINES,
    "postings": [["1002", 5, 0, "e", None, None, None], ["1001", 0, 5, None, None, None, None]],
}
HASHED = [name for name in ENTRY if name not in ("lines", "postings")]


def test_the_hash_covers_what_was_before_and_every_field() -> None:
    genesis = "0" * 64
    moved = [*ENTRY["postings"][1:], *ENTRY["postings"][:1]]
    others = {
        entry_hash("1" * 64, "book", ENTRY),
        entry_hash(genesis, "other", ENTRY),
        entry_hash(genesis, "book", {**ENTRY, "postings": moved}),
        *(entry_hash(genesis, "book", {**ENTRY, name: "else"}) for name in HASHED),
    }
    assert entry_hash(genesis, "book", ENTRY) not in others
    assert len(others) == 3 + len(HASHED)


def test_the_other_sides_number_is_found_in_the_key() -> None:
    assert external_id({"event_kind": "payment", "event_key": "stripe:pi_1"}) is not None
    assert external_id({"event_kind": "rent_charge", "event_key": "t:2026-11:0"}) is None


def test_a_row_that_is_dropped_doubled_or_changed_is_named() -> None:
    rows = [("a", 1), ("b", 2), ("c", 3)]
    assert list(differences("x", rows, rows)) == []
    for found in (rows[:2], [*rows, rows[2]], [("a", 1), ("b", 3), ("c", 3)], [rows[1], rows[0], rows[2]]):
        assert list(differences("x", rows, found))
