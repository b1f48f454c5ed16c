"""Letting somebody off what is owed: a waiver (减免) or a write-off (坏账核销), always by two people.

What was agreed on is a charge below zero of the same month and due, which `netting` takes off. Only what is
still owed is let off; what was paid is given back by a refund.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, select

from backend.approvals import service as approvals
from backend.approvals.service import Proposal
from backend.identity.principal import Principal
from backend.ledger import books
from backend.ledger.chart import Chart
from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.vouchers import Occasion, write_off_entry
from backend.registry.rules import local_day
from backend.rent.allocation import LINE_OF, Due, OpenCharge
from backend.rent.charging import NewCharge, make_charges, next_revision
from backend.rent.errors import AmountNotPositiveError, ChargeUnknownError, LetOffTooMuchError
from backend.rent.receipts import lock_accounts
from backend.rent.rules import ChargeLine, next_month
from backend.rent.statement import open_charges
from backend.rent.tables import rent_charge
from backend.rent.vouchers import waiver_entry

Kind = Literal["waiver", "write_off"]
NAMES_ZH: dict[str, str] = {"waiver": "减免", "write_off": "坏账核销"}


@dataclass(frozen=True, slots=True)
class LetOff:
    """What is carried out: the charge it takes off, and by how much."""

    charge_id: UUID
    due: Due
    amount_fen: int


def propose_let_off(
    connection: Connection,
    kind: Kind,
    charge_id: UUID,
    due: Due,
    amount_fen: int,
    reason: str,
    principal: Principal,
    now: datetime,
) -> Proposal:
    """Ask for a part of a charge to be let off.

    Raises:
        ChargeUnknownError, AmountNotPositiveError
        LetOffTooMuchError: more than is still owed of it.
        NoRightError, ReasonMissingError: as with every proposal.
    """
    row = _charge(connection, charge_id)
    _check(connection, row, due, amount_fen)
    yuan, fen = divmod(amount_fen, 100)
    return approvals.propose(
        connection,
        kind,
        row.estate_id,
        f"charge:{charge_id}",
        f"{NAMES_ZH[kind]}{row.month:%Y年%m月} ¥{yuan:,}.{fen:02d}",
        {"charge_id": str(charge_id), "due": due.value, "amount_fen": amount_fen},
        reason,
        principal,
        now,
    )


def let_off(connection: Connection, proposal_id: UUID, kind: Kind, now: datetime) -> LetOff:
    """Carry out what two people agreed on; once, whoever calls.

    Raises:
        ProposalUnknownError, ApprovalMissingError, ApprovalUsedError
        LetOffTooMuchError: it was paid in the meantime.
    """
    agreed = approvals.use(connection, proposal_id, kind, now)
    what = LetOff(
        UUID(agreed.payload["charge_id"]), Due(agreed.payload["due"]), int(agreed.payload["amount_fen"])
    )
    row = _charge(connection, what.charge_id)
    lock_accounts(connection, [row.household_id])
    _check(connection, row, what.due, what.amount_fen)
    label = f"{NAMES_ZH[kind]}：{agreed.reason}"[:200]
    line = ChargeLine(
        LINE_OF[what.due], row.month, next_month(row.month), -what.amount_fen, 0, label, corrects=True
    )
    charge = NewCharge(
        uuid4(),
        row.household_id,
        row.tenancy_id,
        row.unit_id,
        row.month,
        next_revision(connection, row.tenancy_id, row.month),
        row.due_on,
        (line,),
        proposal_id,
    )
    book_id = books.book_of(connection, row.estate_id, now)
    occasion = Occasion(book_id, now, local_day(now), NAMES_ZH[kind], agreed.decided_by)

    def entries(chart: Chart, made: Iterable[NewCharge]) -> list[NewEntry]:
        about = Dimensions(row.estate_id, row.unit_id, row.household_id, None)
        build = waiver_entry if kind == "waiver" else write_off_entry
        return [build(chart, occasion, proposal_id, [(about, what.due, what.amount_fen)]) for _ in made]

    make_charges(connection, row.estate_id, [charge], occasion, entries)
    return what


def _charge(connection: Connection, charge_id: UUID) -> Row[Any]:
    row = connection.execute(select(rent_charge).where(rent_charge.c.charge_id == charge_id)).one_or_none()
    if row is None:
        raise ChargeUnknownError
    return row


def _check(connection: Connection, row: Row[Any], due: Due, amount_fen: int) -> None:
    if amount_fen <= 0:
        raise AmountNotPositiveError(amount_fen)
    left_fen = _left(open_charges(connection, [row.household_id])[row.household_id], row.charge_id, due)
    if amount_fen > left_fen:
        raise LetOffTooMuchError(amount_fen, left_fen)


def _left(charges: Iterable[OpenCharge], charge_id: UUID, due: Due) -> int:
    return sum(charge.left.get(due, 0) for charge in charges if charge.charge_id == charge_id)
