"""Reading which rent was overdue when, for the late fee."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select

from backend.db.arrays import among
from backend.registry.rules import local_day
from backend.rent.allocation import Due, dues_of
from backend.rent.assessment import month_before
from backend.rent.late_fees import Overdue
from backend.rent.tables import payment, payment_allocation, rent_charge, rent_charge_line, take_over


def overdue_of(connection: Connection, tenancy_ids: Iterable[UUID], month: date) -> dict[UUID, list[Overdue]]:
    """Rent that was owed on some day of the month before `month`, by tenancy, oldest first.

    A correction downward takes from the rent of its own month from the first day on; one upward is overdue
    from its own due day.
    """
    rows = _unpaid(connection, tenancy_ids, month)
    ids = [row.charge_id for row in rows]
    rent, paid = _rent(connection, ids), _paid(connection, ids)
    less: dict[tuple[UUID, date], int] = {}
    for row in rows:
        if (fen := rent.get(row.charge_id, 0)) < 0:
            less[row.tenancy_id, row.month] = less.get((row.tenancy_id, row.month), 0) - fen
    found: dict[UUID, list[Overdue]] = {}
    for row in rows:
        whole = rent.get(row.charge_id, 0)
        taken = min(max(whole, 0), less.get((row.tenancy_id, row.month), 0))
        if whole - taken > 0:
            less[row.tenancy_id, row.month] = less.get((row.tenancy_id, row.month), 0) - taken
            found.setdefault(row.tenancy_id, []).append(
                Overdue(row.month, row.due_on, whole - taken, paid.get(row.charge_id, ()), row.since_on)
            )
    return found


def _unpaid(connection: Connection, tenancy_ids: Iterable[UUID], month: date) -> Sequence[Row[Any]]:
    """Charges that were not settled when the month before began, and every correction downward."""
    paid_before = (
        select(func.coalesce(func.sum(payment_allocation.c.amount_fen), 0))
        .where(
            payment_allocation.c.charge_id == rent_charge.c.charge_id,
            payment_allocation.c.allocated_at < month_before(month),
        )
        .scalar_subquery()
    )
    # What ran up on arrears before their take-over is a charge of its own, from the old system.
    return connection.execute(
        select(rent_charge, take_over.c.month.label("since_on"))
        .outerjoin(take_over, take_over.c.estate_id == rent_charge.c.estate_id)
        .where(
            among(rent_charge.c.tenancy_id, tenancy_ids),
            rent_charge.c.due_on < month,
            (rent_charge.c.amount_fen < 0) | (rent_charge.c.amount_fen > paid_before),
        )
        .order_by(rent_charge.c.due_on, rent_charge.c.month, rent_charge.c.revision)
    ).all()


def _rent(connection: Connection, charge_ids: Sequence[UUID]) -> dict[UUID, int]:
    lines: dict[UUID, list[tuple[str, int]]] = {}
    rows = connection.execute(select(rent_charge_line).where(among(rent_charge_line.c.charge_id, charge_ids)))
    for row in rows:
        lines.setdefault(row.charge_id, []).append((row.kind, row.amount_fen))
    return {charge_id: dues_of(mine).get(Due.RENT, 0) for charge_id, mine in lines.items()}


def _paid(connection: Connection, charge_ids: Sequence[UUID]) -> dict[UUID, list[tuple[date, int]]]:
    found: dict[UUID, list[tuple[date, int]]] = {}
    rows = connection.execute(
        select(payment_allocation, payment.c.paid_at)
        .join(payment, payment.c.payment_id == payment_allocation.c.payment_id)
        .where(
            among(payment_allocation.c.charge_id, charge_ids),
            payment_allocation.c.due == Due.RENT.value,
        )
        .order_by(payment_allocation.c.charge_id, payment_allocation.c.allocation_no)
    )
    for row in rows:
        # Prepaid rent pays on the day on which it is used.
        paid_on = local_day(row.allocated_at if row.from_prepaid else row.paid_at)
        found.setdefault(row.charge_id, []).append((paid_on, row.amount_fen))
    return found
