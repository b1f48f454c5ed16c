"""Bringing a file in: read whole, held against what is known, added in one transaction or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import psycopg
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_or_not

from backend.db.arrays import array_text
from backend.ledger.tables import book
from backend.reconciliation.accounts import Account
from backend.reconciliation.errors import LineChangedError, OpeningBalanceError, OtherAccountError
from backend.reconciliation.importers.reader import read_file
from backend.reconciliation.lines import SIDES, Format, ReadFile, StatementLine
from backend.reconciliation.reading import Limits
from backend.reconciliation.tables import payout_part, statement_balance, statement_file
from estate.collecting import nothing_collected

# Any number of ours: the second half of the key is the account.
LOCK = 7_205_306
_COLUMNS = (
    "file_id",
    "account_id",
    "side",
    "kind",
    "external_id",
    "line_no",
    "amount_fen",
    "fee_fen",
    "at",
    "value_on",
    "method",
    "pay_ref",
    "our_ref",
    "payout_ref",
    "book_ref",
    "payer",
    "note",
    "balance_fen",
)
NOTE_MAX = 300


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file.

    Attributes:
        is_new: it was not imported before.
        from_on, to_on: the days it is complete for.
        new_line_count: lines that were not known before.
        kinds: how many lines of each kind, for people.
    """

    file_id: int | None
    is_new: bool
    from_on: date
    to_on: date
    line_count: int
    new_line_count: int
    net_fen: int
    opening_fen: int | None
    closing_fen: int | None
    kinds: Mapping[str, int]


@nothing_collected()
def import_file(
    connection: Connection,
    account: Account,
    format_: Format,
    name: str,
    raw: bytes,
    *,
    principal_id: UUID | None,
    now: datetime,
    limits: Limits | None = None,
    days: tuple[date, date] | None = None,
) -> Imported:
    """Read a file and add what it says; the same file again changes nothing.

    Args:
        days: what it is complete for, where the file itself does not say; widens what it says.
    Raises:
        FileRefusedError: nothing of it was added.
        WrongFormatError
    """
    found = read_file(raw, account, format_, limits or Limits())
    return add_file(
        connection,
        account,
        found,
        name,
        hashlib.sha256(raw).digest(),
        principal_id=principal_id,
        now=now,
        days=days,
    )


def add_file(
    connection: Connection,
    account: Account,
    found: ReadFile,
    name: str,
    sha256: bytes,
    *,
    principal_id: UUID | None,
    now: datetime,
    days: tuple[date, date] | None = None,
) -> Imported:
    """Add a file that was read; see `import_file`."""
    if days is not None:
        found = replace(found, from_on=min(days[0], found.from_on), to_on=max(days[1], found.to_on))
    lock_account(connection, account.account_id)
    known_file = connection.scalar(
        select(statement_file.c.file_id).where(
            statement_file.c.account_id == account.account_id,
            statement_file.c.format == found.format,
            statement_file.c.sha256 == sha256,
        )
    )
    if known_file is not None:
        return _imported(found, known_file, 0, is_new=False)
    _check_books(connection, found)
    _check_neighbours(connection, account, found)
    new = _new_lines(connection, account, found.lines)
    file_id = connection.execute(
        insert(statement_file)
        .values(
            account_id=account.account_id,
            format=found.format,
            name=name[:NOTE_MAX],
            sha256=sha256,
            from_on=found.from_on,
            to_on=found.to_on,
            line_count=len(found.lines),
            new_line_count=len(new),
            opening_fen=found.opening_fen,
            closing_fen=found.closing_fen,
            imported_at=now,
            principal_id=principal_id,
        )
        .returning(statement_file.c.file_id)
    ).scalar_one()
    _copy(connection, account, file_id, new)
    _keep_balances(connection, account, file_id, found)
    return _imported(found, file_id, len(new), is_new=True)


def lock_account(connection: Connection, account_id: str) -> None:
    """Let nobody else import into or look at the account until the transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock(LOCK, func.hashtext(account_id))))


def driver(connection: Connection) -> psycopg.Connection[tuple[Any, ...]]:
    """psycopg's own connection, for COPY, inside the transaction that SQLAlchemy knows of."""
    if not connection.in_transaction():
        connection.begin()
    return cast("psycopg.Connection[tuple[Any, ...]]", connection.connection.driver_connection)


def _imported(found: ReadFile, file_id: int | None, new: int, *, is_new: bool) -> Imported:
    kinds: dict[str, int] = {}
    for line in found.lines:
        kinds[line.kind] = kinds.get(line.kind, 0) + 1
    return Imported(
        file_id,
        is_new,
        found.from_on,
        found.to_on,
        len(found.lines),
        new,
        sum(line.net_fen for line in found.lines),
        found.opening_fen,
        found.closing_fen,
        kinds,
    )


def _check_books(connection: Connection, found: ReadFile) -> None:
    """A bill that names books which are not ours is somebody else's."""
    books = set(connection.scalars(select(book.c.book_id)))
    for line in found.lines:
        if line.book_ref and line.book_ref not in books:
            raise OtherAccountError(line.line_no, line.book_ref, "、".join(sorted(books))[:80])


def _check_neighbours(connection: Connection, account: Account, found: ReadFile) -> None:
    """It begins where the statement before it ended, and ends where the one behind it begins.

    Between statements that do not touch there are days nobody has told of yet: the one that fills the gap
    is held against both.
    """
    if found.opening_fen is None or found.closing_fen is None:
        return
    same = (
        select(statement_file.c.opening_fen, statement_file.c.closing_fen)
        .where(statement_file.c.account_id == account.account_id)
        .where(statement_file.c.opening_fen.is_not(None))
    )
    for row in connection.execute(same.where(statement_file.c.to_on == found.from_on)):
        if row.closing_fen != found.opening_fen:
            raise OpeningBalanceError(found.from_on, found.opening_fen, row.closing_fen)
    for row in connection.execute(same.where(statement_file.c.from_on == found.to_on)):
        if row.opening_fen != found.closing_fen:
            raise OpeningBalanceError(found.to_on, found.closing_fen, row.opening_fen)
    known = connection.execute(
        select(statement_balance.c.on_day, statement_balance.c.amount_fen).where(
            statement_balance.c.account_id == account.account_id,
            statement_balance.c.on_day >= found.from_on,
            statement_balance.c.on_day < found.to_on,
        )
    )
    for row in known:
        said = found.day_ends_fen.get(row.on_day, row.amount_fen)
        if said != row.amount_fen:
            raise OpeningBalanceError(row.on_day, said, row.amount_fen)


_KNOWN_LINES = text(
    "SELECT line.side, line.external_id, line.kind, line.amount_fen, line.fee_fen, line.value_on,"
    " line.payout_ref FROM unnest(CAST(:sides AS text[]), CAST(:numbers AS text[])) AS given"
    " (side, external_id)"
    " JOIN statement_line AS line USING (side, external_id) WHERE line.account_id = :account_id"
)


def _new_lines(
    connection: Connection, account: Account, lines: Sequence[StatementLine]
) -> list[StatementLine]:
    """The lines that are not known; known ones have to say the same."""
    # A join instead of a long ANY: planned before there are statistics, that would look through the list
    # for every line of the account.
    rows = connection.execute(
        _KNOWN_LINES,
        {
            "account_id": account.account_id,
            "sides": array_text(line.side.value for line in lines),
            "numbers": array_text(line.external_id for line in lines),
        },
    )
    known = {(row.side, row.external_id): row for row in rows}
    if not known:
        return list(lines)
    new, parts = [], []
    for line in lines:
        before = known.get((line.side, line.external_id))
        if before is None:
            new.append(line)
        elif tuple(before)[2:6] != (line.kind, line.amount_fen, line.fee_fen, line.value_on):
            raise LineChangedError(line.line_no, line.external_id)
        elif line.payout_ref and not before.payout_ref:
            parts.append((line.external_id, line.payout_ref))
    _keep_parts(connection, account, parts)
    return new


def _keep_parts(connection: Connection, account: Account, parts: Sequence[tuple[str, str]]) -> None:
    """A provider says of which payout a line is part some days after the line itself."""
    if parts:
        connection.execute(
            insert_or_not(payout_part).on_conflict_do_nothing(),
            [
                {"account_id": account.account_id, "external_id": number, "payout_ref": payout_ref}
                for number, payout_ref in parts
            ],
        )


def _copy(connection: Connection, account: Account, file_id: int, lines: Sequence[StatementLine]) -> None:
    if not lines:
        return
    statement = f"COPY statement_line ({', '.join(_COLUMNS)}) FROM STDIN"
    with driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for line in lines:
            copy.write_row(
                (
                    file_id,
                    account.account_id,
                    line.side.value,
                    line.kind.value,
                    line.external_id,
                    line.line_no,
                    line.amount_fen,
                    line.fee_fen,
                    line.at,
                    line.value_on,
                    line.method,
                    line.pay_ref,
                    line.our_ref,
                    line.payout_ref,
                    line.book_ref,
                    line.payer[:NOTE_MAX],
                    line.note[:NOTE_MAX],
                    line.balance_fen,
                )
            )


def _keep_balances(connection: Connection, account: Account, file_id: int, found: ReadFile) -> None:
    """Where an account belongs to one book, its balances are facts about that book; else about all books."""
    if not found.day_ends_fen:
        return
    own = {"book_id": account.book_id} if account.book_id is not None else {}
    shared = {} if own else {"last_on": found.to_on - timedelta(days=1)}
    connection.execute(
        text(_KEEP_OWN if own else _KEEP_SHARED),
        {
            "account_id": account.account_id,
            "file_id": file_id,
            "days": list(found.day_ends_fen),
            "fens": list(found.day_ends_fen.values()),
            **own,
            **shared,
        },
    )


_GIVEN = "unnest(CAST(:days AS date[]), CAST(:fens AS bigint[])) AS given (day, fen)"
_KEEP_OWN = f"""
    INSERT INTO statement_balance (account_id, book_id, on_day, amount_fen, file_id)
    SELECT :account_id, :book_id, day, fen, :file_id FROM {_GIVEN} ON CONFLICT DO NOTHING
"""  # noqa: S608 (texts of this module)
# What was last said of a day stands; only a file whose last day it is may say otherwise, which then counts.
_KEEP_SHARED = f"""
    INSERT INTO shared_balance (account_id, on_day, amount_fen, file_id)
    SELECT :account_id, day, fen, :file_id FROM {_GIVEN}
    WHERE NOT EXISTS (SELECT FROM (SELECT amount_fen FROM shared_balance
                                   WHERE account_id = :account_id AND on_day = given.day
                                   ORDER BY file_id DESC LIMIT 1) AS known
                      WHERE given.day < :last_on OR known.amount_fen = given.fen)
"""  # noqa: S608 (texts of this module)


def covered_days(connection: Connection, account_id: str) -> dict[str, list[tuple[date, date]]]:
    """For which days each side of an account is complete."""
    rows = connection.execute(
        select(statement_file.c.format, statement_file.c.from_on, statement_file.c.to_on)
        .where(statement_file.c.account_id == account_id)
        .order_by(statement_file.c.from_on)
    )
    found: dict[str, list[tuple[date, date]]] = {}
    for row in rows:
        for side in SIDES[Format(row.format)]:
            found.setdefault(side, []).append((row.from_on, row.to_on))
    return found
