"""Reading a household's account (分户账): what is owed and why, what was paid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Connection, Row, cast, func, select

from backend.db.arrays import among
from backend.rent.allocation import Due, OpenCharge, dues_of
from backend.rent.netting import Item, Netted, net
from backend.rent.tables import payment, payment_allocation, payment_return, rent_charge, rent_charge_line

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
    """A charge of which something is still owed, with its lines.

    Attributes:
        taken_off_fen: what corrections took off it.
    """

    charge_id: UUID
    month: date
    due_on: date
    amount_fen: int
    paid_fen: int
    taken_off_fen: int
    lines: tuple[LineView, ...]

    @property
    def left_fen(self) -> int:
        """What is still owed of it."""
        return self.amount_fen - self.paid_fen - self.taken_off_fen


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
        credit_fen: what corrections took off and no charge has used yet; the next one does.
        payments: the latest ones, newest first.
    """

    household_id: UUID
    unpaid: tuple[UnpaidCharge, ...]
    total_owed_fen: int
    prepaid_fen: int
    credit_fen: int
    payments: tuple[PaymentView, ...]


def read_statement(connection: Connection, household_id: UUID) -> Statement:
    """The household's account; empty for a household that was never charged."""
    account = _accounts(connection, [household_id])[household_id]
    unpaid = tuple(
        UnpaidCharge(
            charge.row.charge_id,
            charge.row.month,
            charge.row.due_on,
            charge.row.amount_fen,
            sum(charge.paid.values()),
            sum(taken_off.values()),
            tuple(
                LineView(line.kind, line.label_zh, line.from_on, line.to_on, line.amount_fen)
                for line in charge.lines
            ),
        )
        for charge, taken_off in account.open()
    )
    return Statement(
        household_id=household_id,
        unpaid=unpaid,
        total_owed_fen=sum(charge.left_fen for charge in unpaid),
        prepaid_fen=sum(left for _, left in prepaid_payments(connection, [household_id])),
        credit_fen=account.netted.credit_fen,
        payments=_recent_payments(connection, household_id),
    )


def open_charges(connection: Connection, household_ids: Sequence[UUID]) -> dict[UUID, list[OpenCharge]]:
    """What is still owed, by household, after corrections were taken off."""
    return {
        household_id: [charge.less(taken_off) for charge, taken_off in account.open()]
        for household_id, account in _accounts(connection, household_ids).items()
    }


@dataclass(frozen=True, slots=True)
class _Charge:
    """A charge that is not settled: its row, its lines, its dues, and what was paid of each."""

    row: Row[Any]
    lines: Sequence[Row[Any]]
    dues: Mapping[Due, int]
    paid: Mapping[Due, int]
    allocations: int

    def items(self) -> list[Item]:
        row = self.row
        return [
            Item(row.charge_id, row.tenancy_id, row.month, row.due_on, due, fen - self.paid.get(due, 0))
            for due, fen in self.dues.items()
        ]

    def less(self, taken_off: Mapping[Due, int]) -> OpenCharge:
        row = self.row
        left = {due: fen - self.paid.get(due, 0) - taken_off.get(due, 0) for due, fen in self.dues.items()}
        return OpenCharge(
            row.charge_id,
            row.unit_id,
            row.month,
            row.due_on,
            {due: fen for due, fen in left.items() if fen > 0},
            self.allocations,
        )


@dataclass(frozen=True, slots=True)
class _Account:
    """The unsettled charges of a household, oldest first, and what corrections take off them."""

    charges: Sequence[_Charge]
    netted: Netted

    def open(self) -> Iterator[tuple[_Charge, dict[Due, int]]]:
        """Those of which something is owed, each with what is taken off it by due."""
        for charge in self.charges:
            taken_off = {
                due: self.netted.taken_off[charge.row.charge_id, due]
                for due in charge.dues
                if (charge.row.charge_id, due) in self.netted.taken_off
            }
            if charge.less(taken_off).left:
                yield charge, taken_off


def _accounts(connection: Connection, household_ids: Sequence[UUID]) -> dict[UUID, _Account]:
    rows = _unsettled(connection, household_ids)
    ids = [row.charge_id for row in rows]
    lines, paid = _lines_of(connection, ids), _paid_by_due(connection, ids)
    charges: dict[UUID, list[_Charge]] = {household_id: [] for household_id in household_ids}
    for row in rows:
        dues = dues_of((line.kind, line.amount_fen) for line in lines[row.charge_id])
        charges[row.household_id].append(
            _Charge(row, lines[row.charge_id], dues, paid.get(row.charge_id, {}), row.allocations)
        )
    return {
        household_id: _Account(mine, net(item for charge in mine for item in charge.items()))
        for household_id, mine in charges.items()
    }


def prepaid_payments(
    connection: Connection, household_ids: Sequence[UUID]
) -> list[tuple[Row[tuple[UUID, UUID, str, str, int]], int]]:
    """Payments that are not used up (payment_id, household_id, estate_id, channel, amount_fen), oldest first.

    Returns:
        Each with what is left of it in fen.
    """
    used = _SUM_FEN + _returned_fen()
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


def _returned_fen() -> ColumnElement[int]:
    """What of a payment went back to the payer."""
    returned = func.coalesce(func.sum(payment_return.c.amount_fen), 0)
    return cast(
        select(returned).where(payment_return.c.payment_id == payment.c.payment_id).scalar_subquery(),
        BigInteger,
    )


def _unsettled(connection: Connection, household_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Charges that are not paid to the fen, and corrections below zero: those are never paid."""
    paid = _SUM_FEN
    return connection.execute(
        select(rent_charge, func.count(payment_allocation.c.payment_id).label("allocations"))
        .outerjoin(payment_allocation, payment_allocation.c.charge_id == rent_charge.c.charge_id)
        .where(among(rent_charge.c.household_id, household_ids))
        .group_by(rent_charge.c.charge_id)
        .having(paid != rent_charge.c.amount_fen)
        .order_by(rent_charge.c.due_on, rent_charge.c.month, rent_charge.c.revision, rent_charge.c.charge_id)
    ).all()


def _paid_by_due(connection: Connection, charge_ids: Sequence[UUID]) -> dict[UUID, dict[Due, int]]:
    found: dict[UUID, dict[Due, int]] = {}
    rows = connection.execute(
        select(payment_allocation.c.charge_id, payment_allocation.c.due, _SUM_FEN.label("fen"))
        .where(among(payment_allocation.c.charge_id, charge_ids))
        .group_by(payment_allocation.c.charge_id, payment_allocation.c.due)
    )
    for row in rows:
        found.setdefault(row.charge_id, {})[Due(row.due)] = row.fen
    return found


def _lines_of(connection: Connection, charge_ids: Iterable[UUID]) -> dict[UUID, list[Row[Any]]]:
    found: dict[UUID, list[Row[Any]]] = {charge_id: [] for charge_id in charge_ids}
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
