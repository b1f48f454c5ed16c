"""A day of the ledger: its sheets and its sums."""

from __future__ import annotations

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from backend.ledger.rules import NO_DIMENSIONS
from backend.ledger.service import Balance, EntryView, PostingView
from backend.web.ledger_view import EVENTS, PAGE_ENTRIES, entry_row, ledger_page, sheet_within
from tests.unit.money.voucher_page import documented

DAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
NAMES = {"1212.01": "应收账款—租金", "2103.01": "应缴财政款"}


def entry(entry_id: int, amount_fen: int, kind: str = "rent_charge") -> EntryView:
    debit, credit = ("1212.01", amount_fen, 0), ("2103.01", 0, amount_fen)
    postings = tuple(
        PostingView(code, NAMES[code], code, left, right, NO_DIMENSIONS)
        for code, left, right in (debit, credit)
    )
    return EntryView(
        entry_id, "pj", kind, str(entry_id), DAY, NOON, "应收", "计租", None, None, None, amount_fen, postings
    )  # fmt: skip


def test_every_documented_business_event_has_words_for_people() -> None:
    assert set(EVENTS) == set(documented())


@given(st.integers(0, 1000), st.integers(-5, 40))
def test_every_entry_of_a_day_stands_on_exactly_one_sheet(count: int, wanted: int) -> None:
    sheet, sheets = sheet_within(count, wanted)
    assert 1 <= sheet <= sheets
    assert (sheets - 1) * PAGE_ENTRIES < max(count, 1) <= sheets * PAGE_ENTRIES
    assert sheet == wanted or not 1 <= wanted <= sheets


def test_a_sheet_shows_the_sums_of_the_whole_day() -> None:
    sums = [Balance(code, NAMES[code], code, "asset", 12, 12) for code in NAMES]
    page = ledger_page(DAY, [entry(1, 5)], sums, 120, {"pj": "北苑"}, 9)
    assert (page.debit_fen, page.credit_fen, page.entry_count) == (24, 24, 120)
    assert (page.sheet, page.sheets, len(page.entries)) == (3, 3, 1)
    assert [(one.code, one.name_zh) for one in page.accounts] == list(NAMES.items())


def test_an_event_without_words_of_its_own_keeps_its_name() -> None:
    row = entry_row(entry(1, 5, "treasury_remittance"), {})
    assert (row.event_zh, row.book_zh) == ("treasury_remittance", "pj")
