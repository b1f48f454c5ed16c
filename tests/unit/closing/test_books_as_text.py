"""A month as plain values, and the files that it becomes: what other programs read, line by line."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.closing.beancount_file import beancount_account, beancount_lines
from backend.closing.checklist import Point, missing
from backend.closing.hledger_file import hledger_account, hledger_lines
from backend.closing.records import Account, Assertion, BookMonth, Entry, Month, Posting, yuan
from backend.closing.surplus import closing_entry
from backend.ledger.chart import read_chart
from backend.ledger.rules import check
from tests.unit.money.voucher_page import CHART, hold

NOVEMBER = Month(date(2026, 11, 1))
BANK, RENT = (
    Account("1002", "银行存款", "Bank", "asset"),
    Account("1212.01", "应收账款—租金", "Rent", "asset"),
)
FUNDING = Account("4001", "财政拨款收入", "Funding", "income")
FEE = Account("5001.01", "业务活动费用—支付渠道手续费", "Fee", "expense")
ACCOUNTS = (BANK, RENT, FUNDING, FEE)


def entry(on: date, fen: int, summary: str = "收款", external_id: str | None = None) -> Entry:
    postings = (Posting("1002", fen, 0), Posting("1212.01", 0, fen))
    return Entry(
        7, "ab" * 32, 11, "payment", "stripe:pi_1", on, "", summary, "test", None, None, None, None,
        postings, external_id,
    )  # fmt: skip


def book(assertions: tuple[Assertion, ...] = (), opening: dict[str, int] | None = None) -> BookMonth:
    return BookMonth("lianhu-1", "莲湖小区", NOVEMBER, ACCOUNTS, opening or {}, assertions)


@given(st.dates(date(1901, 1, 1), date(2200, 1, 1)))
def test_every_day_is_in_exactly_one_month(day: date) -> None:
    month = Month(day.replace(day=1))
    assert day in month
    assert month.last_on in month
    assert month.to_on not in month
    assert month.before.to_on == month.from_on
    assert month.before.last_on == month.from_on - timedelta(days=1)


@given(st.integers(-(10**15), 10**15))
def test_yuan_is_the_same_amount(fen: int) -> None:
    whole, _, part = yuan(fen).lstrip("-").partition(".")
    assert (int(whole) * 100 + int(part)) * (-1 if fen < 0 else 1) == fen
    assert len(part) == 2


def test_income_and_expense_go_to_the_surplus() -> None:
    accounts = [Account(one.code, one.name_zh, one.name_en, one.kind, one.role) for one in read_chart()]
    balances = {"4001": -50_000, "5001.01": 1_200, "5001.02": -300, "1002": 9_999, "5901.01": 0}
    made = closing_entry(
        CHART, accounts, balances, "lianhu-1", "lianhu-1", NOVEMBER, 2,
        datetime(2026, 12, 1, tzinfo=UTC), "test", UUID(int=1),
    )  # fmt: skip
    assert made is not None
    assert (made.event_key, made.effective_on) == ("2026-11:2", date(2026, 11, 30))
    check(made)
    left = dict(balances)
    for line in made.lines:
        left[line.account_code] = left.get(line.account_code, 0) + line.debit_fen - line.credit_fen
    assert left == {**balances, "4001": 0, "5001.01": 0, "5001.02": 0, "3301": 1_200 - 300 - 50_000}


def test_the_closing_entry_of_fees_and_funding_is_the_documented_one() -> None:
    made = closing_entry(
        CHART, ACCOUNTS, {"4001": -5, "5001.01": 7}, "b", "b", NOVEMBER, 1,
        datetime(2026, 12, 1, tzinfo=UTC), "test", UUID(int=1),
    )  # fmt: skip
    assert made is not None
    hold(made, {"funding": 5, "provider_fee": 7})


@pytest.mark.parametrize("balances", [{}, {"1002": 5}, {"4001": 0}])
def test_where_nothing_was_earned_or_spent_there_is_no_closing_entry(balances: dict[str, int]) -> None:
    now = datetime(2026, 12, 1, tzinfo=UTC)
    assert closing_entry(CHART, ACCOUNTS, balances, "b", "b", NOVEMBER, 1, now, "x", UUID(int=1)) is None


def test_only_a_point_that_may_wait_can_be_closed_despite() -> None:
    done, waits = Point("a", "", "", 0), Point("b", "", "", 2, may_wait=True)
    never = Point("c", "", "", 1)
    assert missing([done, waits, never]) == [waits, never]
    assert missing([done, waits, never], frozenset({"a", "b", "c"})) == [never]


def test_accounts_are_named_as_each_program_takes_them() -> None:
    assert beancount_account(RENT) == "Assets:1212-01-应收账款租金"
    assert hledger_account(RENT) == "资产:1212.01 应收账款—租金"


def test_beancount_asserts_the_end_of_a_day_at_the_beginning_of_the_next() -> None:
    said = Assertion("1002", date(2026, 11, 30), 12_345, "bank", "file:1")
    text = "".join(beancount_lines(book((said,), {"1002": 345, "1212.01": -345, "4001": 0}), []))
    assert "2026-12-01 balance Assets:1002-银行存款  123.45 CNY\n" in text
    assert '2026-10-31 * "opening" "期初余额"\n  Assets:1002-银行存款  3.45 CNY\n' in text
    assert "Income:4001-财政拨款收入  0.00" not in text
    assert 'option "tolerance_multiplier" "0"' in text


def test_what_a_person_typed_cannot_become_markup() -> None:
    nasty = entry(date(2026, 11, 3), 5, 'a"\\ \n2026-01-01 close Assets:1002 ; x | y', "pi_1")
    beancount = "".join(beancount_lines(book(), [nasty]))
    assert '2026-11-03 * "payment" "a\\"\\\\  2026-01-01 close Assets:1002 ; x | y"\n' in beancount
    hledger = "".join(hledger_lines(book(), [nasty]))
    assert '2026-11-03 * (7) payment | a"\\ 2026-01-01 close Assets:1002 ； x ｜ y\n' in hledger
    assert not any(line.startswith("2026-01-01") for line in (beancount + hledger).splitlines())
    assert '  external: "pi_1"\n' in beancount
    assert "    ; external:pi_1\n" in hledger


def test_hledger_asserts_a_day_behind_its_last_entry() -> None:
    said = (
        Assertion("1002", date(2026, 11, 30), 30, "bank", "b"),
        Assertion("1002", date(2026, 11, 3), 10, "bank", "a"),
    )
    entries = [entry(date(2026, 11, 3), 10), entry(date(2026, 11, 4), 20)]
    text = "".join(hledger_lines(book(said), entries))
    days = [line[:10] for line in text.splitlines() if line.startswith("2026-") and " * " in line]
    assert days == ["2026-11-03", "2026-11-03", "2026-11-04", "2026-11-30"]
    assert "资产:1002 银行存款  0.00 CNY = 0.10 CNY" in text
