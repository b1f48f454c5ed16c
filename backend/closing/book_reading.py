"""Reads a book's month out of the database as plain values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, text

from backend.closing.records import Account, Assertion, BookMonth, Entry, Month, Posting, Share
from backend.closing.verify_pack import external_id
from backend.ledger.books import CITY_BOOK
from backend.reconciliation.balances import statement_balances

CITY_ZH = "市级账簿"
GENESIS = "00" * 32
_SEALED = "FROM seal JOIN journal_entry AS entry USING (entry_id) WHERE seal.book_id = :book"
_RANGE = f"{_SEALED} AND seal.seq BETWEEN :first AND :last"
_POSTINGS = f"""
    SELECT entry_id, account_code, debit_fen, credit_fen, estate_id, unit_id::text, household_id::text,
           channel
    FROM posting WHERE entry_id IN (SELECT entry_id {_RANGE}) ORDER BY entry_id, line_no
"""  # noqa: S608 (texts of this module)
_ENTRIES = f"""
    SELECT seal.seq, encode(seal.hash, 'hex') AS hash, entry.*,
           to_char(entry.posted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS posted_text,
           (SELECT original.event_kind FROM journal_entry AS original
            WHERE original.entry_id = entry.reverses_entry_id) AS reverses_kind
    {_RANGE} ORDER BY seal.seq
"""  # noqa: S608 (texts of this module)


@dataclass(frozen=True, slots=True)
class Opening:
    """What an account held at the beginning of a month, by household where it is a household's."""

    account_code: str
    household_id: str | None
    fen: int


def read_book_month(connection: Connection, book_id: str, month: Month) -> BookMonth:
    """Names, accounts, opening balances by account, and what the other side says."""
    opening: dict[str, int] = defaultdict(int)
    for row in read_opening(connection, book_id, month):
        opening[row.account_code] += row.fen
    name = connection.execute(
        text("SELECT name_zh FROM book JOIN estate USING (estate_id) WHERE book_id = :book"),
        {"book": book_id},
    ).scalar_one_or_none()
    return BookMonth(
        book_id=book_id,
        name_zh=CITY_ZH if book_id == CITY_BOOK else str(name or book_id),
        month=month,
        accounts=read_accounts(connection),
        opening_fen=opening,
        assertions=read_assertions(connection, book_id, month),
    )


def read_accounts(connection: Connection) -> tuple[Account, ...]:
    """The chart, by code."""
    rows = connection.execute(
        text(
            'SELECT account_code, name_zh, name_en, kind, role FROM account ORDER BY account_code COLLATE "C"'
        )
    )
    return tuple(Account(*row) for row in rows)


def read_opening(connection: Connection, book_id: str, month: Month) -> list[Opening]:
    """Balances before the month that are not nil, by account and household."""
    rows = connection.execute(
        text("""
            SELECT account_code, household_id::text, sum(debit_fen - credit_fen)::bigint
            FROM posting JOIN journal_entry USING (entry_id)
            WHERE book_id = :book AND effective_on < :from_on
            GROUP BY account_code, household_id HAVING sum(debit_fen - credit_fen) <> 0
            ORDER BY account_code COLLATE "C", household_id NULLS FIRST
        """),
        {"book": book_id, "from_on": month.from_on},
    )
    return [Opening(*row) for row in rows]


def read_assertions(connection: Connection, book_id: str, month: Month) -> tuple[Assertion, ...]:
    """The closing balances of banks, channels and providers, added up where several share an account.

    A day on which one of those that share an account is missing asserts nothing.
    """
    found: dict[tuple[date, str], dict[str, tuple[str, int, str]]] = defaultdict(dict)
    sharing: dict[str, set[str]] = defaultdict(set)
    for said in statement_balances(connection, book_id, month.from_on, month.to_on):
        place = (said.on, said.account_code)
        found[place][said.account_id] = (said.source, said.amount_fen, said.file_sha256.hex())
        sharing[said.account_code].add(said.account_id)
    return tuple(
        Assertion(
            account_code=code,
            on=on,
            balance_fen=sum(fen for _, fen, _ in parts.values()),
            source="+".join(sorted({source for source, _, _ in parts.values()})),
            reference=" ".join(f"{account}:{sha[:16]}" for account, (_, _, sha) in sorted(parts.items())),
        )
        for (on, code), parts in sorted(found.items())
        if set(parts) == sharing[code]
    )


def read_shares(connection: Connection, book_id: str, month: Month) -> list[Share]:
    """What was written down at the lock of accounts that books share, by account and book."""
    rows = connection.execute(
        text("""
            SELECT part.account_id, account.account_code, account.source, part.on_day, balance_fen,
                   part.account_id || ':' || left(encode(file.sha256, 'hex'), 16), of_book_id, share_fen,
                   head_seq, coalesce(encode(head_hash, 'hex'), :genesis),
                   (balance_fen - sum(share_fen) OVER (PARTITION BY part.account_id))::bigint
            FROM close_share AS part
            JOIN statement_account AS account ON account.account_id = part.account_id
            JOIN statement_file AS file ON file.file_id = part.file_id
            WHERE part.book_id = :book AND part.change_no = (
                SELECT max(change_no) FROM period_change
                WHERE period_change.book_id = :book AND month = :month AND change = 'lock')
            ORDER BY part.account_id COLLATE "C", of_book_id COLLATE "C"
        """),
        {"book": book_id, "month": month.from_on, "genesis": GENESIS},
    )
    return [Share(*row) for row in rows]


def read_entries(connection: Connection, book_id: str, from_sequence: int, head_sequence: int) -> list[Entry]:
    """The sealed entries of a book in [from_sequence, head_sequence], in their order."""
    places = {"book": book_id, "first": from_sequence, "last": head_sequence}
    postings: dict[int, list[Posting]] = defaultdict(list)
    for row in connection.execute(text(_POSTINGS), places):
        postings[row[0]].append(Posting._make(row[1:]))
    return [_entry(row, tuple(postings[row.entry_id])) for row in connection.execute(text(_ENTRIES), places)]


def in_days(entries: list[Entry], month: Month) -> Iterator[Entry]:
    """Those that count for the month, in the order of days and numbers."""
    inside = (entry for entry in entries if entry.effective_on in month)
    return iter(sorted(inside, key=lambda entry: (entry.effective_on, entry.entry_id)))


def first_needed(connection: Connection, book_id: str, month: Month) -> int | None:
    """The sequence of the month's earliest entry; None when there is none."""
    found: int | None = connection.execute(
        text(f"SELECT min(seal.seq) {_SEALED} AND effective_on >= :from_on AND effective_on < :to_on"),
        {"book": book_id, "from_on": month.from_on, "to_on": month.to_on},
    ).scalar_one()
    return found


def hash_at(connection: Connection, book_id: str, sequence: int) -> str:
    """The chain's hash after an entry, in hexadecimal; sixty-four noughts before the first."""
    if sequence == 0:
        return GENESIS
    return str(
        connection.execute(
            text("SELECT encode(hash, 'hex') FROM seal WHERE book_id = :book AND seq = :seq"),
            {"book": book_id, "seq": sequence},
        ).scalar_one()
    )


def labels(connection: Connection, household_ids: set[str]) -> Mapping[str, tuple[str, str]]:
    """Number and home of each household."""
    rows = connection.execute(
        text(
            "SELECT household_id::text, ref, unit FROM household_label WHERE household_id::text = ANY(:ids)"
        ),
        {"ids": sorted(household_ids)},
    )
    return {row.household_id: (row.ref, row.unit) for row in rows}


def _entry(row: Row[Any], postings: tuple[Posting, ...]) -> Entry:
    return Entry(
        sequence=row.seq,
        entry_hash=row.hash,
        entry_id=row.entry_id,
        event_kind=row.event_kind,
        event_key=row.event_key,
        effective_on=row.effective_on,
        posted_at=row.posted_text,
        summary_zh=row.summary_zh,
        actor=row.actor,
        principal_id=None if row.principal_id is None else str(row.principal_id),
        reverses_entry_id=row.reverses_entry_id,
        reverses_kind=row.reverses_kind,
        reason=row.reason,
        postings=postings,
        external_id=external_id({"event_kind": row.event_kind, "event_key": row.event_key}),
    )
