"""What a cashier does: takes cash, or books a transfer that the bank shows; the same way into the books."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.payments.checkouts import DEFAULTS, Wanted, estate_of, open_checkout
from backend.payments.counter_adapter import CounterProvider
from backend.payments.errors import CheckoutClosedError, SlipTakenError, SlipUnknownError
from backend.payments.port import CheckoutState, Method
from backend.payments.settings import PaymentRules
from backend.payments.settlement import NotOurs, settle
from backend.payments.tables import checkout, counter_slip
from backend.rent.service import PaymentTaken

# Any number of ours: what the attempts of the counter are named after.
SLIPS = UUID("0d7e2f30-90a5-4f3a-8a6e-6b1f8f3f5a11")
REF_LENGTH_MAX = 60


def take_at_counter(
    engine: Engine,
    provider: CounterProvider,
    household_id: UUID,
    amount_fen: int,
    slip_ref: str,
    paid_at: datetime,
    cashier: Principal,
    now: datetime,
    *,
    charge_ids: Sequence[UUID] = (),
    rules: PaymentRules = DEFAULTS,
) -> PaymentTaken:
    """Book money that a cashier has in hand or sees on the bank's statement; sent twice, it is one payment.

    Args:
        slip_ref: the receipt book's number for cash, the bank's own number for a transfer.
        paid_at: when the money came, not after `now`.
    Raises:
        HouseholdUnknownError
        NotAllowedError: the cashier is not of the estate's finance staff.
        SlipUnknownError: no number, or money that comes only tomorrow.
        SlipTakenError: that number stands for another payment.
        AmountOutOfRangeError
    """
    (method,) = provider.methods
    slip_ref = slip_ref.strip()
    with engine.connect() as connection:
        estate_id = estate_of(connection, household_id)
        check_role(cashier, "payments.take_at_counter", estate_id, "finance")
    if not 1 <= len(slip_ref) <= REF_LENGTH_MAX or paid_at > now:
        raise SlipUnknownError
    attempt_id = uuid5(SLIPS, f"{provider.name}/{slip_ref}")
    wanted = Wanted(household_id, amount_fen, Method(method), tuple(charge_ids))
    try:
        open_checkout(
            engine, provider, wanted, cashier.principal_id, "", now, attempt_id=attempt_id, rules=rules
        )
    except CheckoutClosedError as closed:
        # Booked before, perhaps by a first click: the slip itself says below whether it is the same.
        if closed.state != CheckoutState.PAID:
            raise SlipTakenError(slip_ref) from closed
    with engine.begin() as connection:
        whose = select(checkout.c.household_id).where(checkout.c.checkout_id == attempt_id)
        if connection.execute(whose).scalar_one() != household_id:
            raise SlipTakenError(slip_ref)
        write_slip(
            connection,
            provider.name,
            slip_ref,
            "payment",
            attempt_id,
            estate_id,
            amount_fen,
            paid_at,
            cashier,
            now,
        )
    with engine.begin() as connection:
        outcome = settle(connection, provider.name, provider.status(str(attempt_id)), now, rules)
    if isinstance(outcome, NotOurs) or outcome.taken is None:
        raise SlipTakenError(slip_ref)
    return outcome.taken


def write_slip(
    connection: Connection,
    provider: str,
    slip_ref: str,
    kind: str,
    subject_id: UUID,
    estate_id: str,
    amount_fen: int,
    at: datetime,
    cashier: Principal,
    now: datetime,
) -> None:
    """Keep what a cashier wrote; the same again is nothing new.

    Raises:
        SlipTakenError: that number, or that payment, has another slip.
    """
    slip = {
        "provider": provider,
        "slip_ref": slip_ref,
        "kind": kind,
        "subject_id": subject_id,
        "estate_id": estate_id,
        "amount_fen": amount_fen,
    }
    connection.execute(
        insert(counter_slip)
        .values(**slip, at=at, principal_id=cashier.principal_id, recorded_at=now)
        .on_conflict_do_nothing()
    )
    kept = connection.execute(
        select(counter_slip).where(counter_slip.c.provider == provider, counter_slip.c.slip_ref == slip_ref)
    ).one_or_none()
    if kept is None or any(kept._mapping[name] != value for name, value in slip.items()):
        raise SlipTakenError(slip_ref)
