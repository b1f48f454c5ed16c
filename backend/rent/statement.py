"""Reading a household's account (分户账): what is owed and why, what was paid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, Connection, Row, cast, func, select

from backend.db.arrays import among
from backend.rent.allocation import OpenCharge, dues_of
from backend.rent.tables import payment, payment_allocation, rent_charge, rent_charge_line

RECENT_PAYMENTS = 12
# PostgreSQL adds up bigint as numeric, which would come out as Decimal.
_SUM_FEN = cast(func.coalesce(func.sum(payment_allocation.c.amount_fen), 0), BigInteger)


@dataclass(frozen=True, slots=True)
class LineView:
    """One line of a charge; relief and subsidies are negative."""

    kind: str
    label_zh: str
    from_on: date
    to_on: date
    amount_fen: int


@dataclass(frozen=True, slots=True)
class UnpaidCharge:
    """A charge that is not paid in full, with its lines."""

    charge_id: UUID
    month: date
    due_on: date
    amount_fen: int
    paid_fen: int
    lines: tuple[LineView, ...]

    @property
    def left_fen(self) -> int:
        """What is still owed of it."""
        return self.amount_fen - self.paid_fen


@dataclass(frozen=True, slots=True)
class PaymentView:
    """A payment, as its receipt names it."""

    payment_id: UUID
    receipt_number: str
    paid_at: datetime
    channel: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A household's account at this moment.

    Attributes:
        unpaid: oldest due date first.
        prepaid_fen: paid and not used for a charge yet.
        payments: the latest ones, newest first.
    """

    household_id: UUID
    unpaid: tuple[UnpaidCharge, ...]
    total_owed_fen: int
    prepaid_fen: int
    payments: tuple[PaymentView, ...]


def read_statement(connection: Connection, household_id: UUID) -> Statement:
    """The household's account; empty for a household that was never charged."""
    rows = _open_rows(connection, [household_id])
    lines = _lines_of(connection, [row.charge_id for row in rows])
    unpaid = tuple(
        UnpaidCharge(
            row.charge_id,
            row.month,
            row.due_on,
            row.amount_fen,
            row.paid_fen,
            tuple(
                LineView(line.kind, line.label_zh, line.from_on, line.to_on, line.amount_fen)
                for line in lines[row.charge_id]
            ),
        )
        for row in rows
    )
    return Statement(
        household_id=household_id,
        unpaid=unpaid,
        total_owed_fen=sum(charge.left_fen for charge in unpaid),
        prepaid_fen=sum(left for _, left in prepaid_payments(connection, [household_id])),
        payments=_recent_payments(connection, household_id),
    )


def open_charges(connection: Connection, household_ids: Sequence[UUID]) -> dict[UUID, list[OpenCharge]]:
    """What is not paid in full, by household."""
    rows = _open_rows(connection, household_ids)
    lines = _lines_of(connection, [row.charge_id for row in rows])
    found: dict[UUID, list[OpenCharge]] = {household_id: [] for household_id in household_ids}
    for row in rows:
        dues = dues_of((line.kind, line.amount_fen) for line in lines[row.charge_id])
        found[row.household_id].append(
            OpenCharge(row.charge_id, row.unit_id, row.month, row.due_on, dues, row.paid_fen, row.payments)
        )
    return found


def prepaid_payments(
    connection: Connection, household_ids: Sequence[UUID]
) -> list[tuple[Row[tuple[UUID, UUID, str, str, int]], int]]:
    """Payments that are not used up (payment_id, household_id, estate_id, channel, amount_fen), oldest first.

    Returns:
        Each with what is left of it in fen.
    """
    used = _SUM_FEN
    rows = connection.execute(
        select(
            payment.c.payment_id,
            payment.c.household_id,
            payment.c.estate_id,
            payment.c.channel,
            payment.c.amount_fen,
        )
        .add_columns((payment.c.amount_fen - used).label("left_fen"))
        .outerjoin(payment_allocation, payment_allocation.c.payment_id == payment.c.payment_id)
        .where(among(payment.c.household_id, household_ids))
        .group_by(payment.c.payment_id)
        .having(payment.c.amount_fen > used)
        .order_by(payment.c.paid_at, payment.c.payment_id)
    )
    return [(row, row.left_fen) for row in rows]


def _open_rows(connection: Connection, household_ids: Sequence[UUID]) -> Sequence[Row[tuple[object, ...]]]:
    paid = _SUM_FEN
    return connection.execute(
        select(
            rent_charge,
            paid.label("paid_fen"),
            func.count(payment_allocation.c.payment_id).label("payments"),
        )
        .outerjoin(payment_allocation, payment_allocation.c.charge_id == rent_charge.c.charge_id)
        .where(among(rent_charge.c.household_id, household_ids))
        .group_by(rent_charge.c.charge_id)
        .having(paid < rent_charge.c.amount_fen)
        .order_by(rent_charge.c.due_on, rent_charge.c.month, rent_charge.c.charge_id)
    ).all()


def _lines_of(
    connection: Connection, charge_ids: Iterable[UUID]
) -> dict[UUID, list[Row[tuple[object, ...]]]]:
    found: dict[UUID, list[Row[tuple[object, ...]]]] = {charge_id: [] for charge_id in charge_ids}
    rows = connection.execute(
        select(rent_charge_line)
        .where(among(rent_charge_line.c.charge_id, found))
        .order_by(rent_charge_line.c.charge_id, rent_charge_line.c.line_no)
    )
    for row in rows:
        found[row.charge_id].append(row)
    return found


def _recent_payments(connection: Connection, household_id: UUID) -> tuple[PaymentView, ...]:
    rows = connection.execute(
        select(payment)
        .where(payment.c.household_id == household_id)
        .order_by(payment.c.paid_at.desc(), payment.c.receipt_number.desc())
        .limit(RECENT_PAYMENTS)
    )
    return tuple(
        PaymentView(row.payment_id, row.receipt_number, row.paid_at, row.channel, row.amount_fen)
        for row in rows
    )
