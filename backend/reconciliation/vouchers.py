"""The entries that a line of a channel or bank implies, as `docs/vouchers.md` lists them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from backend.ledger.chart import Chart, Role
from backend.ledger.rules import Dimensions, Line, NewEntry, credit, debit
from backend.ledger.vouchers import (
    BANK_CHARGED,
    BANK_INTEREST,
    HELD_BY,
    SUSPENSE_PAID,
    SUSPENSE_RECEIVED,
    Occasion,
    entry_of,
    pair_entry,
)
from backend.reconciliation.bank_rules import PAYOUT_ARRIVED
from backend.reconciliation.channel_rules import PROVIDER_FEE
from backend.reconciliation.payout_rules import PAYOUT
from backend.reconciliation.records import Implied


def implied_entries(
    chart: Chart, occasion: Occasion, source: str, given: Implied, city_book: str
) -> Iterator[NewEntry]:
    """One entry for each book that has a share.

    Args:
        occasion: of the run; book and day come from what is implied.
        source: whose line it is: a provider's name, or 'bank'.
        city_book: the book that is no estate's.
    """
    for book_id, fen in given.shares.items():
        here = Occasion(book_id, occasion.now, given.on, occasion.actor, occasion.principal_id)
        about = Dimensions(book_id if book_id != city_book else None, None, None, given.channel or None)
        yield _entry(chart, here, source, given, about, fen)


def _entry(
    chart: Chart, occasion: Occasion, source: str, given: Implied, about: Dimensions, fen: int
) -> NewEntry:
    match given.kind:
        case "provider_fee":
            fee = chart.code(Role.PROVIDER_FEE)
            lines = [debit(fee, fen, about), credit(_held(chart, source), fen, about)]
            return _of(occasion, PROVIDER_FEE, source, given, "渠道手续费", lines)
        case "payout":
            lines = [
                debit(chart.code(Role.PAYOUT_IN_TRANSIT), fen, about),
                credit(_held(chart, source), fen, about),
            ]
            return _of(occasion, PAYOUT, source, given, "渠道打款", lines)
        case "payout_arrived":
            lines = [
                debit(chart.code(Role.BANK), fen, about),
                credit(chart.code(Role.PAYOUT_IN_TRANSIT), fen, about),
            ]
            return entry_of(occasion, PAYOUT_ARRIVED, given.number, f"打款到账 {given.number}", lines)
        case _:
            kind = BANK_CHARGED if given.kind == BANK_CHARGED else BANK_INTEREST
            return pair_entry(chart, occasion, kind, given.number, about, fen)


def suspense_entry(
    chart: Chart, occasion: Occasion, source: str, number: str, about: Dimensions, difference_fen: int
) -> NewEntry:
    """What nobody can explain yet: more money than the books have (positive), or less."""
    kind = SUSPENSE_RECEIVED if difference_fen > 0 else SUSPENSE_PAID
    key = number if source == "bank" else f"{source}:{number}"
    return pair_entry(chart, occasion, kind, key, about, abs(difference_fen), source)


def _held(chart: Chart, source: str) -> str:
    return chart.code(HELD_BY[source])


def _of(
    occasion: Occasion, kind: str, source: str, given: Implied, words_zh: str, lines: list[Line]
) -> NewEntry:
    if given.given_back:
        lines, words_zh = [line.mirrored() for line in lines], f"{words_zh}退回"
    return entry_of(occasion, kind, f"{source}:{given.number}", f"{words_zh} {given.number}", lines)
