"""How the simulated account is set up: currencies, fees, and how long things take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Fee:
    """What one payment costs: `basis_points` of the settled amount, half up, plus `fixed_fen`."""

    basis_points: int
    fixed_fen: int = 0

    def of(self, amount_fen: int) -> int:
        """The fee on `amount_fen`, in the smallest unit of the settlement currency."""
        return (amount_fen * self.basis_points + 5_000) // 10_000 + self.fixed_fen


FEES: Mapping[str, Fee] = MappingProxyType(
    {"card": Fee(340, 235), "wechat_pay": Fee(220), "alipay": Fee(220)},
)


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """The account. Amounts in the smallest unit (fen), durations in seconds.

    `settlement_currency` may differ from what customers pay in: then `exchange_rates` says how much of it
    one unit of each presentment currency gives.
    """

    account_id: str = "acct_1SmartEstate"
    name: str = "智慧公租房 (模拟收款)"
    settlement_currency: str = "cny"
    exchange_rates: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    currencies: tuple[str, ...] = ("cny", "hkd", "usd")
    minimum_amounts: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({"cny": 400, "hkd": 400, "usd": 50})
    )
    maximum_amount: int = 99_999_999
    fees: Mapping[str, Fee] = field(default_factory=lambda: FEES)
    dispute_fee_fen: int = 8_500
    available_after_s: int = 2 * DAY_S
    payouts: str = "daily"  # or "manual"
    payout_arrives_after_s: int = DAY_S
    reconciled_after_s: int = 3_600
    payment_confirmed_after_s: int = 3_600  # outcome "late"
    refund_confirmed_after_s: int = 60  # wallets refund asynchronously
    dispute_closed_after_s: int = 600  # after evidence is handed in
    dispute_due_after_s: int = 7 * DAY_S
    refund_window_s: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({"wechat_pay": 180 * DAY_S, "alipay": 90 * DAY_S})
    )
    session_open_s: int = DAY_S
    key_life_s: int = DAY_S  # idempotency keys
    event_life_s: int = 30 * DAY_S
    public_url: str = "https://checkout.stripe.com"  # where the pages people click are
