"""The SQL that puts entries into the books: an entry and its postings are always one statement.

One entry goes to the database's function `post_entry`, which checks while it writes; a batch is rows by one
statement, which the tables' guards look at when all of it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.db.arrays import array_text
from backend.ledger.rules import NewEntry

ENTRY_COLUMNS = {
    "book_id": "text",
    "event_kind": "text",
    "event_key": "text",
    "effective_on": "date",
    "posted_at": "timestamptz",
    "line_count": "smallint",
    "total_fen": "bigint",
    "summary_zh": "text",
    "principal_id": "uuid",
    "actor": "text",
    "reverses_entry_id": "bigint",
    "reason": "text",
}
LINE_COLUMNS = {
    "line_no": "smallint",
    "account_code": "text",
    "debit_fen": "bigint",
    "credit_fen": "bigint",
    "estate_id": "text",
    "unit_id": "uuid",
    "household_id": "uuid",
    "channel": "text",
}
_ENTRY_NAMES = ", ".join(ENTRY_COLUMNS)
_LINE_NAMES = ", ".join(LINE_COLUMNS)
_EVENT = "book_id, event_kind, event_key"


# One array for each column of the lines, a debit as an amount above zero and a credit below. The function's
# types are domains, which cost more to read than to become.
_GIVEN = (
    # How many lines there are and what they add up to, it sees for itself.
    *(kind for name, kind in ENTRY_COLUMNS.items() if name not in {"line_count", "total_fen"}),
    *("text[]", "bigint[]", "text[]", "uuid[]", "uuid[]", "text[]"),
)
POST_ONE = f"SELECT post_entry({', '.join(f'%s::{kind}' for kind in _GIVEN)})"


def parameters_of_one(entry: NewEntry) -> tuple[Any, ...]:
    """The parameters of `POST_ONE`."""
    lines, about = entry.lines, [line.about for line in entry.lines]
    return (
        entry.book_id,
        entry.event_kind,
        entry.event_key,
        entry.effective_on,
        entry.posted_at,
        entry.summary_zh,
        entry.principal_id,
        entry.actor,
        entry.reverses_entry_id,
        entry.reason,
        array_text(line.account_code for line in lines),
        array_text(line.debit_fen - line.credit_fen for line in lines),
        array_text(one.estate_id for one in about),
        array_text(one.unit_id for one in about),
        array_text(one.household_id for one in about),
        array_text(one.channel for one in about),
    )


INSERT_MANY = f"""
    WITH given_entry AS (
        SELECT * FROM unnest({", ".join(f"%s::{kind}[]" for kind in ENTRY_COLUMNS.values())})
            WITH ORDINALITY AS given ({_ENTRY_NAMES}, place)
    ), given_line AS (
        SELECT * FROM unnest(%s::integer[], {", ".join(f"%s::{kind}[]" for kind in LINE_COLUMNS.values())})
            AS given (place, {_LINE_NAMES})
    ), entry AS (
        INSERT INTO journal_entry ({_ENTRY_NAMES})
        SELECT {_ENTRY_NAMES} FROM given_entry ORDER BY place
        ON CONFLICT ({_EVENT}) DO NOTHING RETURNING entry_id, {_EVENT}
    ), line AS (
        INSERT INTO posting (entry_id, {_LINE_NAMES})
        SELECT entry.entry_id, {", ".join(f"given_line.{name}" for name in LINE_COLUMNS)}
        FROM entry JOIN given_entry USING ({_EVENT}) JOIN given_line USING (place)
    )
    SELECT entry_id, given_entry.place FROM entry JOIN given_entry USING ({_EVENT})"""  # noqa: S608 (names of columns from above, values as parameters)


def parameters_of_many(entries: Sequence[NewEntry]) -> tuple[Any, ...]:
    """The parameters of `INSERT_MANY`: one array for each column."""
    heads = [entry_values(entry) for entry in entries]
    lines = [
        (place, number, *line)
        for place, entry in enumerate(entries, start=1)
        for number, line in enumerate(line_values(entry), start=1)
    ]
    return (
        *(array_text(column) for column in zip(*heads, strict=True)),
        *(array_text(column) for column in zip(*lines, strict=True)),
    )


def entry_values(entry: NewEntry) -> tuple[Any, ...]:
    """The values of `ENTRY_COLUMNS`, in their order."""
    return (
        entry.book_id,
        entry.event_kind,
        entry.event_key,
        entry.effective_on,
        entry.posted_at,
        len(entry.lines),
        entry.total_fen,
        entry.summary_zh,
        entry.principal_id,
        entry.actor,
        entry.reverses_entry_id,
        entry.reason,
    )


def line_values(entry: NewEntry) -> list[tuple[Any, ...]]:
    """The values of `LINE_COLUMNS` after the line's number, for each line."""
    return [
        (
            line.account_code,
            line.debit_fen,
            line.credit_fen,
            line.about.estate_id,
            line.about.unit_id,
            line.about.household_id,
            line.about.channel,
        )
        for line in entry.lines
    ]
