"""Money that arrived: one payment, one entry, one receipt, however often it is told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, Connection, Uuid, bindparam, insert, select, text

from backend.ledger import books, service
from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.vouchers import Occasion
from backend.registry.rules import local_day
from backend.rent import vouchers
from backend.rent.allocation import Part, allocate
from backend.rent.errors import AmountNotPositiveError
from backend.rent.statement import open_charges, prepaid_payments
from backend.rent.tables import payment, payment_allocation, receipt_serial

# Any number of ours: the second half of the key is the household.
ACCOUNT_LOCK = 7_205_302


@dataclass(frozen=True, slots=True)
class NewPayment:
    """Money that a provider says was paid for a household.

    Attributes:
        provider, provider_ref: the provider and its own number of this payment; unique together.
        channel: how it was paid ('wechat_pay', 'alipay', 'card').
        paid_at: when, UTC.
    """

    estate_id: str
    household_id: UUID
    provider: str
    provider_ref: str
    channel: str
    amount_fen: int
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentTaken:
    """A payment that is in the books; `is_new` if this call put it there."""

    payment_id: UUID
    receipt_number: str
    is_new: bool


def take_payment(connection: Connection, given: NewPayment, *, actor: str, now: datetime) -> PaymentTaken:
    """Book a payment: oldest charges first, what is over becomes prepaid rent.

    The household's account is locked until the transaction ends, so that two payments do not pay the same
    charge. The unique indexes on the provider's reference and on the business event decide what was taken
    before, also between writers that did not meet at that lock.

    Raises:
        AmountNotPositiveError: nothing was paid.
    """
    if given.amount_fen <= 0:
        raise AmountNotPositiveError(given.amount_fen)
    lock_accounts(connection, [given.household_id])
    before = connection.execute(
        select(payment.c.payment_id, payment.c.receipt_number).where(
            payment.c.provider == given.provider, payment.c.provider_ref == given.provider_ref
        )
    ).one_or_none()
    if before is not None:
        return PaymentTaken(before.payment_id, before.receipt_number, is_new=False)
    parts, prepaid_fen = allocate(
        given.amount_fen, open_charges(connection, [given.household_id])[given.household_id]
    )
    paid_on = local_day(given.paid_at)
    serial = connection.execute(select(receipt_serial.next_value())).scalar_one()
    receipt_number = f"SJ{paid_on:%Y%m%d}-{serial:06d}"
    entry = vouchers.receipt_entry(
        books.chart_of(connection, now),
        Occasion(books.book_of(connection, given.estate_id, now), now, paid_on, actor, None),
        f"{given.provider}:{given.provider_ref}",
        given.provider,
        receipt_number,
        Dimensions(given.estate_id, None, given.household_id, given.channel),
        parts,
        prepaid_fen,
    )
    (posted,) = service.post(connection, [entry])
    payment_id = uuid4()
    connection.execute(
        insert(payment).values(
            payment_id=payment_id,
            receipt_number=receipt_number,
            entry_id=posted.entry_id,
            estate_id=given.estate_id,
            household_id=given.household_id,
            provider=given.provider,
            provider_ref=given.provider_ref,
            channel=given.channel,
            amount_fen=given.amount_fen,
            paid_at=given.paid_at,
            recorded_at=now,
        )
    )
    _keep(connection, [(payment_id, part) for part in parts], from_prepaid=False, now=now)
    return PaymentTaken(payment_id, receipt_number, is_new=True)


def use_prepaid(
    connection: Connection,
    household_ids: Sequence[UUID],
    *,
    actor: str,
    principal_id: UUID | None,
    now: datetime,
) -> int:
    """Pay open charges with what these households paid in advance; returns the sum in fen.

    An entry for each payment and charge; running it again finds nothing left to use.
    """
    if not prepaid_payments(connection, household_ids):
        return 0
    lock_accounts(connection, household_ids)
    chart = books.chart_of(connection, now)
    charges = open_charges(connection, household_ids)
    kept: list[tuple[UUID, Part]] = []
    entries: list[NewEntry] = []
    for row, left_fen in prepaid_payments(connection, household_ids):
        parts, _ = allocate(left_fen, charges[row.household_id])
        occasion = Occasion(
            books.book_of(connection, row.estate_id, now), now, local_day(now), actor, principal_id
        )
        about = Dimensions(row.estate_id, None, row.household_id, row.channel)
        for part in parts:
            key = f"{row.payment_id}:{part.charge.charge_id}:{part.charge.allocations + 1}"
            entries.append(vouchers.prepaid_entry(chart, occasion, key, about, part))
            kept.append((row.payment_id, part))
        paid = {part.charge.charge_id: part.split for part in parts}
        charges[row.household_id] = [
            charge.after(paid[charge.charge_id]) if charge.charge_id in paid else charge
            for charge in charges[row.household_id]
        ]
    service.post(connection, entries)
    _keep(connection, kept, from_prepaid=True, now=now)
    return sum(part.amount_fen for _, part in kept)


def lock_accounts(connection: Connection, household_ids: Sequence[UUID]) -> None:
    """Let nobody else allocate for these households until the transaction ends; always in the same order."""
    connection.execute(_LOCK, {"household_ids": list(household_ids)})


_LOCK = text("""
    WITH one AS MATERIALIZED (
        SELECT DISTINCT hashtext(one_id::text) AS hash FROM unnest(:household_ids) AS one_id ORDER BY 1
    )
    SELECT pg_advisory_xact_lock(:lock, hash) FROM one
""").bindparams(bindparam("household_ids", type_=ARRAY(Uuid)), lock=ACCOUNT_LOCK)


def _keep(
    connection: Connection, parts: list[tuple[UUID, Part]], *, from_prepaid: bool, now: datetime
) -> None:
    if parts:
        connection.execute(
            insert(payment_allocation),
            [
                {
                    "payment_id": payment_id,
                    "charge_id": part.charge.charge_id,
                    "allocation_no": number,
                    "due": due.value,
                    "amount_fen": amount_fen,
                    "from_prepaid": from_prepaid,
                    "allocated_at": now,
                }
                for payment_id, part in parts
                for number, (due, amount_fen) in enumerate(
                    part.split.items(), start=part.charge.allocations + 1
                )
            ],
        )
