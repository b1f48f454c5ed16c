"""Months that are locked. Each function works in the caller's transaction; PostgreSQL holds the rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, text

from backend.approvals.service import use
from backend.identity.principal import Principal
from backend.ledger.chain import Head, head
from backend.ledger.errors import PeriodOrderError
from backend.ledger.sealing import seal_book
from backend.ledger.tables import period_change

UNLOCK = "unlock_period"
# The first half of the key that postings hold while a month is locked; as in `0003_periods.sql`.
BOOK_LOCK = 7_205_224


@dataclass(frozen=True, slots=True)
class PeriodChange:
    """A month was locked or reopened.

    Attributes:
        head_seq, head_hash: where the book's chain stood.
        proposal_id: of a reopening, what two people agreed on.
    """

    book_id: str
    change_no: int
    month: date
    change: str
    principal_id: UUID
    changed_at: datetime
    head_seq: int
    head_hash: bytes | None
    proposal_id: UUID | None


def open_from(connection: Connection, book_id: str) -> date | None:
    """The first day that is open; None where nothing was ever locked, so that every day is."""
    last = connection.execute(
        select(period_change.c.month, period_change.c.change)
        .where(period_change.c.book_id == book_id)
        .order_by(period_change.c.change_no.desc())
        .limit(1)
    ).one_or_none()
    if last is None:
        return None
    month: date = last.month
    return _next_month(month) if last.change == "lock" else month


def open_day(connection: Connection, book_id: str, wanted: date) -> date:
    """`wanted`, or the first open day behind it: the day on which a late correction counts."""
    first = open_from(connection, book_id)
    return wanted if first is None else max(wanted, first)


def hold_book(connection: Connection, book_id: str) -> None:
    """Wait for whoever is posting to the book; nobody else posts until the end of the transaction."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(:key, hashtext(:book))"), {"key": BOOK_LOCK, "book": book_id}
    )


def lock_period(
    connection: Connection, book_id: str, month: date, principal: Principal, at: datetime
) -> PeriodChange:
    """Lock a month of a book, with everything before it; seals what is left, and waits for writers.

    Args:
        month: its first day; the first lock may be of any month, each later one of the next.
    Raises:
        PeriodOrderError: it is not the month's turn.
    """
    # Whoever comes later finds the month locked.
    hold_book(connection, book_id)
    first = open_from(connection, book_id)
    if first is not None and month != first:
        raise PeriodOrderError(book_id, month, first)
    seal_book(connection, book_id)
    return _add(connection, "lock", book_id, month, principal, at, None)


def unlock_period(
    connection: Connection, book_id: str, month: date, proposal_id: UUID, principal: Principal, at: datetime
) -> PeriodChange:
    """Reopen the last locked month, as two people agreed (`unlock_subject` names what they agree on).

    Raises:
        PeriodOrderError: it is not the last locked month.
        ApprovalMissingError, ApprovalUsedError, ProposalUnknownError: nobody agreed, or to something else.
    """
    hold_book(connection, book_id)
    first = open_from(connection, book_id)
    if first is None or _next_month(month) != first:
        raise PeriodOrderError(book_id, month, first)
    use(connection, proposal_id, UNLOCK, at)
    seal_book(connection, book_id)
    return _add(connection, "unlock", book_id, month, principal, at, proposal_id)


def unlock_subject(book_id: str, month: date) -> str:
    """The subject of a proposal to reopen that month of that book; PostgreSQL compares it."""
    return f"period:{book_id}:{month:%Y-%m}"


def changes(connection: Connection, book_id: str) -> list[PeriodChange]:
    """What was locked and reopened, the oldest first."""
    rows = connection.execute(
        select(period_change).where(period_change.c.book_id == book_id).order_by(period_change.c.change_no)
    )
    return [
        PeriodChange(
            row.book_id, row.change_no, row.month, row.change, row.principal_id, row.changed_at,
            row.head_seq, row.head_hash, row.proposal_id,
        )
        for row in rows
    ]  # fmt: skip


def _add(
    connection: Connection,
    change: str,
    book_id: str,
    month: date,
    principal: Principal,
    at: datetime,
    proposal_id: UUID | None,
) -> PeriodChange:
    stands: Head = head(connection, book_id)
    number = connection.scalar(
        select(func.coalesce(func.max(period_change.c.change_no), 0) + 1).where(
            period_change.c.book_id == book_id
        )
    )
    connection.execute(
        insert(period_change).values(
            book_id=book_id,
            change_no=number,
            month=month,
            change=change,
            principal_id=principal.principal_id,
            changed_at=at,
            recorded_at=at,
            head_seq=stands.seq,
            head_hash=stands.hash,
            proposal_id=proposal_id,
        )
    )
    return changes(connection, book_id)[-1]


def _next_month(month: date) -> date:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)
