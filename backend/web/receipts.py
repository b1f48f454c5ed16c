"""A payment that arrived: its receipt, and what it paid for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, func, select

from backend.rent.tables import payment, payment_allocation, rent_charge


@dataclass(frozen=True, slots=True)
class Part:
    """What of a payment went to the charge of one month."""

    month: date
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """A payment as its receipt names it; the parts and what is left in advance add up to the amount."""

    payment_id: UUID
    receipt_number: str
    household_id: UUID
    provider: str
    provider_ref: str
    channel: str
    amount_fen: int
    paid_at: datetime
    parts: tuple[Part, ...]

    @property
    def in_advance_fen(self) -> int:
        """What of it has not been used for a charge yet."""
        return self.amount_fen - sum(part.amount_fen for part in self.parts)


def by_number(receipt_number: str) -> ColumnElement[bool]:
    """The payment with that receipt."""
    return payment.c.receipt_number == receipt_number


def by_entry(entry_id: int) -> ColumnElement[bool]:
    """The payment that this entry booked."""
    return payment.c.entry_id == entry_id


def by_id(payment_id: UUID) -> ColumnElement[bool]:
    """The payment of that id."""
    return payment.c.payment_id == payment_id


def read_receipt(connection: Connection, which: ColumnElement[bool]) -> Receipt | None:
    """One payment with what it paid for, oldest month first; None when there is none."""
    row = connection.execute(select(payment).where(which)).one_or_none()
    if row is None:
        return None
    parts = connection.execute(
        select(rent_charge.c.month, cast(func.sum(payment_allocation.c.amount_fen), BigInteger))
        .join(rent_charge, rent_charge.c.charge_id == payment_allocation.c.charge_id)
        .where(payment_allocation.c.payment_id == row.payment_id)
        .group_by(rent_charge.c.charge_id, rent_charge.c.month)
        .order_by(rent_charge.c.month, rent_charge.c.charge_id)
    )
    return Receipt(
        payment_id=row.payment_id,
        receipt_number=row.receipt_number,
        household_id=row.household_id,
        provider=row.provider,
        provider_ref=row.provider_ref,
        channel=row.channel,
        amount_fen=row.amount_fen,
        paid_at=row.paid_at,
        parts=tuple(Part(*part) for part in parts),
    )
