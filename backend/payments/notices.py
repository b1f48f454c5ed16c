"""The provider's notices: kept as they came, then settled by the worker. The table is the queue.

A notice is claimed by moving its next try ahead (a lease), so that no transaction is open while the
provider is asked, several workers never wait for each other, and the notice of a worker that died comes
up again. Notices that say all there is to say (paid) are settled together, one transaction for a batch;
when that fails, or was tried before, each is settled by itself. Passing faults (no database, no provider)
are tried for as long as they last; a notice that fails in any other way, or takes its worker down, is
parked after `TRIES_MAX` with the reason. Neither holds up the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import structlog
from sqlalchemy import Connection, Engine, Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError

from backend.identity.principal import Principal
from backend.payments.disputes import apply_dispute
from backend.payments.errors import NoticeUnknownError
from backend.payments.port import (
    CheckoutState,
    CheckoutStatus,
    DisputeDesk,
    Notice,
    NoticeKind,
    Provider,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from backend.payments.refund_books import Noted, apply_refund
from backend.payments.settings import PaymentRules
from backend.payments.settlement import DEFAULTS, NotOurs, Outcome, settle, settle_all
from backend.payments.tables import provider_notice

CHANNEL = "provider_notice"  # the worker LISTENs to it
CLAIM_AT_ONCE = 100
# Longer than the provider may take to answer, with all its retries.
LEASE = timedelta(seconds=120)
TRIES_MAX = 5
LOCK_WAIT = "1s"
RETRY_MAX = timedelta(minutes=5)
# A refund or a dispute may be heard of before its payment, or before what makes room for it: the sweeper has
# asked for every checkout long before this has passed.
WAIT_FOR_OTHERS = timedelta(hours=8)
MAY_FOLLOW = frozenset({"unknown_payment", "unknown_refund", "more_than_is_left"})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NoticeTaken:
    """A notice that is kept; `is_new` unless the same event was kept before."""

    event_id: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class ParkedNotice:
    """A notice that waits for a person or for newer software."""

    notice_id: int
    provider: str
    event_id: str
    received_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class _Desk:
    """What one look at the queue works with."""

    engine: Engine
    provider: Provider
    now: datetime
    rules: PaymentRules


@dataclass(frozen=True, slots=True)
class _End:
    state: str
    reason: str | None = None
    payment_id: UUID | None = None


def take_notice(
    engine: Engine, provider: Provider, raw: bytes, headers: Mapping[str, str], now: datetime
) -> NoticeTaken:
    """Verify a notice and keep it as it came; the worker is woken when it is committed.

    Raises:
        NoticeRefusedError: not signed by the provider, or not around now; nothing is kept.
    """
    event_id = provider.parse_notice(raw, headers, now).event_id
    with engine.begin() as connection:
        new = connection.execute(
            insert(provider_notice)
            .values(
                provider=provider.name,
                event_id=event_id,
                body=raw,
                received_at=now,
                state="waiting",
                attempts=0,
                next_try_at=now,
            )
            .on_conflict_do_nothing(index_elements=[provider_notice.c.provider, provider_notice.c.event_id])
            .returning(provider_notice.c.notice_id)
        ).scalar_one_or_none()
        if new is not None:
            connection.execute(select(func.pg_notify(CHANNEL, "")))
    return NoticeTaken(event_id, new is not None)


def settle_pending(
    engine: Engine,
    provider: Provider,
    now: datetime,
    most: int | None = None,
    rules: PaymentRules = DEFAULTS,
) -> int:
    """Settle the notices that are due, all or about `most` of them; returns how many were looked at."""
    looked_at = 0
    desk = _Desk(engine, provider, now, rules)
    while (most is None or looked_at < most) and (rows := _claimed(engine, provider.name, now)):
        for row in _not_settled_together(desk, rows):
            _try(desk, row)
        looked_at += len(rows)
    return looked_at


def parked_notices(connection: Connection) -> list[ParkedNotice]:
    """What waits for a person, oldest first."""
    rows = connection.execute(
        select(provider_notice)
        .where(provider_notice.c.state == "parked")
        .order_by(provider_notice.c.notice_id)
    )
    return [
        ParkedNotice(row.notice_id, row.provider, row.event_id, row.received_at, row.reason) for row in rows
    ]


def replay_notice(connection: Connection, notice_id: int, now: datetime) -> None:
    """Let the worker try a parked notice once more.

    Raises:
        NoticeUnknownError: no parked notice of that number.
    """
    moved = connection.execute(
        update(provider_notice)
        .where(provider_notice.c.notice_id == notice_id, provider_notice.c.state == "parked")
        .values(state="waiting", reason=None, attempts=0, next_try_at=now, finished_at=None)
    )
    if moved.rowcount == 0:
        raise NoticeUnknownError(notice_id)
    connection.execute(select(func.pg_notify(CHANNEL, "")))


def put_aside(
    connection: Connection, notice_id: int, reason: str, principal: Principal, now: datetime
) -> None:
    """A person has dealt with a parked notice in another way; it stays kept, with who and why.

    Raises:
        NoticeUnknownError: no parked notice of that number, or no reason.
    """
    moved = connection.execute(
        update(provider_notice)
        .where(provider_notice.c.notice_id == notice_id, provider_notice.c.state == "parked")
        .values(
            state="ignored",
            reason=func.concat(provider_notice.c.reason, " | ", reason.strip()),
            principal_id=principal.principal_id,
            finished_at=now,
        )
    )
    if moved.rowcount == 0 or not reason.strip():
        raise NoticeUnknownError(notice_id)


_CLAIM = text("""
    UPDATE provider_notice SET attempts = attempts + 1, next_try_at = :until
    WHERE notice_id IN (
        SELECT notice_id FROM provider_notice
        WHERE state = 'waiting' AND provider = :provider AND next_try_at <= :now
        ORDER BY next_try_at, notice_id LIMIT :most FOR UPDATE SKIP LOCKED
    )
    RETURNING notice_id, event_id, body, received_at, attempts
""")


def _claimed(engine: Engine, provider: str, now: datetime) -> list[Row[Any]]:
    with engine.begin() as connection:
        rows = connection.execute(
            _CLAIM, {"provider": provider, "now": now, "until": now + LEASE, "most": CLAIM_AT_ONCE}
        ).all()
    return sorted(rows, key=lambda row: int(row.notice_id))


def _not_settled_together(desk: _Desk, rows: list[Row[Any]]) -> list[Row[Any]]:
    """Settle in one transaction what needs no question; returns what is to be looked at one by one."""
    ready: list[tuple[Row[Any], str, CheckoutStatus]] = []
    left = []
    for row in rows:
        notice = _at_once(desk.provider, row)
        if notice is None or notice.status is None:
            left.append(row)
        else:
            ready.append((row, notice.what, notice.status))
    if len(ready) < 2:
        return rows
    try:
        with _settling(desk) as connection:
            outcomes = settle_all(
                connection, desk.provider.name, [status for _, _, status in ready], desk.now, desk.rules
            )
            for (row, what, _), outcome in zip(ready, outcomes, strict=True):
                _write(connection, row.notice_id, _end_of(outcome, what), desk.now)
    except Exception as error:
        log.warning("notices_not_settled_together", notices=len(ready), error=type(error).__name__)
        return rows
    return left


@contextmanager
def _settling(desk: _Desk) -> Iterator[Connection]:
    """A transaction that waits a moment for a book that is being closed: others' notices come after it."""
    with desk.engine.begin() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'"))
        yield connection


def _at_once(provider: Provider, row: Row[Any]) -> Notice | None:
    """The notice if it is new and tells of a payment that is through, which nothing can change any more."""
    if row.attempts > 1:
        return None
    try:
        notice = provider.read_notice(bytes(row.body))
    except Exception:  # looked at, counted and logged when it is its turn alone
        return None
    paid = notice.status is not None and notice.status.state is CheckoutState.PAID
    return notice if notice.kind is NoticeKind.CHECKOUT and paid else None


def _try(desk: _Desk, row: Row[Any]) -> None:
    if row.attempts > TRIES_MAX:
        _finish(desk, row, _End("parked", "worker_died"))
        return
    try:
        _settle_notice(desk, row)
    except ProviderUnavailableError as error:
        _later(desk, row, error.reason)
    except ProviderRefusedError as error:
        _finish(desk, row, _End("parked", f"provider_refused: {error.reason}"))
    except (DBAPIError, psycopg.Error) as error:
        if _passes(error):
            _later(desk, row, "database")
        else:
            _failed(desk, row, error)
    except Exception as error:
        _failed(desk, row, error)


def _settle_notice(desk: _Desk, row: Row[Any]) -> None:
    notice = desk.provider.read_notice(bytes(row.body))
    if notice.kind is NoticeKind.IRRELEVANT:
        _finish(desk, row, _End("ignored"))
    elif notice.status is not None:
        _book(desk, row, notice.what, notice.status)
    elif notice.refund is not None or notice.dispute is not None:
        _book_money_back(desk, row, notice)
    else:
        _finish(desk, row, _End("parked", f"{notice.kind.value}: {notice.what}"))


def _book(desk: _Desk, row: Row[Any], what: str, status: CheckoutStatus) -> None:
    if status.state is not CheckoutState.PAID:
        # Money that came is final. Anything else depends on the order of notices, which nobody promises:
        # so the notice is only a hint, and the provider is asked what is true now.
        status = desk.provider.status(status.provider_ref)
    with _settling(desk) as connection:
        outcome = settle(connection, desk.provider.name, status, desk.now, desk.rules)
        _write(connection, row.notice_id, _end_of(outcome, what), desk.now)


def _book_money_back(desk: _Desk, row: Row[Any], notice: Notice) -> None:
    """A refund or a dispute: the notice is only a hint, for its order is no promise either."""
    outcome: NotOurs | Noted
    if notice.refund is not None:
        refund = desk.provider.refund_status(notice.refund.provider_ref)
        with _settling(desk) as connection:
            outcome = apply_refund(connection, desk.provider.name, refund, desk.now)
            _end_money_back(connection, desk, row, outcome, notice.what)
    elif notice.dispute is not None and isinstance(desk.provider, DisputeDesk):
        dispute = desk.provider.dispute_status(notice.dispute.provider_ref)
        with _settling(desk) as connection:
            outcome = apply_dispute(connection, desk.provider.name, dispute, desk.now)
            _end_money_back(connection, desk, row, outcome, notice.what)


def _end_money_back(
    connection: Connection, desk: _Desk, row: Row[Any], outcome: NotOurs | Noted, what: str
) -> None:
    if not isinstance(outcome, NotOurs):
        _write(connection, row.notice_id, _End("settled"), desk.now)
    elif outcome.reason in MAY_FOLLOW and desk.now - row.received_at < WAIT_FOR_OTHERS:
        _postpone(connection, desk, row, outcome.reason)
    else:
        _write(connection, row.notice_id, _End("parked", f"{outcome.reason}: {what}"), desk.now)


def _end_of(outcome: Outcome, what: str) -> _End:
    if isinstance(outcome, NotOurs):
        return _End("parked", f"{outcome.reason}: {what}")
    return _End("settled", None, outcome.taken.payment_id if outcome.taken else None)


def _passes(error: Exception) -> bool:
    """Whether the database is away, or two transactions got in each other's way."""
    original = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(original, "sqlstate", None) or ""
    return isinstance(error, OperationalError | psycopg.OperationalError) or state[:2] in {"08", "40", "57"}


def _failed(desk: _Desk, row: Row[Any], error: Exception) -> None:
    log.error("notice_failed", notice_id=row.notice_id, attempts=row.attempts, exc_info=error)
    if row.attempts >= TRIES_MAX:
        _finish(desk, row, _End("parked", f"failed: {type(error).__name__}"))
        return
    with desk.engine.begin() as connection:
        _move(connection, row.notice_id, next_try_at=desk.now + timedelta(seconds=2**row.attempts))


def _later(desk: _Desk, row: Row[Any], reason: str) -> None:
    """Try again when it has waited a quarter as long again, and do not count this try."""
    with desk.engine.begin() as connection:
        _postpone(connection, desk, row, reason)


def _postpone(connection: Connection, desk: _Desk, row: Row[Any], reason: str) -> None:
    wait = min(max((desk.now - row.received_at) / 4, timedelta(seconds=1)), RETRY_MAX)
    log.warning("notice_postponed", notice_id=row.notice_id, reason=reason, wait_s=wait.total_seconds())
    _move(
        connection,
        row.notice_id,
        next_try_at=desk.now + wait,
        attempts=row.attempts - 1,
        reason=reason,
    )


def _finish(desk: _Desk, row: Row[Any], end: _End) -> None:
    with desk.engine.begin() as connection:
        _write(connection, row.notice_id, end, desk.now)


def _write(connection: Connection, notice_id: int, end: _End, now: datetime) -> None:
    if end.state == "parked":
        log.warning("notice_parked", notice_id=notice_id, reason=end.reason)
    _move(
        connection,
        notice_id,
        state=end.state,
        reason=end.reason,
        payment_id=end.payment_id,
        finished_at=now,
    )


def _move(connection: Connection, notice_id: int, **changes: object) -> None:
    # A worker whose lease ran out may come late: what another one finished stays finished.
    connection.execute(
        update(provider_notice)
        .where(provider_notice.c.notice_id == notice_id, provider_notice.c.state == "waiting")
        .values(**changes)
    )
