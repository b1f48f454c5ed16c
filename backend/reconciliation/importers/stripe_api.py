"""Stripe's balance transactions and payouts as the provider's port gives them: a file like any other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date

from backend.payments.lines import LineKind, SettlementLine
from backend.reconciliation.lines import Format, Kind, ReadFile, Side, StatementLine
from backend.reconciliation.reading import check_currency, check_numbers, day_of

_PAYOUTS = (LineKind.PAYOUT, LineKind.PAYOUT_RETURNED)


def read(lines: Sequence[SettlementLine], from_on: date, to_on: date) -> tuple[ReadFile, bytes]:
    """The lines of whole days [from_on, to_on), and a hash that is the same for the same answer.

    Raises:
        CurrencyError: the account settles in another currency; the books are kept in CNY.
        DuplicateLineError
    """
    found = tuple(_line(number, line) for number, line in enumerate(lines, start=1))
    check_numbers(found)
    said = "\n".join(repr(line) for line in lines)
    return ReadFile(Format.STRIPE_API, found, from_on, to_on), hashlib.sha256(said.encode()).digest()


def _line(number: int, line: SettlementLine) -> StatementLine:
    check_currency(line.currency, number)
    payout = line.kind in _PAYOUTS
    # A payout is known by its own number; what comes back of one by that of its line.
    named = line.payout_ref if line.kind is LineKind.PAYOUT and line.payout_ref else line.line_ref
    return StatementLine(
        line_no=number,
        side=Side.PAYOUT if payout else Side.BILL,
        kind=Kind(line.kind.value),
        external_id=named,
        amount_fen=line.amount_minor,
        fee_fen=line.fee_minor,
        at=line.at,
        value_on=day_of(line.at),
        pay_ref=line.refund_ref or line.payment_ref or "",
        payout_ref=line.payout_ref or "",
        note=line.what,
    )
