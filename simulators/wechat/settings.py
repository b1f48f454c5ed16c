"""How the simulated merchant account behaves: fee, time spans, what the daily withdrawal does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta, timezone

BEIJING = timezone(timedelta(hours=8))
DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class MerchantSettings:
    """The account. Amounts in fen, durations in seconds."""

    fee_basis_points: int = 60
    opening_balance_fen: int = 0
    order_open_s: int = 2 * 3600  # where the order says nothing
    order_open_s_max: int = 7 * DAY_S
    expired_order_closed_after_s: int = 14 * DAY_S  # until then the original still says NOTPAY
    refund_done_after_s: int = 60
    refund_window_s: int = 365 * DAY_S
    refunds_max: int = 50
    withdraw_daily: bool = True  # what was there at the end of the day before goes to the bank at 02:00
    bill_ready_hour: int = 9  # of the next day, Beijing time
    bill_kept_days: int = 92
    download_open_s: int = 300
    request_age_s_max: int = 300
    public_url: str | None = None  # where the payer's page is; a weixin:// address where there is none

    def fee_of(self, amount_fen: int) -> int:
        """The fee on a payment, half up."""
        return (amount_fen * self.fee_basis_points + 5_000) // 10_000
