"""The same rows without any guard: what the books' guards are measured against, and nothing else.

`FLOOR_TABLES` makes, in a schema of its own, tables with the books' columns, keys and indexes, but without
checks and triggers; the tables of `backend.ledger.service` are not touched. `bare_insert` is the plain SQL
of one entry for them: measure `connection.execute(bare_insert(2), bare_parameters(entry))` on an
autocommit connection of psycopg against `service.post(connection, [entry])` on an autocommit connection of
SQLAlchemy, with the same entries on the same server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.ledger.rules import NewEntry
from backend.ledger.statements import (
    ENTRY_COLUMNS,
    INSERT_MANY,
    LINE_COLUMNS,
    entry_values,
    line_values,
    parameters_of_many,
)

FLOOR_TABLES = """
CREATE SCHEMA ledger_floor;
CREATE TABLE ledger_floor.journal_entry (
    LIKE public.journal_entry INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING INDEXES
);
ALTER TABLE ledger_floor.journal_entry DROP COLUMN posted_xid;
CREATE TABLE ledger_floor.posting (LIKE public.posting INCLUDING DEFAULTS INCLUDING INDEXES);
DROP INDEX ledger_floor.posting_household_id_entry_id_idx;
"""


def bare_insert(line_count: int) -> str:
    """SQL that adds one entry of `line_count` lines to the floor's tables; no schema search is needed."""
    # PostgreSQL takes the types of a VALUES list from its first row.
    first = ", ".join(f"%s::{kind}" for kind in LINE_COLUMNS.values())
    other = ", ".join(["%s"] * len(LINE_COLUMNS))
    rows = ", ".join([f"({first})", *[f"({other})"] * (line_count - 1)])
    return f"""
        WITH entry AS (
            INSERT INTO ledger_floor.journal_entry ({", ".join(ENTRY_COLUMNS)})
            VALUES ({", ".join(["%s"] * len(ENTRY_COLUMNS))})
            ON CONFLICT (book_id, event_kind, event_key) DO NOTHING RETURNING entry_id
        ), line AS (
            INSERT INTO ledger_floor.posting (entry_id, {", ".join(LINE_COLUMNS)})
            SELECT entry.entry_id, given.* FROM entry, (VALUES {rows}) AS given
        )
        SELECT entry_id FROM entry"""


def bare_insert_many() -> str:
    """The same for any number of entries."""
    return INSERT_MANY.replace("INSERT INTO journal_entry", "INSERT INTO ledger_floor.journal_entry").replace(
        "INSERT INTO posting", "INSERT INTO ledger_floor.posting"
    )


def bare_parameters(entry: NewEntry) -> tuple[Any, ...]:
    """The values of `bare_insert`."""
    values = list(entry_values(entry))
    for number, line in enumerate(line_values(entry), start=1):
        values += (number, *line)
    return tuple(values)


def bare_parameters_of_many(entries: Sequence[NewEntry]) -> tuple[Any, ...]:
    """The values of `bare_insert_many`."""
    return parameters_of_many(entries)
