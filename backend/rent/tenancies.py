"""What charging reads: who is to be charged, by which terms, and what was charged before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Row, Text, and_, any_, func, literal, or_, select

from backend.db.arrays import among
from backend.registry import tables as registry
from backend.registry.errors import UnknownThingError
from backend.rent.assessment import Facts, Tenancy
from backend.rent.overdue import overdue_of
from backend.rent.pricing import Agreed, Area, PriceBook, Tariff, Tier
from backend.rent.pricing_tables import meter, meter_reading, relief_tier, tariff, unit_area
from backend.rent.rules import ChargeLine, LineKind, TermKind, next_month
from backend.rent.tables import rent_charge, rent_charge_line, rent_term, take_over
from backend.rent.utilities import Meter, Reading


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


def open_count(connection: Connection, estates: Sequence[str], month: date) -> int:
    """How many tenancies of these estates have a day in the month, and no charge of the run for it."""
    query = _to_be_charged(estates, month).with_only_columns(func.count())
    return int(connection.execute(query).scalar_one())


def next_tenancies(
    connection: Connection, estate_id: str, month: date, after: UUID | None, limit: int
) -> list[Tenancy]:
    """Tenancies with a day in the month that were not charged for it, in the order of their ids."""
    query = _to_be_charged([estate_id], month).order_by(registry.tenancy.c.tenancy_id).limit(limit)
    if after is not None:
        query = query.where(registry.tenancy.c.tenancy_id > after)
    return [_tenancy(row) for row in connection.execute(query)]


def tenancy_of(connection: Connection, tenancy_id: UUID) -> tuple[str, Tenancy] | None:
    """A tenancy, and its estate."""
    row = connection.execute(
        select(registry.tenancy, registry.unit.c.estate_id)
        .join(registry.unit, registry.unit.c.unit_id == registry.tenancy.c.unit_id)
        .where(registry.tenancy.c.tenancy_id == tenancy_id)
    ).one_or_none()
    return (row.estate_id, _tenancy(row)) if row is not None else None


def read_facts(
    connection: Connection, tenancies: Sequence[Tenancy], book: PriceBook, late_fee_month: date | None
) -> Facts:
    """What is known of these tenancies.

    Args:
        late_fee_month: the month whose charge bills late fees; None where none are.
    """
    ids, units = [one.tenancy_id for one in tenancies], [one.unit_id for one in tenancies]
    return Facts(
        book,
        _agreed(connection, ids),
        _areas(connection, units),
        _meters(connection, units),
        overdue_of(connection, ids, late_fee_month) if late_fee_month is not None else {},
    )


def read_prices(connection: Connection) -> PriceBook:
    """Every version of every plan and tier."""
    tariffs: dict[tuple[str, str], list[Tariff]] = {}
    for row in connection.execute(select(tariff).order_by(tariff.c.from_on)):
        version = Tariff(row.plan_id, row.kind, row.from_on, row.to_on, row.price_centifen)
        tariffs.setdefault((row.plan_id, row.kind), []).append(version)
    tiers: dict[str, list[Tier]] = {}
    for row in connection.execute(select(relief_tier).order_by(relief_tier.c.from_on)):
        tiers.setdefault(row.tier_id, []).append(
            Tier(row.tier_id, row.from_on, row.to_on, row.monthly_fen, row.share_permille)
        )
    return PriceBook(tariffs, tiers)


def carried_of(connection: Connection, tenancy_ids: Iterable[UUID], month: date) -> dict[UUID, int]:
    """What subsidies had left over in the last month before `month` that was charged, by tenancy."""
    mine = (
        select(rent_charge.c.tenancy_id, func.max(rent_charge.c.month).label("month"))
        .where(
            among(rent_charge.c.tenancy_id, tenancy_ids),
            rent_charge.c.month < month,
            rent_charge.c.revision == 0,
        )
        .group_by(rent_charge.c.tenancy_id)
        .subquery()
    )
    rows = connection.execute(
        select(rent_charge.c.tenancy_id, func.sum(rent_charge_line.c.carried_fen))
        .join(
            mine,
            and_(mine.c.tenancy_id == rent_charge.c.tenancy_id, mine.c.month == rent_charge.c.month),
        )
        .join(rent_charge_line, rent_charge_line.c.charge_id == rent_charge.c.charge_id)
        .group_by(rent_charge.c.tenancy_id)
    )
    return {tenancy_id: int(carried_fen) for tenancy_id, carried_fen in rows}


def lines_charged(
    connection: Connection, tenancy_id: UUID, from_month: date
) -> dict[date, list[tuple[int, ChargeLine]]]:
    """Every line of the tenancy's charges from that month on, each with its charge's revision, by month.

    Only months of the run: what was asked for once does not make a month. What was let off is left out:
    no correction takes it back.
    """
    rows = connection.execute(
        select(rent_charge.c.month, rent_charge.c.revision, rent_charge_line)
        .join(rent_charge_line, rent_charge_line.c.charge_id == rent_charge.c.charge_id)
        .where(
            rent_charge.c.tenancy_id == tenancy_id,
            rent_charge.c.month >= from_month,
            rent_charge.c.proposal_id.is_(None),
        )
        .order_by(rent_charge.c.month, rent_charge.c.revision, rent_charge_line.c.line_no)
    )
    found: dict[date, list[tuple[int, ChargeLine]]] = {}
    for row in rows:
        line = ChargeLine(
            LineKind(row.kind),
            row.from_on,
            row.to_on,
            row.amount_fen,
            row.carried_fen,
            row.label_zh,
            row.corrects,
        )
        found.setdefault(row.month, []).append((row.revision, line))
    return {month: lines for month, lines in found.items() if any(number == 0 for number, _ in lines)}


def _to_be_charged(estates: Sequence[str], month: date) -> Any:
    # Sub-queries instead of joins: PostgreSQL asks them row by row along the index and stops at the limit;
    # a join would be made for all tenancies again with every batch.
    tenancy, unit = registry.tenancy, registry.unit
    estate_id = select(unit.c.estate_id).where(unit.c.unit_id == tenancy.c.unit_id).scalar_subquery()
    charged = (
        select(rent_charge.c.revision)
        .where(
            rent_charge.c.tenancy_id == tenancy.c.tenancy_id,
            rent_charge.c.month == month,
            rent_charge.c.revision == 0,
        )
        .scalar_subquery()
    )
    charged_before = select(take_over.c.estate_id).where(take_over.c.month > month)
    return select(tenancy).where(
        estate_id == any_(literal(list(estates), ARRAY(Text))),
        tenancy.c.from_on < next_month(month),
        or_(tenancy.c.to_on.is_(None), tenancy.c.to_on > month),
        charged.is_(None),
        # The old system charged the months before a take-over.
        estate_id.not_in(charged_before),
    )


def _tenancy(row: Row[Any]) -> Tenancy:
    return Tenancy(
        row.tenancy_id, row.household_id, row.unit_id, row.monthly_rent_fen, row.from_on, row.to_on
    )


def _agreed(connection: Connection, tenancy_ids: Iterable[UUID]) -> dict[UUID, list[Agreed]]:
    found: dict[UUID, list[Agreed]] = {}
    for row in connection.execute(select(rent_term).where(among(rent_term.c.tenancy_id, tenancy_ids))):
        found.setdefault(row.tenancy_id, []).append(
            Agreed(
                TermKind(row.kind),
                row.from_on,
                row.to_on,
                row.label_zh,
                row.monthly_fen,
                row.share_permille,
                row.plan_id,
                row.tier_id,
            )
        )
    return found


def _areas(connection: Connection, unit_ids: Iterable[UUID]) -> dict[UUID, list[Area]]:
    latest: dict[UUID, dict[date, int]] = {}
    rows = connection.execute(
        select(unit_area)
        .where(among(unit_area.c.unit_id, unit_ids))
        .order_by(unit_area.c.unit_id, unit_area.c.from_on, unit_area.c.entry_no)
    )
    for row in rows:
        latest.setdefault(row.unit_id, {})[row.from_on] = row.area_hundredths
    return {
        unit_id: [Area(from_on, hundredths) for from_on, hundredths in days.items()]
        for unit_id, days in latest.items()
    }


def _meters(connection: Connection, unit_ids: Iterable[UUID]) -> dict[UUID, list[Meter]]:
    rows = connection.execute(
        select(meter, meter_reading.c.read_on, meter_reading.c.value_hundredths, meter_reading.c.rolled_over)
        .join(meter_reading, meter_reading.c.meter_id == meter.c.meter_id)
        .where(among(meter.c.unit_id, unit_ids))
        .order_by(meter.c.kind, meter.c.serial, meter_reading.c.read_on, meter_reading.c.entry_no)
    )
    readings: dict[UUID, dict[date, Reading]] = {}
    known: dict[UUID, Row[Any]] = {}
    for row in rows:
        known[row.meter_id] = row
        readings.setdefault(row.meter_id, {})[row.read_on] = Reading(
            row.read_on, row.value_hundredths, row.rolled_over
        )
    found: dict[UUID, list[Meter]] = {}
    for meter_id, row in known.items():
        found.setdefault(row.unit_id, []).append(
            Meter(LineKind(row.kind), row.plan_id, row.rollover_hundredths, list(readings[meter_id].values()))
        )
    return found
