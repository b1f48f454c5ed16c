"""Entries before they are posted, and the chart of accounts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.ledger.chart import Chart, Role, read_chart
from backend.ledger.errors import (
    AccountRoleMissingError,
    EntryTooLargeError,
    EntryTooShortError,
    PostingSideError,
    UnbalancedEntryError,
)
from backend.ledger.rules import ENTRY_FEN_MAX, Line, NewEntry, check, credit, debit, without_zeros
from estate.config import SettingsError


def entry(*lines: Line) -> NewEntry:
    now = datetime(2026, 11, 3, tzinfo=UTC)
    return NewEntry("city", "test", "1", date(2026, 11, 3), now, "测试", lines, "test")


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ((), EntryTooShortError),
        ((debit("1001", 5),), EntryTooShortError),
        ((debit("1001", 5), credit("1002", 4)), UnbalancedEntryError),
        ((debit("1001", 5), debit("1002", 5)), UnbalancedEntryError),
        ((debit("1001", 0), credit("1002", 0)), PostingSideError),
        ((debit("1001", -5), credit("1002", -5)), PostingSideError),
        ((Line("1001", 5, 5), Line("1002", 5, 5)), PostingSideError),
        ((debit("1001", ENTRY_FEN_MAX + 1), credit("1002", ENTRY_FEN_MAX + 1)), EntryTooLargeError),
    ],
)
def test_what_is_no_entry_is_refused_with_a_sentence(lines: tuple[Line, ...], error: type[Exception]) -> None:
    with pytest.raises(error, match="city/test/1"):
        check(entry(*lines))


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=9))
def test_an_entry_and_its_mirror_both_balance(amounts: list[int]) -> None:
    given_entry = entry(*(debit("1001", fen) for fen in amounts), credit("1002", sum(amounts)))
    check(given_entry)
    check(entry(*(line.mirrored() for line in given_entry.lines)))
    assert given_entry.total_fen == sum(amounts)


def test_an_unbalanced_entry_says_both_sums_in_yuan() -> None:
    with pytest.raises(UnbalancedEntryError) as caught:
        check(entry(debit("1001", 123_456), credit("1002", 5)))
    assert (caught.value.debit_fen, caught.value.credit_fen) == (123_456, 5)
    assert "1234.56" in caught.value.zh
    assert "0.05" in caught.value.zh


def test_nil_lines_are_left_out() -> None:
    assert without_zeros([debit("1", 0), credit("2", 3)]) == (credit("2", 3),)


def test_the_chart_that_comes_with_the_software_has_every_role_once() -> None:
    accounts = read_chart()
    assert {account.role for account in accounts} - {None} == set(Role)
    assert [account.code for account in accounts] == sorted(account.code for account in accounts)


ACCOUNT = '[[account]]\ncode = "{code}"\nname_zh = "甲"\nname_en = "a"\nkind = "{kind}"\n{more}\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ACCOUNT.format(code="1001", kind="asset", more="") * 2, "重复"),
        (ACCOUNT.format(code="1001", kind="asset", more=""), "缺少"),
        (ACCOUNT.format(code="1001", kind="wealth", more=""), "wealth"),
        (ACCOUNT.format(code="10", kind="asset", more=""), "matching regex"),
        (ACCOUNT.format(code="1001", kind="asset", more='role = "purse"'), "purse"),
        (ACCOUNT.format(code="1001", kind="asset", more="weight = 3"), "weight"),
    ],
)
def test_a_wrong_chart_names_the_file_and_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        read_chart(path)
    assert str(path) in str(caught.value)
    assert "account" in str(caught.value)
    assert reason in str(caught.value)


def test_a_role_without_an_account_is_named() -> None:
    with pytest.raises(AccountRoleMissingError, match="prepaid_rent"):
        Chart({}).code(Role.PREPAID_RENT)
