"""Arrears that were given up and come back (核销收回): owed still, and put into the books again when paid.

A write-off takes arrears out of the books, not out of the world. What a payment leaves over when everything
that is open is paid brings them back first, the oldest before the others; only the rest is prepaid rent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Connection, Row, cast, func, insert, select

from backend.approvals.tables import approval_use
from backend.db.arrays import among
from backend.ledger.chart import Chart
from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.vouchers import Occasion, recovery_entry
from backend.rent.allocation import DUE_OF, LINE_OF, Due, OpenCharge, Part
from backend.rent.charging import NewCharge, make_charges, next_revision
from backend.rent.rules import ChargeLine, LineKind, next_month
from backend.rent.tables import recovery, rent_charge, rent_charge_line

KIND = "write_off"


@dataclass(frozen=True, slots=True)
class GivenUp:
    """One write-off.

    Attributes:
        amount_fen: what was written off.
        left_fen: what of it has not come back.
    """

    proposal_id: UUID
    estate_id: str
    household_id: UUID
    tenancy_id: UUID
    unit_id: UUID
    month: date
    due_on: date
    due: Due
    amount_fen: int
    left_fen: int
    written_off_at: datetime


def given_up(
    connection: Connection, *, households: Sequence[UUID] = (), estates: Sequence[str] = ()
) -> list[GivenUp]:
    """Every write-off of these households, or of these estates, the oldest due day first."""
    back = rent_charge.alias("back")
    came_back = (
        select(cast(func.coalesce(func.sum(back.c.amount_fen), 0), BigInteger))
        .select_from(recovery)
        .join(back, back.c.charge_id == recovery.c.charge_id)
        .where(recovery.c.proposal_id == rent_charge.c.proposal_id)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(rent_charge, rent_charge_line.c.kind, came_back.label("came_back_fen"))
        .join(rent_charge_line, rent_charge_line.c.charge_id == rent_charge.c.charge_id)
        .join(approval_use, approval_use.c.proposal_id == rent_charge.c.proposal_id)
        .where(
            approval_use.c.kind == KIND,
            among(rent_charge.c.household_id, households) | among(rent_charge.c.estate_id, estates),
        )
        .order_by(rent_charge.c.due_on, rent_charge.c.month, rent_charge.c.charged_at)
    )
    return [_given_up(row) for row in rows]


def _given_up(row: Row[Any]) -> GivenUp:
    return GivenUp(
        row.proposal_id,
        row.estate_id,
        row.household_id,
        row.tenancy_id,
        row.unit_id,
        row.month,
        row.due_on,
        DUE_OF[LineKind(row.kind)],
        -row.amount_fen,
        -row.amount_fen - row.came_back_fen,
        row.charged_at,
    )


def share_out(over_fen: int, given: Sequence[GivenUp]) -> list[tuple[GivenUp, int]]:
    """How much of each comes back with what a payment leaves over. Pure."""
    shares = []
    for one in given:
        fen = min(over_fen, one.left_fen)
        if fen > 0:
            shares.append((one, fen))
            over_fen -= fen
    return shares


def after(given: Sequence[GivenUp], shares: Sequence[tuple[GivenUp, int]]) -> list[GivenUp]:
    """The write-offs when these shares of them have come back. Pure."""
    fen_of = {one.proposal_id: fen for one, fen in shares}
    return [replace(one, left_fen=one.left_fen - fen_of.get(one.proposal_id, 0)) for one in given]


def bring_back(
    connection: Connection,
    shares: Sequence[tuple[GivenUp, int]],
    receipt_number: str,
    occasion: Occasion,
) -> list[Part]:
    """Put shares of write-offs into the books again; the payment's parts that pay them.

    The household's account is locked by the caller.
    """
    return [_bring_back(connection, one, fen, receipt_number, occasion) for one, fen in shares]


def _bring_back(
    connection: Connection, one: GivenUp, fen: int, receipt_number: str, occasion: Occasion
) -> Part:
    label = f"核销收回（收据 {receipt_number}）"
    line = ChargeLine(LINE_OF[one.due], one.month, next_month(one.month), fen, 0, label, corrects=True)
    charge = NewCharge(
        uuid4(),
        one.household_id,
        one.tenancy_id,
        one.unit_id,
        one.month,
        next_revision(connection, one.tenancy_id, one.month),
        one.due_on,
        (line,),
    )

    def entries(chart: Chart, _made: Sequence[NewCharge]) -> list[NewEntry]:
        about = Dimensions(one.estate_id, one.unit_id, one.household_id, None)
        dues = [(about, one.due.value, fen)]
        return [recovery_entry(chart, occasion, one.proposal_id, receipt_number, dues)]

    make_charges(connection, one.estate_id, [charge], occasion, entries)
    connection.execute(
        insert(recovery).values(
            charge_id=charge.charge_id, proposal_id=one.proposal_id, recovered_at=occasion.now
        )
    )
    owed = OpenCharge(charge.charge_id, one.unit_id, one.month, one.due_on, {one.due: fen}, 0)
    return Part(owed, fen, {one.due: fen})
