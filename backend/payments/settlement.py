"""What becomes of checkouts when the provider says where they stand: the one way into the books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, select, union_all, update

from backend.db.arrays import among
from backend.payments.port import ONLINE, CheckoutState, CheckoutStatus, Method
from backend.payments.settings import PaymentRules
from backend.payments.tables import checkout
from backend.payments.windows import closure_at
from backend.rent.service import NewPayment, PaymentTaken, take_payments

ACTOR = "支付结算"
CURRENCY = "cny"
DEFAULTS = PaymentRules()
ENDED = (CheckoutState.PAID.value, CheckoutState.FAILED.value, CheckoutState.EXPIRED.value)


@dataclass(frozen=True, slots=True)
class Settled:
    """The provider's word is in our books; `taken` is the payment, if it was one."""

    taken: PaymentTaken | None


@dataclass(frozen=True, slots=True)
class NotOurs:
    """It cannot be booked without a person's look; nothing was changed."""

    reason: str


Outcome = Settled | NotOurs


def settle(
    connection: Connection,
    provider: str,
    status: CheckoutStatus,
    now: datetime,
    rules: PaymentRules = DEFAULTS,
) -> Outcome:
    """Book what the provider says of a checkout; the same again, in any order, changes nothing.

    Paid is final: it is booked whatever we believed before, and nothing said later takes it back.
    """
    return settle_all(connection, provider, [status], now, rules)[0]


def settle_all(
    connection: Connection,
    provider: str,
    statuses: Sequence[CheckoutStatus],
    now: datetime,
    rules: PaymentRules = DEFAULTS,
) -> list[Outcome]:
    """The same for many at once, one statement for all of a kind; an outcome for each, in their order."""
    rows = _locked(connection, provider, statuses)
    found = [rows.get(_key(status)) for status in statuses]
    refused = [_why_not(status, row) for status, row in zip(statuses, found, strict=True)]
    paid = [
        (place, status, row)
        for place, (status, row, why) in enumerate(zip(statuses, found, refused, strict=True))
        if why is None and row is not None and status.state is CheckoutState.PAID
    ]
    for status, row, why in zip(statuses, found, refused, strict=True):
        if why is None and row is not None and status.state is not CheckoutState.PAID:
            _move(connection, row.checkout_id, status.state)
    taken = take_payments(
        connection, [_payment(provider, status, row) for _, status, row in paid], actor=ACTOR, now=now
    )
    by_place = {place: one for (place, _, _), one in zip(paid, taken, strict=True)}
    _mark_paid(connection, [(row, status) for _, status, row in paid], taken, rules)
    return [
        Settled(by_place.get(place)) if why is None else NotOurs(why) for place, why in enumerate(refused)
    ]


def _key(status: CheckoutStatus) -> UUID | str:
    return status.provider_ref if status.checkout_id is None else status.checkout_id


def _locked(
    connection: Connection, provider: str, statuses: Sequence[CheckoutStatus]
) -> Mapping[UUID | str, Row[Any]]:
    """The checkouts, by our id and by the provider's; locked in one order: nobody waits in a circle."""
    ids = [status.checkout_id for status in statuses if status.checkout_id is not None]
    refs = [status.provider_ref for status in statuses if status.checkout_id is None]
    named = checkout.alias("named")
    # Two searches, each by its index, where one with an OR would read all checkouts.
    wanted = union_all(
        select(named.c.checkout_id).where(among(named.c.checkout_id, ids)),
        select(named.c.checkout_id).where(named.c.provider == provider, among(named.c.provider_ref, refs)),
    )
    rows = connection.execute(
        select(checkout)
        .where(checkout.c.provider == provider, checkout.c.checkout_id.in_(wanted))
        .order_by(checkout.c.checkout_id)
        .with_for_update()
    ).all()
    return {key: row for row in rows for key in (row.checkout_id, row.provider_ref) if key is not None}


def _why_not(status: CheckoutStatus, row: Row[Any] | None) -> str | None:
    if row is None:
        return "unknown_checkout"
    if status.state is not CheckoutState.PAID:
        return None
    if status.payment_ref is None or status.paid_at is None:
        return "payment_without_reference"
    if status.currency != CURRENCY:
        return "other_currency"
    return "other_amount" if status.amount_fen != row.amount_fen else None


def _payment(provider: str, status: CheckoutStatus, row: Row[Any]) -> NewPayment:
    if status.payment_ref is None or status.paid_at is None:
        raise ValueError("not a payment")
    return NewPayment(
        estate_id=row.estate_id,
        household_id=row.household_id,
        provider=provider,
        provider_ref=status.payment_ref,
        channel=row.method,
        amount_fen=status.amount_fen,
        paid_at=status.paid_at,
        charge_ids=tuple(row.charge_ids),
    )


def _mark_paid(
    connection: Connection,
    paid: Sequence[tuple[Row[Any], CheckoutStatus]],
    taken: Sequence[PaymentTaken],
    rules: PaymentRules,
) -> None:
    if paid:
        connection.execute(
            _MARK_PAID,
            [
                {
                    "which": row.checkout_id,
                    "payment": one.payment_id,
                    "ref": status.provider_ref,
                    "closed": _closed(row, status, rules),
                }
                for (row, status), one in zip(paid, taken, strict=True)
            ],
        )


_MARK_PAID = (
    update(checkout)
    .where(checkout.c.checkout_id == bindparam("which"))
    .values(
        state=CheckoutState.PAID.value,
        payment_id=bindparam("payment"),
        provider_ref=bindparam("ref"),
        closed_reason=bindparam("closed"),
        reason=None,
        next_check_at=None,
    )
)


def _closed(row: Row[Any], status: CheckoutStatus, rules: PaymentRules) -> str | None:
    """Why the estate took nothing online when this was paid all the same; it is listed for the office."""
    if status.paid_at is None or Method(row.method) not in ONLINE:
        return None
    closure = closure_at(rules, row.estate_id, status.paid_at)
    return closure.reason.value if closure is not None else None


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
