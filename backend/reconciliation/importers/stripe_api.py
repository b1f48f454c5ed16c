"""Stripe's balance transactions and payouts as the provider's port gives them: a file like any other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from backend.payments.lines import LineKind, SettlementLine
from backend.reconciliation.lines import Format, Kind, ReadFile, Side, StatementLine
from backend.reconciliation.reading import check_currency, check_numbers, day_of

_PAYOUTS = (LineKind.PAYOUT, LineKind.PAYOUT_RETURNED)


def read(
    lines: Sequence[SettlementLine], from_on: date, to_on: date, closing_fen: int | None = None
) -> tuple[ReadFile, bytes]:
    """The lines of whole days [from_on, to_on), and a hash that is the same for the same answer.

    Args:
        closing_fen: what the provider says the account held at the end of them, where it does.
    Raises:
        CurrencyError: the account settles in another currency; the books are kept in CNY.
        DuplicateLineError
    """
    found = tuple(_line(number, line) for number, line in enumerate(lines, start=1))
    check_numbers(found)
    parts = [repr(line) for line in lines]
    if closing_fen is not None:
        # A balance is news of its day also where nothing was booked.
        parts.append(f"{from_on} {to_on} {closing_fen}")
    said = "\n".join(parts)
    ends = {} if closing_fen is None else _day_ends(found, from_on, to_on, closing_fen)
    file = ReadFile(Format.STRIPE_API, found, from_on, to_on, day_ends_fen=ends)
    return file, hashlib.sha256(said.encode()).digest()


def _day_ends(
    lines: Sequence[StatementLine], from_on: date, to_on: date, closing_fen: int
) -> Mapping[date, int]:
    """What the account held at the end of each day: the provider's word, back over its own lines."""
    ends, day = {}, to_on - timedelta(days=1)
    while day >= from_on:
        ends[day] = closing_fen
        closing_fen -= sum(line.net_fen for line in lines if line.value_on == day)
        day -= timedelta(days=1)
    return ends


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
