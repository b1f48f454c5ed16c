"""What a monthly run would charge, before anybody agrees to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import BigInteger, Connection, cast, func, select

from backend.db.arrays import among
from backend.registry import tables as registry
from backend.rent.assessment import Tenancy, month_before
from backend.rent.charging import NewCharge
from backend.rent.monthly import plan_charges
from backend.rent.rules import ChargeLine, LineKind
from backend.rent.settings import RentSettings
from backend.rent.tables import rent_charge, rent_charge_line
from backend.rent.tenancies import charged_count, estate_ids, next_tenancies, read_prices

BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Planned:
    """One charge to be; `before_fen` is last month's of the same tenancy, None where there was none."""

    estate_id: str
    household_id: UUID
    tenancy_id: UUID
    unit_id: UUID
    lines: tuple[ChargeLine, ...]
    amount_fen: int
    before_fen: int | None

    @property
    def change_fen(self) -> int:
        """What it differs from last month."""
        return self.amount_fen - (self.before_fen or 0)


@dataclass(frozen=True, slots=True)
class NotPriced:
    """A tenancy that the run would leave out, and why."""

    estate_id: str
    tenancy: Tenancy
    why_zh: str
    why_en: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A run that has not happened.

    Attributes:
        already: tenancies that are charged for the month.
        nothing_due: tenancies without anything to charge.
        before_fen: what the same tenancies were charged last month.
        seal: stands for every line of every charge; the same facts give the same.
    """

    estate_id: str | None
    month: date
    charges: tuple[Planned, ...]
    unpriced: tuple[NotPriced, ...]
    already: int
    nothing_due: int
    by_kind: dict[LineKind, int]
    amount_fen: int
    before_fen: int
    seal: str


def preview(connection: Connection, estate_id: str | None, month: date, rules: RentSettings) -> Preview:
    """Compute a month's charges for an estate, or for all, and charge nothing.

    Raises:
        UnknownThingError: no such estate.
    """
    estates = estate_ids(connection, estate_id)
    prices = read_prices(connection)
    charges: list[Planned] = []
    unpriced: list[NotPriced] = []
    nothing_due, seals, by_kind = 0, 0, dict.fromkeys(LineKind, 0)
    for one in estates:
        for tenancies in _batches(connection, one, month):
            planned, left_out = plan_charges(connection, tenancies, month, rules, prices)
            before = _charged(connection, [charge.tenancy_id for charge in planned], month_before(month))
            nothing_due += len(tenancies) - len(planned) - len(left_out)
            unpriced += [NotPriced(one, found.tenancy, found.why.zh, found.why.en) for found in left_out]
            for charge in planned:
                seals += seal_of(charge.tenancy_id, charge.lines)
                for line in charge.lines:
                    by_kind[line.kind] += line.amount_fen
                charges.append(_planned(one, charge, before.get(charge.tenancy_id)))
    return Preview(
        estate_id,
        month,
        tuple(charges),
        tuple(unpriced),
        charged_count(connection, estates, month),
        nothing_due,
        {kind: fen for kind, fen in by_kind.items() if fen},
        sum(charge.amount_fen for charge in charges),
        sum(charge.before_fen or 0 for charge in charges),
        seal_text(seals),
    )


def seal_of(tenancy_id: UUID, lines: Iterable[ChargeLine]) -> int:
    """A number that stands for a charge's lines; of many charges, the sum stands for all in any order."""
    words = "\n".join(
        f"{line.kind.value} {line.from_on} {line.to_on} {line.amount_fen} {line.carried_fen} {line.label_zh}"
        for line in lines
    )
    digest = hashlib.sha256(f"{tenancy_id}\n{words}".encode()).digest()
    return int.from_bytes(digest[:16])


def seal_text(seals: int) -> str:
    """The sum of seals as it is kept."""
    return f"{seals % 2**128:032x}"


def seal_of_charged(connection: Connection, estates: Iterable[str], month: date) -> tuple[int, int]:
    """The sum of seals of what the run has charged in these estates for the month, and how many."""
    rows = connection.execute(
        select(rent_charge.c.tenancy_id, rent_charge_line)
        .join(rent_charge_line, rent_charge_line.c.charge_id == rent_charge.c.charge_id)
        .where(
            among(rent_charge.c.estate_id, estates), rent_charge.c.month == month, rent_charge.c.revision == 0
        )
        .order_by(rent_charge_line.c.charge_id, rent_charge_line.c.line_no)
    )
    lines: dict[UUID, list[ChargeLine]] = {}
    for row in rows:
        lines.setdefault(row.tenancy_id, []).append(
            ChargeLine(
                LineKind(row.kind), row.from_on, row.to_on, row.amount_fen, row.carried_fen, row.label_zh
            )
        )
    return sum(seal_of(tenancy_id, mine) for tenancy_id, mine in lines.items()), len(lines)


def units_zh(connection: Connection, unit_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Building and number of units, for people."""
    unit, building = registry.unit, registry.building
    rows = connection.execute(
        select(unit.c.unit_id, building.c.name_zh, unit.c.number)
        .join(
            building,
            (building.c.estate_id == unit.c.estate_id) & (building.c.building_id == unit.c.building_id),
        )
        .where(among(unit.c.unit_id, unit_ids))
    )
    return {row.unit_id: f"{row.name_zh} {row.number}" for row in rows}


def _planned(estate_id: str, charge: NewCharge, before_fen: int | None) -> Planned:
    return Planned(
        estate_id,
        charge.household_id,
        charge.tenancy_id,
        charge.unit_id,
        charge.lines,
        charge.amount_fen,
        before_fen,
    )


def _batches(connection: Connection, estate_id: str, month: date) -> Iterator[list[Tenancy]]:
    after: UUID | None = None
    while tenancies := next_tenancies(connection, estate_id, month, after, BATCH):
        yield tenancies
        after = tenancies[-1].tenancy_id


def _charged(connection: Connection, tenancy_ids: Iterable[UUID], month: date) -> dict[UUID, int]:
    rows = connection.execute(
        select(rent_charge.c.tenancy_id, cast(func.sum(rent_charge.c.amount_fen), BigInteger).label("fen"))
        .where(
            among(rent_charge.c.tenancy_id, tenancy_ids),
            rent_charge.c.month == month,
            rent_charge.c.revision == 0,
        )
        .group_by(rent_charge.c.tenancy_id)
    )
    return {row.tenancy_id: row.fen for row in rows}
