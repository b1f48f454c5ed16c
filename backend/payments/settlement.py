"""What becomes of a checkout when the provider says where it stands: the one way into the books."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, select, update

from backend.payments.port import CheckoutState, CheckoutStatus
from backend.payments.tables import checkout
from backend.rent.service import NewPayment, PaymentTaken, take_payment

ACTOR = "支付结算"
CURRENCY = "cny"
ENDED = (CheckoutState.PAID.value, CheckoutState.FAILED.value, CheckoutState.EXPIRED.value)


@dataclass(frozen=True, slots=True)
class Settled:
    """The provider's word is in our books; `taken` is the payment, if it was one."""

    taken: PaymentTaken | None


@dataclass(frozen=True, slots=True)
class NotOurs:
    """It cannot be booked without a person's look; nothing was changed."""

    reason: str


def settle(connection: Connection, provider: str, status: CheckoutStatus, now: datetime) -> Settled | NotOurs:
    """Book what the provider says of a checkout; the same again, in any order, changes nothing.

    Paid is final: it is booked whatever we believed before, and nothing said later takes it back.
    """
    row = connection.execute(
        select(checkout)
        .where(
            checkout.c.provider == provider,
            checkout.c.checkout_id == status.checkout_id
            if status.checkout_id is not None
            else checkout.c.provider_ref == status.provider_ref,
        )
        .with_for_update()
    ).one_or_none()
    if row is None:
        return NotOurs("unknown_checkout")
    if status.state is not CheckoutState.PAID:
        _move(connection, row.checkout_id, status.state)
        return Settled(None)
    if status.payment_ref is None or status.paid_at is None:
        return NotOurs("payment_without_reference")
    if status.currency != CURRENCY:
        return NotOurs("other_currency")
    if status.amount_fen != row.amount_fen:
        return NotOurs("other_amount")
    taken = take_payment(
        connection,
        NewPayment(
            estate_id=row.estate_id,
            household_id=row.household_id,
            provider=provider,
            provider_ref=status.payment_ref,
            channel=row.method,
            amount_fen=status.amount_fen,
            paid_at=status.paid_at,
        ),
        actor=ACTOR,
        now=now,
    )
    connection.execute(
        update(checkout)
        .where(checkout.c.checkout_id == row.checkout_id)
        .values(
            state=CheckoutState.PAID.value,
            payment_id=taken.payment_id,
            provider_ref=status.provider_ref,
            reason=None,
            next_check_at=None,
        )
    )
    return Settled(taken)


def _move(connection: Connection, checkout_id: UUID, state: CheckoutState) -> None:
    """Note an unpaid state; one that has ended does not go back."""
    # A payment that is under way has left the open page behind.
    past = (*ENDED, CheckoutState.PROCESSING.value) if state is CheckoutState.OPEN else ENDED
    changes = {"next_check_at": None} if state.value in ENDED else {}
    connection.execute(
        update(checkout)
        .where(checkout.c.checkout_id == checkout_id, checkout.c.state.not_in(past))
        .values(state=state.value, **changes)
    )
