"""What the monthly run reads: who is to be charged, by which terms, and what last month carried."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, and_, exists, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from backend.db.arrays import among
from backend.registry import tables as registry
from backend.registry.errors import UnknownThingError
from backend.rent.rules import Term, TermKind, next_month
from backend.rent.tables import rent_charge, rent_charge_line, rent_term


def estate_ids(connection: Connection, estate_id: str | None) -> list[str]:
    """All estates, or the one.

    Raises:
        UnknownThingError: no such estate.
    """
    query = select(registry.estate.c.estate_id).order_by(registry.estate.c.estate_id)
    if estate_id is not None:
        query = query.where(registry.estate.c.estate_id == estate_id)
    found = list(connection.execute(query).scalars())
    if estate_id is not None and not found:
        raise UnknownThingError("estate", estate_id)
    return found


def charged_count(connection: Connection, estates: Sequence[str], month: date) -> int:
    """How many tenancies of these estates the monthly run has charged for the month."""
    return connection.execute(
        select(func.count())
        .select_from(rent_charge)
        .where(
            among(rent_charge.c.estate_id, estates), rent_charge.c.month == month, rent_charge.c.revision == 0
        )
    ).scalar_one()


def next_tenancies(
    connection: Connection, estate_id: str, month: date, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Tenancies with a day in the month that were not charged for it, in the order of their ids."""
    tenancy, unit = registry.tenancy, registry.unit
    charged = exists().where(
        and_(
            rent_charge.c.tenancy_id == tenancy.c.tenancy_id,
            rent_charge.c.month == month,
            rent_charge.c.revision == 0,
        )
    )
    query = (
        select(tenancy)
        .join(unit, unit.c.unit_id == tenancy.c.unit_id)
        .where(
            unit.c.estate_id == estate_id,
            tenancy.c.from_on < next_month(month),
            or_(tenancy.c.to_on.is_(None), tenancy.c.to_on > month),
            ~charged,
        )
        .order_by(tenancy.c.tenancy_id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tenancy.c.tenancy_id > after)
    return connection.execute(query).all()


def terms_of(connection: Connection, tenancy_ids: Iterable[UUID]) -> dict[UUID, list[Term]]:
    """The dated terms of these tenancies."""
    found: dict[UUID, list[Term]] = {}
    for row in connection.execute(select(rent_term).where(among(rent_term.c.tenancy_id, tenancy_ids))):
        term = Term(
            TermKind(row.kind), row.from_on, row.to_on, row.monthly_fen, row.share_permille, row.label_zh
        )
        found.setdefault(row.tenancy_id, []).append(term)
    return found


def carried_of(connection: Connection, tenancy_ids: Iterable[UUID], month: date) -> dict[UUID, int]:
    """What the last charge before `month` carried, by tenancy."""
    latest = (
        select(rent_charge.c.charge_id, rent_charge.c.tenancy_id)
        .ext(distinct_on(rent_charge.c.tenancy_id))
        .where(among(rent_charge.c.tenancy_id, tenancy_ids), rent_charge.c.month < month)
        .order_by(rent_charge.c.tenancy_id, rent_charge.c.month.desc(), rent_charge.c.revision.desc())
        .subquery()
    )
    rows = connection.execute(
        select(latest.c.tenancy_id, func.sum(rent_charge_line.c.carried_fen))
        .join(rent_charge_line, rent_charge_line.c.charge_id == latest.c.charge_id)
        .group_by(latest.c.tenancy_id)
    )
    return {tenancy_id: int(carried_fen) for tenancy_id, carried_fen in rows}
