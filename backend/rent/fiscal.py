"""Numbers of the fiscal e-receipts (财政电子票据): one for what a payment is, a red one for what it was.

A number is opaque: it says nothing of whom or what. When money of a payment goes back, the receipt is
cancelled as a whole (冲红) and another one is issued for what is left.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Select,
    case,
    cast,
    exists,
    func,
    insert,
    select,
    union,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import aliased

from backend.db.arrays import among
from backend.ledger.tables import journal_entry
from backend.rent.receipts import lock_accounts
from backend.rent.settings import RentSettings
from backend.rent.tables import fiscal_receipt, fiscal_serial, payment, payment_return, receipt_link

AT_ONCE = 200
# 128 bits: nobody finds somebody else's receipt by trying.
TOKEN_BYTES = 16
# How long a worker may have been away and still finds every payment.
LOOK_BACK = timedelta(days=31)
GONE_ZH = "款项已退回或冲销"


@dataclass(frozen=True, slots=True)
class FiscalNumber:
    """One number; `amount_fen` below zero for a red one, which names what it cancels."""

    number: str
    amount_fen: int
    cancels: str | None
    issued_at: datetime


def keep_fiscal_receipts(engine: Engine, now: datetime, rules: RentSettings) -> int:
    """Issue and cancel what is due, a few at a time; returns how many numbers were given."""
    with engine.begin() as connection:
        rows = connection.execute(_due(now - LOOK_BACK).limit(AT_ONCE)).all()
        return sum(bring_up_to_date(connection, row.payment_id, row.household_id, now, rules) for row in rows)


def bring_up_to_date(
    connection: Connection, payment_id: UUID, household_id: UUID, now: datetime, rules: RentSettings
) -> int:
    """Let the fiscal receipts of one payment agree with what is left of it; returns how many were added."""
    lock_accounts(connection, [household_id])
    left_fen = connection.execute(
        select(_left_fen()).select_from(payment).where(payment.c.payment_id == payment_id)
    ).scalar_one()
    live = live_number(connection, payment_id)
    if (live.amount_fen if live else 0) == left_fen:
        return 0
    added = 0
    if live is not None:
        _issue(connection, payment_id, -live.amount_fen, live.number, now, rules)
        added += 1
    if left_fen:
        _issue(connection, payment_id, left_fen, None, now, rules)
        added += 1
    return added


def numbers_of(connection: Connection, payment_id: UUID) -> list[FiscalNumber]:
    """Every number that was given for a payment, in the order of issue."""
    rows = connection.execute(
        select(fiscal_receipt)
        .where(fiscal_receipt.c.payment_id == payment_id)
        .order_by(fiscal_receipt.c.issued_at, fiscal_receipt.c.number)
    )
    return [FiscalNumber(row.number, row.amount_fen, row.cancels, row.issued_at) for row in rows]


def live_number(connection: Connection, payment_id: UUID) -> FiscalNumber | None:
    """The number that stands; None before it is given, and when all of the payment went back."""
    found = numbers_of(connection, payment_id)
    cancelled = {one.cancels for one in found}
    return next((one for one in found if one.amount_fen > 0 and one.number not in cancelled), None)


def token_of(connection: Connection, payment_id: UUID, now: datetime) -> str:
    """The secret part of the address under which a receipt can be checked; made on first use."""
    connection.execute(
        upsert(receipt_link)
        .values(payment_id=payment_id, token=secrets.token_urlsafe(TOKEN_BYTES), created_at=now)
        .on_conflict_do_nothing(index_elements=["payment_id"])
    )
    token: str = connection.execute(
        select(receipt_link.c.token).where(receipt_link.c.payment_id == payment_id)
    ).scalar_one()
    return token


def payment_of_token(connection: Connection, token: str) -> UUID | None:
    """Whose receipt the address is of."""
    return connection.execute(
        select(receipt_link.c.payment_id).where(receipt_link.c.token == token)
    ).scalar_one_or_none()


def left_of(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, int]:
    """What is left of payments after what went back or was reversed."""
    rows = connection.execute(
        select(payment.c.payment_id, _left_fen().label("left_fen")).where(
            among(payment.c.payment_id, payment_ids)
        )
    )
    return {row.payment_id: row.left_fen for row in rows}


def _issue(
    connection: Connection,
    payment_id: UUID,
    amount_fen: int,
    cancels: str | None,
    now: datetime,
    rules: RentSettings,
) -> None:
    serial = connection.execute(select(fiscal_serial.next_value())).scalar_one()
    connection.execute(
        insert(fiscal_receipt).values(
            number=f"{rules.fiscal_prefix}{serial:010d}",
            payment_id=payment_id,
            amount_fen=amount_fen,
            cancels=cancels,
            reason_zh=GONE_ZH if cancels else None,
            issued_at=now,
        )
    )


def _left_fen() -> ColumnElement[int]:
    """What is left of a payment: nothing if its entry is reversed, otherwise what did not go back."""
    reversal = aliased(journal_entry)
    reversed_ = exists().where(reversal.c.reverses_entry_id == payment.c.entry_id)
    back = (
        select(func.coalesce(func.sum(payment_return.c.amount_fen), 0))
        .where(payment_return.c.payment_id == payment.c.payment_id)
        .scalar_subquery()
    )
    left: ColumnElement[int] = cast(func.greatest(0, payment.c.amount_fen - back), BigInteger)
    return case((reversed_, 0), else_=left)


def _due(since: datetime) -> Select[tuple[UUID, UUID]]:
    """Payments whose numbers do not agree with what is left of them.

    New ones are looked for among those recorded since a moment; of older ones only those from which money
    went back, which are few.
    """
    numbered = exists().where(fiscal_receipt.c.payment_id == payment.c.payment_id)
    standing = (
        select(func.coalesce(func.sum(fiscal_receipt.c.amount_fen), 0))
        .where(fiscal_receipt.c.payment_id == payment.c.payment_id)
        .scalar_subquery()
    )
    reversal = aliased(journal_entry)
    candidates = union(
        select(payment.c.payment_id).where(payment.c.recorded_at >= since, ~numbered),
        select(payment_return.c.payment_id),
        select(payment.c.payment_id).join(reversal, reversal.c.reverses_entry_id == payment.c.entry_id),
    ).subquery()
    return (
        select(payment.c.payment_id, payment.c.household_id)
        .join(candidates, candidates.c.payment_id == payment.c.payment_id)
        .where(standing != _left_fen())
        .order_by(payment.c.recorded_at, payment.c.payment_id)
    )
