"""A household's account from the first day on (分户账): what was charged, what was paid, what is open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import distinct_on

from backend.db.arrays import among
from backend.registry import tables as registry
from backend.registry.rules import local_day
from backend.rent.errors import HouseholdUnknownError
from backend.rent.tables import payment, payment_return, rent_charge, rent_charge_line
from backend.rent.vouchers import CHANNELS_ZH


@dataclass(frozen=True, slots=True)
class Movement:
    """One line: something charged, something paid, or money that went back (paid below zero)."""

    on: date
    words_zh: str
    charged_fen: int
    paid_fen: int
    balance_fen: int


@dataclass(frozen=True, slots=True)
class AccountBook:
    """The whole account; the balance is what is owed, below zero what is paid ahead."""

    household_id: UUID
    estate_id: str
    household_ref: str
    unit_zh: str
    movements: tuple[Movement, ...]

    @property
    def charged_fen(self) -> int:
        """Everything that was charged, corrections included."""
        return sum(one.charged_fen for one in self.movements)

    @property
    def paid_fen(self) -> int:
        """Everything that was paid and stayed."""
        return sum(one.paid_fen for one in self.movements)

    @property
    def balance_fen(self) -> int:
        """What is owed at the end."""
        return self.charged_fen - self.paid_fen


def account_book(connection: Connection, household_id: UUID) -> AccountBook:
    """Read the account.

    Raises:
        HouseholdUnknownError
    """
    household = connection.execute(
        select(registry.household).where(registry.household.c.household_id == household_id)
    ).one_or_none()
    if household is None:
        raise HouseholdUnknownError
    found = sorted(
        [*_charged(connection, household_id), *_paid(connection, household_id)], key=lambda one: one[:2]
    )
    movements, balance = [], 0
    for on, _, words, charged, paid in found:
        balance += charged - paid
        movements.append(Movement(on, words, charged, paid, balance))
    return AccountBook(
        household_id,
        household.estate_id,
        household.ref,
        unit_of(connection, household_id),
        tuple(movements),
    )


def unit_of(connection: Connection, household_id: UUID) -> str:
    """Estate, building and number of the unit that the household rents, or rented last."""
    return units_of(connection, [household_id]).get(household_id, "")


def units_of(connection: Connection, household_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The same for many households at once."""
    estate, building, unit, tenancy = (
        registry.estate,
        registry.building,
        registry.unit,
        registry.tenancy,
    )
    rows = connection.execute(
        select(
            tenancy.c.household_id,
            estate.c.name_zh,
            building.c.name_zh.label("building_zh"),
            unit.c.number,
        )
        .ext(distinct_on(tenancy.c.household_id))
        .select_from(tenancy)
        .join(unit, unit.c.unit_id == tenancy.c.unit_id)
        .join(
            building,
            (building.c.estate_id == unit.c.estate_id) & (building.c.building_id == unit.c.building_id),
        )
        .join(estate, estate.c.estate_id == unit.c.estate_id)
        .where(among(tenancy.c.household_id, household_ids))
        .order_by(tenancy.c.household_id, tenancy.c.from_on.desc(), tenancy.c.tenancy_id)
    )
    return {row.household_id: f"{row.name_zh} {row.building_zh} {row.number}" for row in rows}


def _charged(connection: Connection, household_id: UUID) -> Iterator[tuple[date, str, str, int, int]]:
    rows = connection.execute(
        select(
            rent_charge.c.month,
            rent_charge.c.charged_at,
            rent_charge_line.c.charge_id,
            rent_charge_line.c.line_no,
            rent_charge_line.c.label_zh,
            rent_charge_line.c.amount_fen,
        )
        .join(rent_charge_line, rent_charge_line.c.charge_id == rent_charge.c.charge_id)
        .where(rent_charge.c.household_id == household_id, rent_charge_line.c.amount_fen != 0)
    )
    for row in rows:
        place = f"a{row.charged_at.isoformat()}{row.charge_id}{row.line_no:05d}"
        words = f"{row.month:%Y年%m月} {row.label_zh}"
        yield local_day(row.charged_at), place, words, row.amount_fen, 0


def _paid(connection: Connection, household_id: UUID) -> Iterator[tuple[date, str, str, int, int]]:
    mine = select(payment).where(payment.c.household_id == household_id)
    for row in connection.execute(mine):
        channel = CHANNELS_ZH.get(row.channel, row.channel)
        words = f"收款 {channel} 收据 {row.receipt_number}"
        yield local_day(row.paid_at), f"b{row.receipt_number}", words, 0, row.amount_fen
    back = (
        select(payment_return, payment.c.receipt_number)
        .join(payment, payment.c.payment_id == payment_return.c.payment_id)
        .where(payment.c.household_id == household_id)
    )
    for row in connection.execute(back):
        words = f"退回 收据 {row.receipt_number}"
        yield local_day(row.returned_at), f"c{row.entry_id:020d}", words, 0, -row.amount_fen
