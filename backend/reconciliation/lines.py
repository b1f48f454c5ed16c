"""What a bill or a statement says, as our own values: one frozen value a line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

import msgspec


class Side(StrEnum):
    """Which of an account's statements a line stands in."""

    BILL = "bill"  # by orders: what was sold, and what is charged for it
    FLOW = "flow"  # by movements of the account
    FEE = "fee"  # fees that have movements of their own
    PAYOUT = "payout"  # what the channel sends to the bank
    BANK = "bank"


class Kind(StrEnum):
    """What a line is about."""

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_RETURNED = "refund_returned"
    DISPUTE = "dispute"
    DISPUTE_RETURNED = "dispute_returned"
    FEE = "fee"
    PAYOUT = "payout"
    PAYOUT_RETURNED = "payout_returned"
    TRANSFER = "transfer"  # money in or out at the bank
    CHARGE = "charge"  # the bank's own
    INTEREST = "interest"
    OTHER = "other"


class Format(StrEnum):
    """How a file is written; one importer each."""

    STRIPE_REPORT = "stripe_report"
    STRIPE_API = "stripe_api"
    WECHAT_TRADE = "wechat_trade"
    WECHAT_FLOW = "wechat_flow"
    ALIPAY = "alipay"
    BANK_CSV = "bank_csv"
    CAMT053 = "camt053"
    MT940 = "mt940"


# For which sides a file is complete on its days.
SIDES: Mapping[Format, frozenset[Side]] = {
    Format.STRIPE_REPORT: frozenset({Side.BILL, Side.PAYOUT}),
    Format.STRIPE_API: frozenset({Side.BILL, Side.PAYOUT}),
    Format.WECHAT_TRADE: frozenset({Side.BILL}),
    Format.WECHAT_FLOW: frozenset({Side.FLOW, Side.FEE, Side.PAYOUT}),
    Format.ALIPAY: frozenset({Side.BILL, Side.FEE, Side.PAYOUT}),
    Format.BANK_CSV: frozenset({Side.BANK}),
    Format.CAMT053: frozenset({Side.BANK}),
    Format.MT940: frozenset({Side.BANK}),
}


class StatementLine(msgspec.Struct, frozen=True):
    """One line.

    Attributes:
        line_no: where it stands in its file, counted from 1.
        external_id: the other side's own number of it; unique with account and side.
        amount_fen: money in is positive, money out negative; before the fee.
        fee_fen: what is kept of it; negative where a fee is given back.
        at: the moment, UTC, where one is given.
        value_on: the day it counts for, in Jiangmen.
        method: how the payer paid, where it is known.
        pay_ref: the other side's number of the payment or refund it belongs to.
        our_ref: our own number, as the other side repeats it.
        payout_ref: the payout that it is part of, or is.
        book_ref: our book, where we gave it along.
        balance_fen: what the account holds after it, where the file says so.
    """

    line_no: int
    side: Side
    kind: Kind
    external_id: str
    amount_fen: int
    value_on: date
    fee_fen: int = 0
    at: datetime | None = None
    method: str = ""
    pay_ref: str = ""
    our_ref: str = ""
    payout_ref: str = ""
    book_ref: str = ""
    payer: str = ""
    note: str = ""
    balance_fen: int | None = None

    @property
    def net_fen(self) -> int:
        """What it changed in the account."""
        return self.amount_fen - self.fee_fen


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A whole file, read and found to agree with itself.

    Attributes:
        from_on, to_on: the days it is complete for, [from_on, to_on).
        opening_fen, closing_fen: of the account at both ends, both or neither.
        day_ends_fen: the balance at the end of each day on which there is one.
    """

    format: Format
    lines: tuple[StatementLine, ...]
    from_on: date
    to_on: date
    opening_fen: int | None = None
    closing_fen: int | None = None
    day_ends_fen: Mapping[date, int] = field(default_factory=dict)
