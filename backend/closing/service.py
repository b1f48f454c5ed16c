"""Closing a month; `reopening` opens it again."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Row, func, insert, select, text

from backend.closing import pack
from backend.closing.book_reading import read_accounts
from backend.closing.build import build_pack
from backend.closing.checklist import Point, checklist, missing
from backend.closing.errors import (
    BookUnknownError,
    CloseRunningError,
    MonthNotClosedError,
    MonthNotReadyError,
    PackChangedError,
    PackFolderError,
    PackWrongError,
)
from backend.closing.filing import workplace
from backend.closing.pack_documents import CloseFacts
from backend.closing.records import Month
from backend.closing.surplus import PERIOD_CLOSE, closing_entry
from backend.closing.tables import close_share, month_close
from backend.identity.errors import NotAllowedError
from backend.identity.principal import ALL, Principal
from backend.identity.service import audit, check_role
from backend.identity.tables import principal as principal_table
from backend.ledger import books, periods
from backend.ledger import service as ledger
from backend.ledger.chain import FIRST_BEFORE
from backend.ledger.tables import book, journal_entry, period_change
from backend.reconciliation.shares import shared_states

ACTOR = "月末结账"
# The first half of the key that a close of the book holds.
CLOSE_LOCK = 7_205_331
BUILT_WITHIN = "15min"


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed month with its pack.

    Attributes:
        path: the pack as one file.
        head_hash: what is printed on the close sheet, to be kept outside.
    """

    close_id: UUID
    book_id: str
    month: Month
    revision: int
    head_sequence: int
    head_hash: str
    manifest_sha256: str
    path: Path


def close_month(
    engine: Engine,
    book_id: str,
    month: Month,
    principal: Principal,
    now: datetime,
    out: Path,
    despite: Collection[str] = (),
    reason: str = "",
) -> Closed:
    """Close a month in one transaction: checklist, closing entry, lock, pack and its check, record.

    Whatever fails, or whoever is killed, before the end of it leaves the month open and nothing behind; the
    pack is put in its place after it. Closing a closed month writes the same pack again, for instance after a
    crash between the two. Meanwhile nothing is posted to the book.

    Args:
        out: the folder in which the pack is filed.
        despite: points of the checklist that may stay open, with a reason.
    Raises:
        BookUnknownError, NotAllowedError
        CloseRunningError: somebody else is closing a month of the book at this moment.
        MonthNotReadyError: the checklist is not done.
        PackWrongError: the pack does not pass its own checks; the month stays as it was.
        PackChangedError: the month is closed, and its pack would not be the one that was filed.
        PackFolderError: the pack cannot be written there.
    """
    with ExitStack() as stack:
        with engine.begin() as connection:
            estate_id = estate_of(connection, book_id)
            check_may_close(principal, estate_id)
            _alone(connection, book_id)
            still_open: tuple[str, ...] = ()
            if lock_of(connection, book_id, month) is None:
                still_open = _lock(connection, book_id, estate_id, month, principal, now, despite, reason)
            closed, written = _file(
                connection, stack, book_id, month, principal, now, out, still_open, reason
            )
        try:
            written.replace(closed.path)
        except OSError as error:
            raise PackFolderError(str(closed.path)) from error
    return closed


def _alone(connection: Connection, book_id: str) -> None:
    """One close of a book at a time, until the end of the transaction, in which long work is done."""
    free = connection.scalar(
        text("SELECT pg_try_advisory_xact_lock(:key, hashtext(:book))"), {"key": CLOSE_LOCK, "book": book_id}
    )
    if not free:
        raise CloseRunningError(book_id)
    # Building and checking a large pack leaves the connection alone for longer than others may.
    connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{BUILT_WITHIN}'"))


def check_ready(
    connection: Connection,
    book_id: str,
    month: Month,
    now: datetime,
    despite: Collection[str],
    reason: str,
) -> list[Point]:
    """The checklist of a month that may be closed; of a closed one, nothing is looked at.

    Raises:
        MonthNotReadyError: something is open that may not wait, or may and nobody says why.
    """
    points = open_points(connection, book_id, month, now)
    stopping = missing(points, frozenset(despite if reason.strip() else ()) | {"unsealed"})
    if stopping:
        raise MonthNotReadyError(book_id, month, stopping)
    return points


def check_may_close(principal: Principal, estate_id: str | None) -> None:
    """Let only finance staff of the book close it.

    Raises:
        NotAllowedError
    """
    if estate_id is not None:
        check_role(principal, "closing.close", estate_id, "finance")
    elif principal.estates("finance") is not ALL:
        raise NotAllowedError(principal.actor, "closing.close", ("finance",), None)


def estate_of(connection: Connection, book_id: str) -> str | None:
    """The estate of a book; None for the city's.

    Raises:
        BookUnknownError
    """
    row = connection.execute(select(book.c.estate_id).where(book.c.book_id == book_id)).one_or_none()
    if row is None:
        raise BookUnknownError(book_id)
    return None if row.estate_id is None else str(row.estate_id)


def lock_of(connection: Connection, book_id: str, month: Month) -> Row[int, int, bytes] | None:
    """The lock under which the month is closed (change_no, head_seq, head_hash); None when it is open."""
    # Compared there: a book of which nothing is locked is open from minus infinity, which is no date here.
    if not connection.scalar(select(func.period_open_from(book_id) > month.from_on)):
        return None
    return connection.execute(
        select(
            period_change.c.change_no,
            period_change.c.head_seq,
            # A book without an entry has no head yet; its chain stands where the first entry will begin.
            func.coalesce(period_change.c.head_hash, FIRST_BEFORE).label("head_hash"),
        )
        .where(
            period_change.c.book_id == book_id,
            period_change.c.month == month.from_on,
            period_change.c.change == "lock",
        )
        .order_by(period_change.c.change_no.desc())
        .limit(1)
    ).one_or_none()


def closes(connection: Connection, book_ids: Collection[str]) -> list[Row[tuple[object, ...]]]:
    """What was closed in these books, the newest month first, with who closed it."""
    return list(
        connection.execute(
            select(month_close, principal_table.c.display_name)
            .join(principal_table, principal_table.c.principal_id == month_close.c.closed_by)
            .where(month_close.c.book_id.in_(list(book_ids)))
            .order_by(month_close.c.month.desc(), month_close.c.book_id, month_close.c.revision.desc())
        )
    )


def _lock(
    connection: Connection,
    book_id: str,
    estate_id: str | None,
    month: Month,
    principal: Principal,
    now: datetime,
    despite: Collection[str],
    reason: str,
) -> tuple[str, ...]:
    """Check, post the closing entry and lock; returns in words what stays open all the same."""
    periods.hold_book(connection, book_id)
    points = check_ready(connection, book_id, month, now, despite, reason)
    _post_closing_entry(connection, book_id, estate_id, month, principal, now)
    locked = periods.lock_period(connection, book_id, month.from_on, principal, now)
    _record_shares(connection, book_id, month, locked.change_no)
    audit(connection, principal, "close_month", "done", "book", book_id, estate_id, str(month), now)
    return tuple(f"{p.zh}：{p.open}" for p in points if not p.done and p.name in despite)


def _record_shares(connection: Connection, book_id: str, month: Month, change_no: int) -> None:
    """What each book holds of the accounts that this one shares, and where its chain now stands."""
    rows = [
        {
            "book_id": book_id,
            "change_no": change_no,
            "account_id": state.account_id,
            "of_book_id": share.book_id,
            "on_day": state.on,
            "file_id": state.file_id,
            "balance_fen": state.stated_fen,
            "share_fen": share.fen,
            "head_seq": share.head_sequence,
            "head_hash": share.head_hash,
        }
        for state in shared_states(connection, book_id, month.last_on)
        for share in state.shares
    ]
    if rows:
        connection.execute(insert(close_share), rows)


def _post_closing_entry(
    connection: Connection,
    book_id: str,
    estate_id: str | None,
    month: Month,
    principal: Principal,
    now: datetime,
) -> None:
    before: int = connection.execute(
        select(func.count()).where(
            journal_entry.c.book_id == book_id,
            journal_entry.c.event_kind == PERIOD_CLOSE,
            journal_entry.c.event_key.like(f"{month}:%"),
        )
    ).scalar_one()
    balances = {
        row.account_code: row.fen
        for row in connection.execute(
            text("""
                SELECT account_code, sum(debit_fen - credit_fen)::bigint AS fen FROM account_day
                WHERE book_id = :book AND effective_on < :to_on GROUP BY account_code
            """),
            {"book": book_id, "to_on": month.to_on},
        )
    }
    entry = closing_entry(
        books.chart_of(connection, now),
        read_accounts(connection),
        balances,
        book_id,
        estate_id,
        month,
        before + 1,
        now,
        ACTOR,
        principal.principal_id,
    )
    if entry is not None:
        ledger.post(connection, [entry])


def _file(
    connection: Connection,
    stack: ExitStack,
    book_id: str,
    month: Month,
    principal: Principal,
    now: datetime,
    out: Path,
    despite: tuple[str, ...],
    reason: str,
) -> tuple[Closed, Path]:
    """Build and check the pack of a locked month and record it; the file stays where it was written."""
    lock = lock_of(connection, book_id, month)
    if lock is None:
        raise MonthNotClosedError(book_id, month)
    known = record_of(connection, book_id, lock.change_no)
    previous = _previous(connection, book_id, month) if known is None else _previous_of(known)
    revision = known.revision if known is not None else _next_revision(connection, book_id, month)
    facts = CloseFacts(principal.display_name, despite, reason)
    if known is not None:
        now, facts = known.closed_at, _facts_of(connection, known)
    path = out / pack_name(book_id, month, revision)
    work = stack.enter_context(workplace(path))
    (work / "pack").mkdir()
    manifest, wrong = build_pack(
        connection, work / "pack", book_id, month, lock.head_seq, previous, now, facts
    )
    if wrong:
        raise PackWrongError(book_id, month, wrong)
    if known is not None and known.manifest_sha256.hex() != manifest:
        raise PackChangedError(book_id, month)
    closed = Closed(
        uuid4() if known is None else known.close_id,
        book_id,
        month,
        revision,
        lock.head_seq,
        lock.head_hash.hex(),
        manifest,
        path,
    )
    written = work / path.name
    pack.zip_pack(work / "pack", written)
    with written.open("rb") as file:
        os.fsync(file.fileno())
    if known is None:
        _record(connection, closed, lock.change_no, previous, principal, now, despite, reason)
    return closed, written


def pack_name(book_id: str, month: Month, revision: int) -> str:
    """The file of a pack: `lianhu-1-2026-11.zip`, and `-2` before the point when it was closed again."""
    return f"{book_id}-{month}{f'-{revision}' if revision > 1 else ''}.zip"


def _record(
    connection: Connection,
    closed: Closed,
    change_no: int,
    previous: tuple[int, str] | None,
    principal: Principal,
    now: datetime,
    despite: tuple[str, ...],
    reason: str,
) -> None:
    connection.execute(
        insert(month_close).values(
            close_id=closed.close_id,
            book_id=closed.book_id,
            month=closed.month.from_on,
            revision=closed.revision,
            change_no=change_no,
            head_seq=closed.head_sequence,
            head_hash=bytes.fromhex(closed.head_hash),
            previous_seq=previous[0] if previous else None,
            previous_hash=bytes.fromhex(previous[1]) if previous else None,
            manifest_sha256=bytes.fromhex(closed.manifest_sha256),
            despite=list(despite),
            reason=reason,
            closed_by=principal.principal_id,
            closed_at=now,
        )
    )


def record_of(connection: Connection, book_id: str, change_no: int) -> Row[tuple[object, ...]] | None:
    """What was recorded of the close that stands on this lock."""
    return connection.execute(
        select(month_close).where(month_close.c.book_id == book_id, month_close.c.change_no == change_no)
    ).one_or_none()


def _previous(connection: Connection, book_id: str, month: Month) -> tuple[int, str] | None:
    lock = lock_of(connection, book_id, month.before)
    return None if lock is None else (lock.head_seq, lock.head_hash.hex())


def _previous_of(known: Row[tuple[object, ...]]) -> tuple[int, str] | None:
    return None if known.previous_seq is None else (known.previous_seq, known.previous_hash.hex())


def _facts_of(connection: Connection, known: Row[tuple[object, ...]]) -> CloseFacts:
    name = connection.execute(
        select(principal_table.c.display_name).where(principal_table.c.principal_id == known.closed_by)
    ).scalar_one()
    return CloseFacts(name, tuple(known.despite), known.reason)


def _next_revision(connection: Connection, book_id: str, month: Month) -> int:
    last = connection.execute(
        select(func.max(month_close.c.revision)).where(
            month_close.c.book_id == book_id, month_close.c.month == month.from_on
        )
    ).scalar_one()
    return int(last or 0) + 1


def open_points(connection: Connection, book_id: str, month: Month, now: datetime) -> list[Point]:
    """The checklist for a page; empty when the month is closed already."""
    return [] if lock_of(connection, book_id, month) else checklist(connection, book_id, month, now)
