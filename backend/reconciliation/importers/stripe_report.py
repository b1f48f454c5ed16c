"""Stripe's itemised payout reconciliation report (`payout_reconciliation.itemized.5`).

Amounts are in major units, as text. Each row is one balance transaction of a payout; a payout is the sum of
its rows. The report names no account: the books in its metadata have to be ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from backend.reconciliation.errors import FileEmptyError, LineError, TotalError, TruncatedError, yuan
from backend.reconciliation.lines import Format, Kind, ReadFile, Side, StatementLine
from backend.reconciliation.reading import (
    Limits,
    check_currency,
    check_numbers,
    check_size,
    check_width,
    columns_of,
    day_of,
    fen_of,
    rows_of,
    text_of,
)

WANTED = (
    "balance_transaction_id",
    "created_utc",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
    "automatic_payout_id",
    "automatic_payout_effective_at_utc",
    "payment_intent_id",
    "payment_method_type",
    "payment_metadata[book]",
    "payment_metadata[checkout]",
)
KINDS: Mapping[str, Kind] = {
    "charge": Kind.PAYMENT,
    "refund": Kind.REFUND,
    "refund_failure": Kind.REFUND_RETURNED,
    "dispute": Kind.DISPUTE,
    "dispute_reversal": Kind.DISPUTE_RETURNED,
    "fee": Kind.FEE,
}


def read(raw: bytes, _: str, limits: Limits) -> ReadFile:
    """Read a report; it is complete for the days before that of its newest row.

    Raises:
        FileRefusedError: see `backend.reconciliation.errors`.
    """
    check_size(raw, limits)
    text = text_of(raw, "utf-8")
    if not text.endswith("\n"):
        raise TruncatedError(text.count("\n") + 1)
    rows = rows_of(text, limits)
    header = next(rows, (1, list[str]()))[1]
    columns = columns_of(header, WANTED, 1)
    lines: list[StatementLine] = []
    for line_no, row in rows:
        check_width(row, header, line_no)
        lines.append(_line(columns, line_no, row))
    if not lines:
        raise FileEmptyError
    lines += _payouts(lines)
    check_numbers(lines)
    days = [line.value_on for line in lines if line.side is Side.BILL]
    last = max(days)
    return ReadFile(
        Format.STRIPE_REPORT,
        tuple(lines),
        min(days),
        # The newest day goes on in the next report, unless it is the only one.
        last if last > min(days) else last + timedelta(days=1),
    )


def _line(columns: Mapping[str, int], line_no: int, row: list[str]) -> StatementLine:
    def value(name: str) -> str:
        return row[columns[name]]

    check_currency(value("currency"), line_no)
    gross, fee, net = (fen_of(value(name), line_no, name) for name in ("gross", "fee", "net"))
    if gross - fee != net:
        raise TotalError(line_no, "net", value("net"), yuan(gross - fee))
    kind = KINDS.get(value("reporting_category"), Kind.OTHER)
    at = _utc(value("created_utc"), line_no, "created_utc")
    return StatementLine(
        line_no=line_no,
        side=Side.BILL,
        kind=kind,
        external_id=value("balance_transaction_id"),
        amount_fen=gross,
        fee_fen=fee,
        at=at,
        value_on=day_of(at),
        method=value("payment_method_type"),
        pay_ref=value("payment_intent_id") if kind is Kind.PAYMENT else value("source_id"),
        our_ref=value("payment_metadata[checkout]") if kind is Kind.PAYMENT else "",
        payout_ref=value("automatic_payout_id"),
        book_ref=value("payment_metadata[book]"),
        # Until the payouts are made up, the row keeps when its payout took effect.
        note=value("automatic_payout_effective_at_utc"),
    )


def _payouts(lines: list[StatementLine]) -> list[StatementLine]:
    """A line for each payout, as the sum of its rows."""
    sums: dict[str, list[StatementLine]] = {}
    for line in lines:
        if line.payout_ref:
            sums.setdefault(line.payout_ref, []).append(line)
    found = []
    for payout_ref, parts in sums.items():
        last = parts[-1]
        at = _utc(last.note, last.line_no, "automatic_payout_effective_at_utc")
        found.append(
            StatementLine(
                line_no=last.line_no,
                side=Side.PAYOUT,
                kind=Kind.PAYOUT,
                external_id=payout_ref,
                amount_fen=-sum(part.net_fen for part in parts),
                at=at,
                value_on=day_of(at),
                pay_ref=payout_ref,
                payout_ref=payout_ref,
            )
        )
    return found


def _utc(text: str, line_no: int, column: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise LineError(line_no, column, text) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
