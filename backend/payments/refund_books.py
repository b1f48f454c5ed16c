"""What a provider says of a refund, in the books; the same again, in any order, changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, insert, select, update

from backend.ledger import books, service
from backend.ledger.chart import Chart
from backend.ledger.periods import open_day
from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.vouchers import Occasion
from backend.payments import vouchers
from backend.payments.money_back import RefundState, RefundStatus
from backend.payments.money_back_tables import refund
from backend.payments.settlement import ACTOR, CURRENCY, NotOurs
from backend.registry.rules import local_day
from backend.rent.receipts import lock_accounts
from backend.rent.returns import Returned, left_of, restore_payment, return_payment
from backend.rent.tables import payment

CHECK_AGAIN_AFTER = timedelta(minutes=5)
OVER = ("done", "failed", "refused")
FAILED_ZH = "退款失败，款项退回"


@dataclass(frozen=True, slots=True)
class Noted:
    """The provider's word is in our books."""

    state: str


Outcome = Noted | NotOurs


def apply_refund(connection: Connection, provider: str, told: RefundStatus, now: datetime) -> Outcome:
    """Book where a refund stands.

    One that was made in the provider's own pages has no row here: the money is gone all the same, so it is
    taken over, and the list says that no two people agreed to it here.
    """
    row = _row(connection, provider, told)
    if row is None:
        row = _taken_over(connection, provider, told, now)
    if row is None:
        return NotOurs("unknown_refund")
    if told.currency != CURRENCY or told.amount_fen != row.amount_fen:
        return NotOurs("other_amount")
    if told.state is RefundState.FAILED:
        return _failed(connection, row, told, now)
    if row.state in OVER:
        return Noted(row.state)
    entry_id = row.entry_id
    if entry_id is None:
        if left_of(connection, row.payment_id) < row.amount_fen:
            return NotOurs("more_than_is_left")
        entry_id = _post(connection, row, told, now)
    done = told.state is RefundState.DONE
    connection.execute(
        update(refund)
        .where(refund.c.refund_id == row.refund_id)
        .values(
            state="done" if done else "pending",
            provider_ref=told.provider_ref,
            entry_id=entry_id,
            finished_at=now if done else None,
            next_check_at=None if done else now + CHECK_AGAIN_AFTER,
        )
    )
    return Noted(told.state.value)


def _row(connection: Connection, provider: str, told: RefundStatus) -> Row[Any] | None:
    """The refund, with the household's account and the row locked, in that order."""
    mine = (
        refund.c.refund_id == told.refund_id
        if told.refund_id is not None
        else refund.c.provider_ref == told.provider_ref
    )
    query = select(refund).where(refund.c.provider == provider, mine)
    found = connection.execute(query).one_or_none()
    if found is None:
        return None
    lock_accounts(connection, [found.household_id])
    return connection.execute(query.with_for_update()).one()


def _taken_over(connection: Connection, provider: str, told: RefundStatus, now: datetime) -> Row[Any] | None:
    paid = connection.execute(
        select(payment).where(payment.c.provider == provider, payment.c.provider_ref == told.payment_ref)
    ).one_or_none()
    if paid is None or told.refund_id is not None:
        return None
    refund_id = uuid4()
    connection.execute(
        insert(refund).values(
            refund_id=refund_id,
            payment_id=paid.payment_id,
            estate_id=paid.estate_id,
            household_id=paid.household_id,
            amount_fen=told.amount_fen,
            provider=provider,
            payment_ref=told.payment_ref,
            provider_ref=told.provider_ref,
            state="asked",
            detail="made_elsewhere",
            idempotency_key=f"refund-{refund_id}",
            created_at=now,
            checks=0,
        )
    )
    return _row(connection, provider, told)


def _post(connection: Connection, row: Row[Any], told: RefundStatus, now: datetime) -> int:
    chart, occasion = _occasion(connection, row, now)

    def entry(paid: Row[Any], returned: Returned) -> NewEntry:
        about = Dimensions(row.estate_id, None, row.household_id, paid.channel)
        key = told.slip_ref or f"{row.provider}:{told.provider_ref}"
        return vouchers.refund_entry(chart, occasion, key, row.provider, about, returned)

    return return_payment(connection, row.payment_id, row.amount_fen, entry, now)


def _failed(connection: Connection, row: Row[Any], told: RefundStatus, now: datetime) -> Outcome:
    if row.state in ("failed", "refused"):
        return Noted(row.state)
    reversal_id = None
    if row.entry_id is not None:
        reversal_id = _reverse(connection, row, now)
    connection.execute(
        update(refund)
        .where(refund.c.refund_id == row.refund_id)
        .values(
            state="failed",
            provider_ref=told.provider_ref,
            detail=told.reason or "failed",
            reversal_entry_id=reversal_id,
            finished_at=now,
            next_check_at=None,
        )
    )
    return Noted("failed")


def _reverse(connection: Connection, row: Row[Any], now: datetime) -> int:
    chart, occasion = _occasion(connection, row, now)
    reversal = service.reverse(
        connection,
        row.entry_id,
        reason=FAILED_ZH,
        effective_on=occasion.on,
        now=now,
        actor=ACTOR,
        principal_id=None,
    )
    paid, over = restore_payment(connection, row.entry_id, reversal.entry_id, now)
    if over:
        about = Dimensions(row.estate_id, None, row.household_id, paid.channel)
        entry = vouchers.came_back_entry(chart, occasion, str(reversal.entry_id), about, over)
        service.post(connection, [entry])
    return reversal.entry_id


def _occasion(connection: Connection, row: Row[Any], now: datetime) -> tuple[Chart, Occasion]:
    chart = books.chart_of(connection, now)
    book_id = books.book_of(connection, row.estate_id, now)
    return chart, Occasion(book_id, now, open_day(connection, book_id, local_day(now)), ACTOR, None)
