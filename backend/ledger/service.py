"""Posting to the books and reading them. Each function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import psycopg
from sqlalchemy import ColumnElement, Connection, func, select, text

from backend.ledger import statements
from backend.ledger.errors import (
    AboveWhatStandsError,
    EntryConflictError,
    EntryUnknownError,
    NotApprovedError,
    NotReversibleError,
    PeriodLockedError,
)
from backend.ledger.rules import Dimensions, Line, NewEntry, check
from backend.ledger.tables import account, journal_entry, posting

REVERSAL = "reversal"


class PostedEntry(NamedTuple):
    """An entry that is in the books.

    Attributes:
        is_new: this call posted it; otherwise the same event was there before, with the same figures.
    """

    entry_id: int
    event: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class PostingView:
    """One posting, as a page shows it."""

    account_code: str
    account_zh: str
    account_en: str
    debit_fen: int
    credit_fen: int
    about: Dimensions


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry, as a page shows it."""

    entry_id: int
    book_id: str
    event_kind: str
    event_key: str
    effective_on: date
    posted_at: datetime
    summary_zh: str
    actor: str
    principal_id: UUID | None
    reverses_entry_id: int | None
    reason: str | None
    total_fen: int
    postings: tuple[PostingView, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """One account's line of a trial balance: what was posted up to and on the day."""

    account_code: str
    name_zh: str
    name_en: str
    kind: str
    debit_fen: int
    credit_fen: int

    @property
    def balance_fen(self) -> int:
        """Debit less credit."""
        return self.debit_fen - self.credit_fen


def post(connection: Connection, entries: Sequence[NewEntry]) -> list[PostedEntry]:
    """Post entries, each business event once; one statement for all of them.

    With an autocommit connection that statement is a transaction of its own, and all entries stand or fall
    together all the same. Runs in READ COMMITTED.

    Returns:
        One for each given entry, in their order.
    Raises:
        UnbalancedEntryError, PostingSideError, EntryTooShortError, EntryTooLargeError: an entry is no entry.
        EntryConflictError: an event is posted already, with other figures.
        PeriodLockedError: an effective date lies in a locked month.
        NotApprovedError: an entry that needs two people (manual, write-off, waiver, opening) and has not got
            them.
        AboveWhatStandsError: money would leave above what stands in its account.
        psycopg.Error: PostgreSQL refuses (no such book or account), or is away; not wrapped by SQLAlchemy.
    """
    for entry in entries:
        check(entry)
    # A batch is large and its events are words to be put together: once for each entry.
    events = [entry.event for entry in entries]
    by_event = _one_each(events, entries)
    try:
        new = _insert(connection, by_event)
    except psycopg.Error as error:
        raise _explained(error, entries) from error
    if len(new) == len(by_event):
        return [PostedEntry(new[event], event, True) for event in events]
    before = _posted_before(connection, [entry for event, entry in by_event.items() if event not in new])
    return [
        PostedEntry(new[event], event, True) if event in new else PostedEntry(before[event], event, False)
        for event in events
    ]


def reverse(
    connection: Connection,
    entry_id: int,
    *,
    reason: str,
    effective_on: date,
    now: datetime,
    actor: str,
    principal_id: UUID | None,
    kind: str = REVERSAL,
) -> PostedEntry:
    """Take an entry back by its mirror; a second call gives the reversal that is there.

    Args:
        effective_on: in an open month (`periods.open_day`), whichever month the entry itself is in.
        kind: of the event, where docs/vouchers.md calls it otherwise, such as `refund_failed`.
    Raises:
        EntryUnknownError: no such entry.
        NotReversibleError: it is a reversal itself.
    """
    original = next(iter(_entries(connection, journal_entry.c.entry_id == entry_id)), None)
    if original is None:
        raise EntryUnknownError(entry_id)
    if original.reverses_entry_id is not None:
        raise NotReversibleError(entry_id)
    mirror = NewEntry(
        book_id=original.book_id,
        event_kind=kind,
        event_key=str(entry_id),
        effective_on=effective_on,
        posted_at=now,
        summary_zh=f"冲销凭证 {entry_id}：{original.summary_zh}",
        lines=tuple(line.mirrored() for line in _lines(original)),
        actor=actor,
        principal_id=principal_id,
        reverses_entry_id=entry_id,
        reason=reason,
    )
    return post(connection, [mirror])[0]


def entry_of(connection: Connection, entry_id: int) -> EntryView:
    """One entry with its postings.

    Raises:
        EntryUnknownError: no such entry.
    """
    found = _entries(connection, journal_entry.c.entry_id == entry_id)
    if not found:
        raise EntryUnknownError(entry_id)
    return found[0]


def entries_of_day(
    connection: Connection, book_ids: Iterable[str], day: date, limit: int | None = None, offset: int = 0
) -> list[EntryView]:
    """What counts for `day` in these books, in the order of posting; all of it, or a part."""
    return _entries(connection, *_of_day(book_ids, day), limit=limit, offset=offset)


def count_of_day(connection: Connection, book_ids: Iterable[str], day: date) -> int:
    """How many entries count for `day` in these books."""
    return connection.execute(
        select(func.count()).select_from(journal_entry).where(*_of_day(book_ids, day))
    ).scalar_one()


def sums_of_day(connection: Connection, book_ids: Iterable[str], day: date) -> list[Balance]:
    """What was posted to each account for `day` in these books, by code; added up by PostgreSQL."""
    rows = connection.execute(
        select(
            account.c.account_code,
            account.c.name_zh,
            account.c.name_en,
            account.c.kind,
            func.sum(posting.c.debit_fen).label("debit_fen"),
            func.sum(posting.c.credit_fen).label("credit_fen"),
        )
        .join(posting, posting.c.account_code == account.c.account_code)
        .join(journal_entry, journal_entry.c.entry_id == posting.c.entry_id)
        .where(*_of_day(book_ids, day))
        .group_by(account.c.account_code)
        .order_by(account.c.account_code)
    )
    return [
        Balance(row.account_code, row.name_zh, row.name_en, row.kind, int(row.debit_fen), int(row.credit_fen))
        for row in rows
    ]


def _of_day(book_ids: Iterable[str], day: date) -> tuple[ColumnElement[bool], ...]:
    return journal_entry.c.effective_on == day, journal_entry.c.book_id.in_(list(book_ids))


def trial_balance(connection: Connection, book_id: str, on: date) -> list[Balance]:
    """Every account that was ever posted to up to and on that day, by code; debit and credit sums agree.

    Reads the sums of sealed days and the few entries that are not sealed yet, not the book.
    """
    rows = connection.execute(_TRIAL_BALANCE, {"book": book_id, "on": on})
    return [
        Balance(row.account_code, row.name_zh, row.name_en, row.kind, int(row.debit_fen), int(row.credit_fen))
        for row in rows
    ]


_TRIAL_BALANCE = text("""
    SELECT account.*, sum(debit_fen) AS debit_fen, sum(credit_fen) AS credit_fen
    FROM (
        SELECT account_code, debit_fen, credit_fen FROM balance_day
        WHERE book_id = :book AND effective_on <= :on
        UNION ALL
        SELECT account_code, debit_fen, credit_fen
        FROM unsealed_entries() AS entry JOIN posting USING (entry_id)
        WHERE entry.book_id = :book AND entry.effective_on <= :on
    ) AS moved JOIN account ON account.account_code = moved.account_code
    GROUP BY account.account_code ORDER BY account.account_code
""")


def _one_each(events: Sequence[str], entries: Sequence[NewEntry]) -> dict[str, NewEntry]:
    by_event: dict[str, NewEntry] = {}
    for event, entry in zip(events, entries, strict=True):
        first = by_event.setdefault(event, entry)
        if first is not entry and first != entry:
            raise EntryConflictError(event, None)
    return by_event


def _insert(connection: Connection, by_event: dict[str, NewEntry]) -> dict[str, int]:
    """Ids of those that were not in the books before, by event."""
    if not by_event:
        return {}
    if len(by_event) == 1:
        ((event, entry),) = by_event.items()
        row = _driver(connection).execute(statements.POST_ONE, statements.parameters_of_one(entry)).fetchone()
        return {event: row[0]} if row is not None and row[0] is not None else {}
    events, entries = list(by_event), list(by_event.values())
    cursor = _driver(connection).execute(statements.INSERT_MANY, statements.parameters_of_many(entries))
    return {events[place - 1]: entry_id for entry_id, place in cursor.fetchall()}


def _explained(error: psycopg.Error, entries: Sequence[NewEntry]) -> Exception:
    """What PostgreSQL refused, as a sentence, where there is something that people can do about it."""
    match error.diag.constraint_name:
        case "journal_entry_period_is_open":
            days = sorted({f"{entry.effective_on:%Y-%m-%d}" for entry in entries})
            return PeriodLockedError(entries[0].book_id, "、".join(days[:3]))
        case "journal_entry_is_approved":
            return NotApprovedError(entries[0].event)
        case "journal_entry_within_what_stands":
            code, _, fen = (error.diag.message_detail or "").partition(" ")
            return AboveWhatStandsError(code, int(fen or 0))
        case _:
            return error


def _driver(connection: Connection) -> psycopg.Connection[tuple[Any, ...]]:
    """psycopg's own connection: SQLAlchemy's way to it costs as much as the guards.

    Taken inside the transaction that SQLAlchemy knows of, begun here if need be, as its own methods do.
    """
    if not connection.in_transaction():
        connection.begin()
    return cast("psycopg.Connection[tuple[Any, ...]]", connection.connection.driver_connection)


def _posted_before(connection: Connection, entries: Sequence[NewEntry]) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in entries:
        before = _entries(
            connection,
            journal_entry.c.book_id == entry.book_id,
            journal_entry.c.event_kind == entry.event_kind,
            journal_entry.c.event_key == entry.event_key,
        )[0]
        if _lines(before) != entry.lines or before.effective_on != entry.effective_on:
            raise EntryConflictError(entry.event, before.entry_id)
        found[entry.event] = before.entry_id
    return found


def _lines(view: EntryView) -> tuple[Line, ...]:
    return tuple(Line(p.account_code, p.debit_fen, p.credit_fen, p.about) for p in view.postings)


def _entries(
    connection: Connection, *conditions: ColumnElement[bool], limit: int | None = None, offset: int = 0
) -> list[EntryView]:
    query = select(journal_entry).where(*conditions).order_by(journal_entry.c.entry_id)
    heads = connection.execute(query.limit(limit).offset(offset)).all()
    rows = connection.execute(
        select(posting, account.c.name_zh, account.c.name_en)
        .join(account, account.c.account_code == posting.c.account_code)
        .where(posting.c.entry_id.in_([head.entry_id for head in heads]))
        .order_by(posting.c.entry_id, posting.c.line_no)
    )
    postings: dict[int, list[PostingView]] = {head.entry_id: [] for head in heads}
    for row in rows:
        about = Dimensions(row.estate_id, row.unit_id, row.household_id, row.channel)
        postings[row.entry_id].append(
            PostingView(row.account_code, row.name_zh, row.name_en, row.debit_fen, row.credit_fen, about)
        )
    return [
        EntryView(
            entry_id=head.entry_id,
            book_id=head.book_id,
            event_kind=head.event_kind,
            event_key=head.event_key,
            effective_on=head.effective_on,
            posted_at=head.posted_at,
            summary_zh=head.summary_zh,
            actor=head.actor,
            principal_id=head.principal_id,
            reverses_entry_id=head.reverses_entry_id,
            reason=head.reason,
            total_fen=head.total_fen,
            postings=tuple(postings[head.entry_id]),
        )
        for head in heads
    ]
