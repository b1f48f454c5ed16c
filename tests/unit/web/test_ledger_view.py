"""A day of the ledger: its sheets and its sums."""

from __future__ import annotations

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from backend.ledger.rules import NO_DIMENSIONS
from backend.ledger.service import EntryView, PostingView
from backend.web.ledger_view import PAGE_ENTRIES, entry_row, ledger_page

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


@given(st.lists(st.integers(1, 10**9), max_size=130), st.integers(-5, 10))
def test_a_sheet_never_changes_the_sums_of_the_day(amounts: list[int], sheet: int) -> None:
    entries = [entry(number, amount) for number, amount in enumerate(amounts, start=1)]
    page = ledger_page(DAY, entries, {"pj": "北苑"}, sheet)
    assert page.debit_fen == page.credit_fen == sum(amounts)
    assert sum(total.debit_fen for total in page.accounts) == sum(amounts)
    assert sum(total.credit_fen for total in page.accounts) == sum(amounts)
    assert page.entry_count == len(amounts)
    assert 1 <= page.sheet <= page.sheets


@given(st.integers(0, 130))
def test_every_entry_stands_on_exactly_one_sheet(count: int) -> None:
    entries = [entry(number, 100) for number in range(1, count + 1)]
    first = ledger_page(DAY, entries, {}, 1)
    pages = [ledger_page(DAY, entries, {}, sheet) for sheet in range(1, first.sheets + 1)]
    assert [row.entry_id for page in pages for row in page.entries] == list(range(1, count + 1))
    assert all(len(page.entries) <= PAGE_ENTRIES for page in pages)


def test_accounts_stand_in_the_order_of_their_codes() -> None:
    page = ledger_page(DAY, [entry(1, 5), entry(2, 7)], {}, 1)
    assert [(total.code, total.name_zh, total.debit_fen, total.credit_fen) for total in page.accounts] == [
        ("1212.01", "应收账款—租金", 12, 0),
        ("2103.01", "应缴财政款", 0, 12),
    ]


def test_an_event_without_words_of_its_own_keeps_its_name() -> None:
    row = entry_row(entry(1, 5, "treasury_remittance"), {})
    assert (row.event_zh, row.book_zh) == ("treasury_remittance", "pj")
