"""The provider's notices: kept as they came, then settled by the worker. The table is the queue.

A notice is claimed by moving its next try ahead (a lease), so that no transaction is open while the
provider is asked, several workers never wait for each other, and the notice of a worker that died comes
up again. Passing faults (no database, no provider) are tried for as long as they last; a notice that fails
in any other way, or takes its worker down, is parked after `TRIES_MAX` with the reason. Neither holds up
the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import structlog
from sqlalchemy import Connection, Engine, Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError

from backend.payments.errors import NoticeUnknownError
from backend.payments.port import (
    CheckoutState,
    CheckoutStatus,
    NoticeKind,
    Provider,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from backend.payments.settlement import NotOurs, settle
from backend.payments.tables import provider_notice

CHANNEL = "provider_notice"  # the worker LISTENs to it
CLAIM_AT_ONCE = 20
# Longer than the provider may take to answer, with all its retries.
LEASE = timedelta(seconds=120)
TRIES_MAX = 5
RETRY_MAX = timedelta(minutes=5)

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


def settle_pending(engine: Engine, provider: Provider, now: datetime, most: int | None = None) -> int:
    """Settle the notices that are due, all or about `most` of them; returns how many were looked at."""
    looked_at = 0
    while (most is None or looked_at < most) and (rows := _claimed(engine, provider.name, now)):
        for row in rows:
            _try(engine, provider, row, now)
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


def _try(engine: Engine, provider: Provider, row: Row[Any], now: datetime) -> None:
    if row.attempts > TRIES_MAX:
        _finish(engine, row, _End("parked", "worker_died"), now)
        return
    try:
        _settle_notice(engine, provider, row, now)
    except ProviderUnavailableError as error:
        _later(engine, row, now, error.reason)
    except ProviderRefusedError as error:
        _finish(engine, row, _End("parked", f"provider_refused: {error.reason}"), now)
    except (DBAPIError, psycopg.Error) as error:
        if _passes(error):
            _later(engine, row, now, "database")
        else:
            _failed(engine, row, error, now)
    except Exception as error:
        _failed(engine, row, error, now)


def _settle_notice(engine: Engine, provider: Provider, row: Row[Any], now: datetime) -> None:
    notice = provider.read_notice(bytes(row.body))
    if notice.kind is NoticeKind.IRRELEVANT:
        _finish(engine, row, _End("ignored"), now)
    elif notice.kind is not NoticeKind.CHECKOUT or notice.status is None:
        _finish(engine, row, _End("parked", f"{notice.kind.value}: {notice.what}"), now)
    else:
        _book(engine, provider, row, notice.what, notice.status, now)


def _book(
    engine: Engine, provider: Provider, row: Row[Any], what: str, status: CheckoutStatus, now: datetime
) -> None:
    if status.state is not CheckoutState.PAID:
        # Money that came is final. Anything else depends on the order of notices, which nobody promises:
        # so the notice is only a hint, and the provider is asked what is true now.
        status = provider.status(status.provider_ref)
    with engine.begin() as connection:
        outcome = settle(connection, provider.name, status, now)
        if isinstance(outcome, NotOurs):
            end = _End("parked", f"{outcome.reason}: {what}")
        else:
            end = _End("settled", None, outcome.taken.payment_id if outcome.taken else None)
        _write(connection, row.notice_id, end, now)


def _passes(error: Exception) -> bool:
    """Whether the database is away, or two transactions got in each other's way."""
    original = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(original, "sqlstate", None) or ""
    return isinstance(error, OperationalError | psycopg.OperationalError) or state[:2] in {"08", "40", "57"}


def _failed(engine: Engine, row: Row[Any], error: Exception, now: datetime) -> None:
    log.error("notice_failed", notice_id=row.notice_id, attempts=row.attempts, exc_info=error)
    if row.attempts >= TRIES_MAX:
        _finish(engine, row, _End("parked", f"failed: {type(error).__name__}"), now)
        return
    with engine.begin() as connection:
        _move(connection, row.notice_id, next_try_at=now + timedelta(seconds=2**row.attempts))


def _later(engine: Engine, row: Row[Any], now: datetime, reason: str) -> None:
    """Try again when it has waited a quarter as long again, and do not count this try."""
    wait = min(max((now - row.received_at) / 4, timedelta(seconds=1)), RETRY_MAX)
    log.warning("notice_postponed", notice_id=row.notice_id, reason=reason, wait_s=wait.total_seconds())
    with engine.begin() as connection:
        _move(connection, row.notice_id, next_try_at=now + wait, attempts=row.attempts - 1, reason=reason)


def _finish(engine: Engine, row: Row[Any], end: _End, now: datetime) -> None:
    with engine.begin() as connection:
        _write(connection, row.notice_id, end, now)


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
