"""Reading the chain: its head, what is not sealed yet, and whether all of it still fits what it sealed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

FIRST_BEFORE = bytes(32)
AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Head:
    """The last seal of a book; `seq` 0 and no hash where nothing is sealed."""

    book_id: str
    seq: int
    hash: bytes | None
    sealed_at: datetime | None


@dataclass(frozen=True, slots=True)
class SealStatus:
    """How far the sealing of a book is behind.

    Attributes:
        unsealed: entries that are committed and have no seal.
        oldest_posted_at: of those.
    """

    book_id: str
    sealed: int
    unsealed: int
    oldest_posted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where the books and their seals do not agree.

    Attributes:
        seq: the first number that is wrong; 0 where it is about the book as a whole.
        what: `gap`, `chain`, `entry` (missing or changed), `sums` (a day's sums), `unsealed`, or `lent`
            (a table inherits from one of the books', and lends it its rows).
    """

    book_id: str
    seq: int
    what: str


def head(connection: Connection, book_id: str) -> Head:
    """Where the book's chain stands."""
    row = connection.execute(
        text("SELECT seq, hash, sealed_at FROM seal WHERE book_id = :book ORDER BY seq DESC LIMIT 1"),
        {"book": book_id},
    ).one_or_none()
    return Head(book_id, 0, None, None) if row is None else Head(book_id, row.seq, row.hash, row.sealed_at)


def seal_status(connection: Connection) -> list[SealStatus]:
    """Every book, by name."""
    rows = connection.execute(
        text("""
            SELECT book.book_id, coalesce(tail.unsealed, 0) AS unsealed, tail.oldest_posted_at,
                   coalesce((SELECT seq FROM seal WHERE seal.book_id = book.book_id
                             ORDER BY seq DESC LIMIT 1), 0) AS sealed
            FROM book LEFT JOIN (
                SELECT book_id, count(*) AS unsealed, min(posted_at) AS oldest_posted_at
                FROM unsealed_entries() GROUP BY book_id
            ) AS tail USING (book_id) ORDER BY book.book_id
        """)
    )
    return [SealStatus(row.book_id, row.sealed, row.unsealed, row.oldest_posted_at) for row in rows]


def check_chain(connection: Connection, book_id: str) -> list[Fault]:
    """Compute the whole chain and the days' sums of a book anew; what does not agree, the first of each kind.

    Reads the whole book; entries that are not sealed are a fault only where sealing passed them by.
    """
    faults: dict[str, Fault] = {}
    before, seq = FIRST_BEFORE, 0
    while rows := connection.execute(_SEALS, {"book": book_id, "after": seq, "at_most": AT_ONCE}).all():
        for row in rows:
            seq += 1
            before = hashlib.sha256(before + row.digest).digest()
            for what, sound in (
                ("gap", row.seq == seq),
                ("chain", row.hash == before),
                ("entry", row.entry_book == book_id and row.digest == row.true_digest),
            ):
                if not sound:
                    faults.setdefault(what, Fault(book_id, row.seq, what))
            before, seq = row.hash, row.seq
    rest = connection.execute(_REST, {"book": book_id})
    return [*faults.values(), *(Fault(book_id, 0, row.what) for row in rest)]


_SEALS = text("""
    WITH part AS MATERIALIZED (
        SELECT seq, entry_id, digest, hash FROM seal
        WHERE book_id = :book AND seq > :after ORDER BY seq LIMIT :at_most
    )
    SELECT part.*, entry.book_id AS entry_book, sha256(convert_to(entry.text, 'UTF8')) AS true_digest
    FROM part LEFT JOIN ledger_texts(ARRAY(SELECT entry_id FROM part)) AS entry USING (entry_id)
    ORDER BY part.seq
""")

_REST = text("""
    SELECT 'unsealed' AS what WHERE EXISTS (
        SELECT FROM journal_entry AS entry WHERE entry.book_id = :book
           AND NOT EXISTS (SELECT FROM seal WHERE seal.entry_id = entry.entry_id)
           AND entry.entry_id NOT IN (SELECT entry_id FROM unsealed_entries())
    )
    UNION ALL
    SELECT 'lent' WHERE EXISTS (
        SELECT FROM pg_inherits WHERE inhparent IN ('journal_entry'::regclass, 'posting'::regclass,
            'seal'::regclass, 'balance_day'::regclass, 'period_change'::regclass)
    )
    UNION ALL
    SELECT 'sums' WHERE EXISTS (
        SELECT FROM (
            SELECT account_code, effective_on, sum(debit_fen) AS debit_fen, sum(credit_fen) AS credit_fen
            FROM seal JOIN journal_entry USING (entry_id) JOIN posting USING (entry_id)
            WHERE seal.book_id = :book GROUP BY account_code, effective_on
        ) AS truth
        FULL JOIN (SELECT * FROM balance_day WHERE book_id = :book) AS day USING (account_code, effective_on)
        WHERE (truth.debit_fen = day.debit_fen AND truth.credit_fen = day.credit_fen) IS NOT TRUE
    )
""")
