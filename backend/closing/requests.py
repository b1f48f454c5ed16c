"""Closes that somebody asked for on the page; the worker does them, and their rows are the queue."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, Engine, Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from backend.closing.errors import CloseFailedError, CloseRunningError
from backend.closing.records import Month
from backend.closing.service import check_may_close, check_ready, close_month, estate_of
from backend.closing.tables import close_request
from backend.errors import ExplainedError
from backend.identity.accounts import principal_by_login
from backend.identity.principal import Principal
from backend.identity.tables import principal as principal_table

NOTIFY_CHANNEL = "close_requested"
GIVES_UP_AFTER = timedelta(hours=1)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Request:
    """A close that was asked for.

    Attributes:
        state: `waiting`, `running` (also after its worker was killed, until one takes it up again), `done` or
            `refused`.
        said_zh, said_en: why it was refused.
    """

    state: str
    requested_at: datetime
    said_zh: str | None
    said_en: str | None


def request_close(
    connection: Connection,
    book_id: str,
    month: Month,
    principal: Principal,
    now: datetime,
    despite: Collection[str] = (),
    reason: str = "",
) -> None:
    """Ask the worker to close a month; asked twice while it waits, it is closed once.

    Raises:
        BookUnknownError, NotAllowedError
        MonthNotReadyError: the checklist is not done.
    """
    check_may_close(principal, estate_of(connection, book_id))
    check_ready(connection, book_id, month, now, despite, reason)
    connection.execute(
        insert(close_request)
        .values(
            request_id=uuid.uuid4(),
            book_id=book_id,
            month=month.from_on,
            despite=list(despite),
            reason=reason,
            requested_by=principal.principal_id,
            requested_at=now,
        )
        .on_conflict_do_nothing()
    )
    connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": NOTIFY_CHANNEL})


def last_request(connection: Connection, book_id: str, month: Month) -> Request | None:
    """The newest request to close that month, and what became of it."""
    row = connection.execute(
        select(close_request)
        .where(close_request.c.book_id == book_id, close_request.c.month == month.from_on)
        .order_by(close_request.c.requested_at.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Request(_state(row), row.requested_at, row.refused_zh, row.refused_en)


def close_requested(engine: Engine, folder: Path, now: datetime) -> int:
    """The worker's share: every close that was asked for, the oldest first; how many were finished.

    A killed worker's is done again, as of the same moment, so it gives the same pack. A book that somebody
    else is closing is left for the next look.
    """
    with engine.connect() as connection:
        waiting = connection.execute(
            select(close_request, principal_table.c.login)
            .join(principal_table, principal_table.c.principal_id == close_request.c.requested_by)
            .where(close_request.c.finished_at.is_(None))
            .order_by(close_request.c.requested_at)
        ).all()
    return sum(_do(engine, folder, row, now) for row in waiting)


def _do(engine: Engine, folder: Path, row: Row[Any], now: datetime) -> int:
    _mark(engine, row.request_id, started_at=func.coalesce(close_request.c.started_at, now))
    month, refused = Month(row.month), None
    try:
        with engine.connect() as connection:
            who = principal_by_login(connection, row.login, now)
        close_month(engine, row.book_id, month, who, row.requested_at, folder, row.despite, row.reason)
    except CloseRunningError:
        return 0
    except ExplainedError as error:
        refused = error
    except OperationalError as error:
        # The database was away, or somebody held the book: a later look does it, others' come first.
        log.warning("close_put_off", book=row.book_id, month=str(month), error=type(error.orig).__name__)
        if row.started_at is None or now - row.started_at < GIVES_UP_AFTER:
            return 0
        refused = CloseFailedError(row.book_id, month)
    except Exception:
        log.exception("close_failed", book=row.book_id, month=str(month))
        refused = CloseFailedError(row.book_id, month)
    said = {} if refused is None else {"refused_zh": refused.zh, "refused_en": refused.en}
    _mark(engine, row.request_id, finished_at=now, **said)
    return 1


def _mark(engine: Engine, request_id: UUID, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(
            update(close_request)
            .where(close_request.c.request_id == request_id, close_request.c.finished_at.is_(None))
            .values(**values)
        )


def _state(row: Row[Any]) -> str:
    if row.finished_at is None:
        return "waiting" if row.started_at is None else "running"
    return "done" if row.refused_zh is None else "refused"
