"""What the simulated merchant account consists of: orders, refunds, and the flow of its money."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from string import ascii_letters, ascii_uppercase, digits

from simulators.wechat.settings import BEIJING, MerchantSettings


@dataclass(frozen=True, slots=True)
class Order:
    """One order. Times in seconds since 1970; `state` is the original's trade_state."""

    out_trade_no: str
    trade_type: str  # NATIVE · JSAPI · MWEB
    appid: str
    description: str
    total_fen: int
    notify_url: str
    attach: str | None
    openid: str
    prepay_id: str
    expires_at: int
    state: str = "NOTPAY"  # SUCCESS · REFUND · CLOSED
    transaction_id: str | None = None
    paid_at: int | None = None
    fee_fen: int = 0
    refunded_fen: int = 0  # asked for and not failed
    fee_returned_fen: int = 0


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund; `status` is SUCCESS, PROCESSING, ABNORMAL or CLOSED."""

    out_refund_no: str
    refund_id: str
    out_trade_no: str
    amount_fen: int
    fee_fen: int  # of the payment's fee that comes back with it
    reason: str | None
    notify_url: str | None
    made_at: int
    status: str = "PROCESSING"
    done_at: int | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """One line of the account: `amount_fen` is signed, `balance_fen` what is there after it."""

    at: int
    business_no: str
    flow_no: str
    name: str
    kind: str
    amount_fen: int
    balance_fen: int
    by: str
    note: str
    voucher: str


class Account:
    """The account's state at one moment; used under the core's lock."""

    def __init__(self, settings: MerchantSettings, random: Random) -> None:
        self.settings = settings
        self.now = 0
        self.orders: dict[str, Order] = {}
        self.by_transaction: dict[str, str] = {}
        self.refunds: dict[str, Refund] = {}
        self.flows: list[Flow] = []
        self._random = random

    @property
    def balance_fen(self) -> int:
        """What is in the account now."""
        return self.flows[-1].balance_fen if self.flows else self.settings.opening_balance_fen

    def book(
        self, business_no: str, name: str, kind: str, amount_fen: int, note: str, voucher: str, by: str
    ) -> Flow:
        """Add one line to the account's flow."""
        flow_no = self.number("", 28)
        after = self.balance_fen + amount_fen
        flow = Flow(self.now, business_no, flow_no, name, kind, amount_fen, after, by, note, voucher)
        self.flows.append(flow)
        return flow

    def change(self, order: Order, **fields: object) -> Order:
        """A new version of an order."""
        changed = replace(order, **fields)  # type: ignore[arg-type]  # the callers name its fields
        self.orders[order.out_trade_no] = changed
        return changed

    def number(self, prefix: str, length: int) -> str:
        """A number such as the original makes them."""
        return prefix + "".join(self._random.choices(digits, k=length - len(prefix)))

    def word(self, length: int) -> str:
        """A random word of letters and digits."""
        return "".join(self._random.choices(ascii_letters + digits, k=length))

    def nonce(self) -> str:
        """32 capitals and digits."""
        return "".join(self._random.choices(ascii_uppercase + digits, k=32))


def beijing(moment: int) -> datetime:
    """A moment on the clocks of Beijing."""
    return datetime.fromtimestamp(moment, UTC).astimezone(BEIJING)


def rfc3339(moment: int) -> str:
    """`2026-11-02T16:00:00+08:00`."""
    return beijing(moment).isoformat(timespec="seconds")
