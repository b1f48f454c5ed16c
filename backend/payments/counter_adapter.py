"""The counter behind the provider port: a cashier takes cash, or sees a transfer on the bank's statement.

What stands elsewhere with a provider stands here in our own table of slips, written by the cashier; from
there it takes the same way into the books as everything else. The names are those of the books: `cash` and
`bank`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine, Row, select

from backend.payments.lines import LineKind, SettlementLine
from backend.payments.money_back import RefundOrder, RefundState, RefundStatus
from backend.payments.money_back_tables import refund
from backend.payments.port import (
    CheckoutOrder,
    CheckoutState,
    CheckoutStatus,
    Method,
    Notice,
    NoticeKind,
    NoticeRefusedError,
    ProviderCheckout,
    ProviderRefusedError,
    Shown,
)
from backend.payments.tables import checkout, counter_slip

NAMES: Final[Mapping[Method, str]] = {Method.CASH: "cash", Method.BANK_TRANSFER: "bank"}
CURRENCY: Final = "cny"
KINDS: Final[Mapping[str, LineKind]] = {"payment": LineKind.PAYMENT, "refund": LineKind.REFUND}


class CounterProvider:
    """One way of paying at the counter.

    Args:
        engine: where the slips are.
        method: cash or bank transfer.
    """

    def __init__(self, engine: Engine, method: Method) -> None:
        self._engine, self._method = engine, method

    @property
    def name(self) -> str:
        """One word, as it stands in the books."""
        return NAMES[self._method]

    @property
    def methods(self) -> frozenset[Method]:
        """The one way."""
        return frozenset({self._method})

    def start_checkout(self, order: CheckoutOrder) -> ProviderCheckout:
        """Nothing is to be opened anywhere: our own number is the counter's."""
        return ProviderCheckout(str(order.checkout_id), "", Shown.COUNTER)

    def status(self, provider_ref: str) -> CheckoutStatus:
        """Paid once there is a slip for it; see the port."""
        with self._engine.connect() as connection:
            row = connection.execute(
                select(checkout.c.checkout_id, checkout.c.amount_fen, counter_slip.c.slip_ref)
                .add_columns(counter_slip.c.amount_fen.label("came_fen"), counter_slip.c.at)
                .outerjoin(counter_slip, counter_slip.c.subject_id == checkout.c.checkout_id)
                .where(
                    checkout.c.checkout_id == _uuid(provider_ref),
                    checkout.c.provider == self.name,
                )
            ).one_or_none()
        if row is None:
            raise ProviderRefusedError(self.name, "no_such_checkout")
        return CheckoutStatus(
            checkout_id=row.checkout_id,
            provider_ref=provider_ref,
            state=CheckoutState.OPEN if row.slip_ref is None else CheckoutState.PAID,
            payment_ref=row.slip_ref,
            amount_fen=row.amount_fen if row.slip_ref is None else row.came_fen,
            currency=CURRENCY,
            paid_at=row.at,
        )

    def refund_window(self, method: Method) -> timedelta | None:  # noqa: ARG002 (the port's)
        """A transfer or cash can go back at any time."""
        return None

    def refund(self, order: RefundOrder) -> RefundStatus:
        """It waits until somebody has transferred the money and writes the slip."""
        return RefundStatus(
            refund_id=order.refund_id,
            provider_ref=str(order.refund_id),
            payment_ref=order.payment_ref,
            state=RefundState.PENDING,
            amount_fen=order.amount_fen,
            currency=CURRENCY,
        )

    def refund_status(self, provider_ref: str) -> RefundStatus:
        """Done once there is a slip for it; see the port."""
        with self._engine.connect() as connection:
            row = connection.execute(
                select(refund.c.refund_id, refund.c.amount_fen, refund.c.payment_ref, counter_slip.c.slip_ref)
                .outerjoin(counter_slip, counter_slip.c.subject_id == refund.c.refund_id)
                .where(refund.c.refund_id == _uuid(provider_ref), refund.c.provider == self.name)
            ).one_or_none()
        if row is None:
            raise ProviderRefusedError(self.name, "no_such_refund")
        return RefundStatus(
            refund_id=row.refund_id,
            provider_ref=provider_ref,
            payment_ref=row.payment_ref,
            state=RefundState.PENDING if row.slip_ref is None else RefundState.DONE,
            amount_fen=row.amount_fen,
            currency=CURRENCY,
            slip_ref=row.slip_ref,
        )

    def settlements(self, since: datetime, until: datetime) -> Sequence[SettlementLine]:
        """The slips of these days; see the port."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(counter_slip)
                .where(
                    counter_slip.c.provider == self.name,
                    counter_slip.c.at >= since,
                    counter_slip.c.at < until,
                )
                .order_by(counter_slip.c.at, counter_slip.c.slip_ref)
            ).all()
        return [_line(row) for row in rows]

    def parse_notice(self, raw: bytes, headers: Mapping[str, str], now: datetime) -> Notice:  # noqa: ARG002
        """Nobody outside speaks for the counter."""
        raise NoticeRefusedError(self.name, "no_notices")

    def read_notice(self, raw: bytes) -> Notice:  # noqa: ARG002 (the port's)
        """There are none."""
        return Notice("none", NoticeKind.UNREADABLE, "?")


def _line(row: Row[Any]) -> SettlementLine:
    kind = KINDS[row.kind]
    return SettlementLine(
        line_ref=row.slip_ref,
        kind=kind,
        at=row.at,
        amount_minor=row.amount_fen if kind is LineKind.PAYMENT else -row.amount_fen,
        fee_minor=0,
        currency=CURRENCY,
        what=row.kind,
        payment_ref=row.slip_ref if kind is LineKind.PAYMENT else None,
        refund_ref=str(row.subject_id) if kind is LineKind.REFUND else None,
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
