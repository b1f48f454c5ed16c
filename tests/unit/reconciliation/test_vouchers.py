"""The entries that lines imply are those of docs/vouchers.md."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from backend.ledger.books import CITY_BOOK
from backend.ledger.chart import Chart, read_chart
from backend.ledger.rules import Dimensions
from backend.ledger.vouchers import Occasion
from backend.reconciliation.records import Implied
from backend.reconciliation.vouchers import implied_entries, suspense_entry
from tests.unit.money.voucher_page import hold

CHART = Chart({str(one.role): one.code for one in read_chart() if one.role is not None})
DAY = date(2026, 11, 3)
OCCASION = Occasion("pengjiang-1", datetime(2026, 11, 4, tzinfo=UTC), DAY, "test", None)


def implied(kind: str, fen: int = 220, *, given_back: bool = False) -> Implied:
    return Implied(kind, "n1", DAY, {"pengjiang-1": fen}, 1, given_back)


@pytest.mark.parametrize(
    ("kind", "source", "word"),
    [
        ("provider_fee", "wechat", "fee"),
        ("payout", "alipay", "amount"),
        ("payout_arrived", "bank", "amount"),
        ("bank_charge", "bank", "amount"),
        ("bank_interest", "bank", "amount"),
    ],
)
def test_what_a_line_implies_is_the_entry_of_the_page(kind: str, source: str, word: str) -> None:
    (entry,) = implied_entries(CHART, OCCASION, source, implied(kind), CITY_BOOK)
    assert entry.event_kind == kind
    assert entry.event_key == ("n1" if source == "bank" else f"{source}:n1")
    hold(entry, {word: 220}, source)


def test_a_fee_that_is_given_back_has_its_sides_exchanged() -> None:
    (taken,) = implied_entries(CHART, OCCASION, "wechat", implied("provider_fee"), CITY_BOOK)
    (back,) = implied_entries(CHART, OCCASION, "wechat", implied("provider_fee", given_back=True), CITY_BOOK)
    assert back.lines == tuple(line.mirrored() for line in taken.lines)


@pytest.mark.parametrize(("fen", "kind"), [(500, "suspense_received"), (-500, "suspense_paid")])
def test_a_difference_goes_to_the_suspense_of_its_direction(fen: int, kind: str) -> None:
    entry = suspense_entry(CHART, OCCASION, "stripe", "n1", Dimensions(), fen)
    assert (entry.event_kind, entry.event_key) == (kind, "stripe:n1")
    hold(entry, {"amount": 500}, "stripe")


def test_a_payout_of_several_books_is_an_entry_in_each() -> None:
    given = Implied("payout", "po_1", DAY, {"pengjiang-1": 300, CITY_BOOK: 200}, 1)
    entries = list(implied_entries(CHART, OCCASION, "stripe", given, CITY_BOOK))
    assert [(one.book_id, one.total_fen) for one in entries] == [("pengjiang-1", 300), (CITY_BOOK, 200)]
    assert [one.lines[0].about.estate_id for one in entries] == ["pengjiang-1", None]
