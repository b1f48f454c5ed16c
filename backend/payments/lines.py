"""What a provider booked on our account with it, line by line: the other side of our books.

Amounts are integers in the smallest unit of the line's own currency, which is the settlement currency and
need not be CNY. Positive is money that came to our account.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LineKind(StrEnum):
    """What a line is for."""

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_RETURNED = "refund_returned"
    DISPUTE = "dispute"
    DISPUTE_RETURNED = "dispute_returned"
    FEE = "fee"
    PAYOUT = "payout"
    PAYOUT_RETURNED = "payout_returned"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class SettlementLine:
    """One line.

    Attributes:
        line_ref: the provider's own number of it; with the provider's name it is unique.
        amount_minor: signed, before the fee.
        fee_minor: what the provider keeps of it; 0 where fees have lines of their own.
        payment_ref: the payment that it belongs to, as our receipts name it; of fees as well.
        refund_ref: of refunds and disputes, as `RefundStatus.provider_ref` and `DisputeStatus.provider_ref`.
        payout_ref: the payout that it is part of, or is; None while it waits for one.
        presented_fen: what the payer saw, in fen, where the currency is another; None where it is CNY.
        exchange_rate: as the provider writes it, where one was applied.
        balance_minor: what the provider says the account holds after this line, if it says so.
        what: the provider's own words for its kind.
    """

    line_ref: str
    kind: LineKind
    at: datetime
    amount_minor: int
    fee_minor: int
    currency: str
    what: str
    payment_ref: str | None = None
    refund_ref: str | None = None
    payout_ref: str | None = None
    presented_fen: int | None = None
    exchange_rate: str | None = None
    balance_minor: int | None = None

    @property
    def net_minor(self) -> int:
        """What it changed in our account."""
        return self.amount_minor - self.fee_minor
