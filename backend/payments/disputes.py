"""Disputes: a payer's bank takes money back until the case is decided; the books follow the provider."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Row, select, update
from sqlalchemy.dialects.postgresql import insert

from backend.identity.principal import Principal
from backend.identity.service import audit, check_role
from backend.ledger import books, service
from backend.ledger.chart import Chart
from backend.ledger.periods import open_day
from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.vouchers import Occasion
from backend.payments import vouchers
from backend.payments.errors import DisputeClosedError, DisputeUnknownError, EvidenceMissingError
from backend.payments.money_back import DisputeState, DisputeStatus
from backend.payments.money_back_tables import dispute
from backend.payments.port import DisputeDesk
from backend.payments.providers import Providers
from backend.payments.refund_books import Noted, Outcome
from backend.payments.settlement import ACTOR, CURRENCY, NotOurs
from backend.registry.rules import local_day
from backend.rent.receipts import lock_accounts
from backend.rent.returns import Returned, left_of, return_payment
from backend.rent.tables import payment

ENDED = (DisputeState.WON.value, DisputeState.LOST.value)
CHECK_AGAIN_AFTER = timedelta(hours=6)


def apply_dispute(connection: Connection, provider: str, told: DisputeStatus, now: datetime) -> Outcome:
    """Book where a dispute stands; the same again, in any order, changes nothing, and ended is final."""
    paid = connection.execute(
        select(payment).where(payment.c.provider == provider, payment.c.provider_ref == told.payment_ref)
    ).one_or_none()
    if paid is None:
        return NotOurs("unknown_payment")
    if told.currency != CURRENCY or told.amount_fen > paid.amount_fen:
        return NotOurs("other_amount")
    lock_accounts(connection, [paid.household_id])
    row = _row(connection, provider, told, paid, now)
    if row.state in ENDED:
        return Noted(row.state)
    opened_id, ended_id = row.opened_entry_id, None
    lost = told.state is DisputeState.LOST
    if opened_id is None and (told.taken or lost):
        opened_id = _post_opened(connection, row, paid, now)
    if told.state is DisputeState.WON and opened_id is not None:
        ended_id = _post_won(connection, row, paid, now)
    if lost:
        if left_of(connection, paid.payment_id) < row.amount_fen:
            return NotOurs("more_than_is_left")
        ended_id = _post_lost(connection, row, now)
    ended = told.state.value in ENDED
    # An answer that we know of is not forgotten by an older word.
    state = row.state if told.state is DisputeState.OPEN and row.state == "answered" else told.state.value
    connection.execute(
        update(dispute)
        .where(dispute.c.dispute_id == row.dispute_id)
        .values(
            state=state,
            answer_by=told.answer_by,
            opened_entry_id=opened_id,
            ended_entry_id=ended_id,
            ended_at=now if ended else None,
            next_check_at=None if ended else now + CHECK_AGAIN_AFTER,
        )
    )
    return Noted(state)


def place_of_dispute(connection: Connection, dispute_id: UUID) -> tuple[str, UUID]:
    """The estate and the household of a dispute that can still be answered.

    Raises:
        DisputeUnknownError, DisputeClosedError
    """
    row = connection.execute(
        select(dispute.c.estate_id, payment.c.household_id, dispute.c.state)
        .join(payment, payment.c.payment_id == dispute.c.payment_id)
        .where(dispute.c.dispute_id == dispute_id)
    ).one_or_none()
    if row is None:
        raise DisputeUnknownError
    if row.state != DisputeState.OPEN.value:
        raise DisputeClosedError
    return row.estate_id, row.household_id


def answer(
    engine: Engine,
    providers: Providers,
    dispute_id: UUID,
    evidence_zh: str,
    principal: Principal,
    now: datetime,
    evidence_id: UUID | None = None,
) -> None:
    """Hand in what speaks for us; kept here first, so that it is known also when the answer is lost.

    Raises:
        DisputeUnknownError, NotAllowedError
        EvidenceMissingError: nothing was written.
        DisputeClosedError: it is answered, decided, or the time for it is over.
        ProviderUnavailableError, ProviderRefusedError
    """
    if not evidence_zh.strip():
        raise EvidenceMissingError
    with engine.begin() as connection:
        row = _open(connection, dispute_id, principal, "payments.answer_dispute", now)
        connection.execute(
            update(dispute)
            .where(dispute.c.dispute_id == dispute_id)
            .values(
                evidence_zh=evidence_zh.strip(),
                evidence_id=evidence_id,
                answered_by=principal.principal_id,
                answered_at=now,
            )
        )
    desk = _desk(providers, row)
    told = desk.answer_dispute(row.provider_ref, evidence_zh.strip(), f"dispute-{dispute_id}-answer")
    take_word(engine, row.provider, told, now)


def accept(
    engine: Engine, providers: Providers, dispute_id: UUID, principal: Principal, now: datetime
) -> None:
    """Say that the payer is right; what was paid is owed again. Raises as `answer`."""
    with engine.begin() as connection:
        row = _open(connection, dispute_id, principal, "payments.accept_dispute", now)
    desk = _desk(providers, row)
    take_word(
        engine, row.provider, desk.accept_dispute(row.provider_ref, f"dispute-{dispute_id}-accept"), now
    )


def take_word(engine: Engine, provider: str, told: DisputeStatus, now: datetime) -> Outcome:
    """Book what a provider says of a dispute, in a transaction of its own."""
    with engine.begin() as connection:
        return apply_dispute(connection, provider, told, now)


def _row(
    connection: Connection, provider: str, told: DisputeStatus, paid: Row[Any], now: datetime
) -> Row[Any]:
    connection.execute(
        insert(dispute)
        .values(
            dispute_id=uuid4(),
            provider=provider,
            provider_ref=told.provider_ref,
            payment_id=paid.payment_id,
            estate_id=paid.estate_id,
            amount_fen=told.amount_fen,
            reason=told.reason,
            state=DisputeState.OPEN.value,
            answer_by=told.answer_by,
            opened_at=now,
            next_check_at=now + CHECK_AGAIN_AFTER,
            checks=0,
        )
        .on_conflict_do_nothing(index_elements=[dispute.c.provider, dispute.c.provider_ref])
    )
    return connection.execute(
        select(dispute)
        .where(dispute.c.provider == provider, dispute.c.provider_ref == told.provider_ref)
        .with_for_update()
    ).one()


def _open(
    connection: Connection, dispute_id: UUID, principal: Principal, action: str, now: datetime
) -> Row[Any]:
    row = connection.execute(select(dispute).where(dispute.c.dispute_id == dispute_id)).one_or_none()
    if row is None:
        raise DisputeUnknownError
    check_role(principal, action, row.estate_id, "finance")
    late = row.answer_by is not None and now > row.answer_by
    if row.state != DisputeState.OPEN or late:
        raise DisputeClosedError
    audit(
        connection,
        principal,
        action,
        "done",
        "dispute",
        str(dispute_id),
        row.estate_id,
        row.provider_ref,
        now,
    )
    return row


def _desk(providers: Providers, row: Row[Any]) -> DisputeDesk:
    desk = providers.get(row.provider)
    if not isinstance(desk, DisputeDesk):
        raise DisputeUnknownError
    return desk


def _post_opened(connection: Connection, row: Row[Any], paid: Row[Any], now: datetime) -> int:
    chart, occasion = _occasion(connection, row, now)
    entry = vouchers.dispute_opened_entry(
        chart, occasion, _key(row), row.provider, _about(paid), row.amount_fen
    )
    return service.post(connection, [entry])[0].entry_id


def _post_won(connection: Connection, row: Row[Any], paid: Row[Any], now: datetime) -> int:
    chart, occasion = _occasion(connection, row, now)
    entry = vouchers.dispute_won_entry(chart, occasion, _key(row), row.provider, _about(paid), row.amount_fen)
    return service.post(connection, [entry])[0].entry_id


def _post_lost(connection: Connection, row: Row[Any], now: datetime) -> int:
    chart, occasion = _occasion(connection, row, now)

    def entry(paid: Row[Any], returned: Returned) -> NewEntry:
        return vouchers.dispute_lost_entry(chart, occasion, _key(row), _about(paid), returned)

    return return_payment(connection, row.payment_id, row.amount_fen, entry, now)


def _key(row: Row[Any]) -> str:
    return f"{row.provider}:{row.provider_ref}"


def _about(paid: Row[Any]) -> Dimensions:
    return Dimensions(paid.estate_id, None, paid.household_id, paid.channel)


def _occasion(connection: Connection, row: Row[Any], now: datetime) -> tuple[Chart, Occasion]:
    book_id = books.book_of(connection, row.estate_id, now)
    return books.chart_of(connection, now), Occasion(
        book_id, now, open_day(connection, book_id, local_day(now)), ACTOR, None
    )
