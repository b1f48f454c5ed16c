"""Reports: one SQL text each, read in pages for people or as a stream for files.

A report's SQL selects its columns in their order and, last, `opens`: the id of what the row is made of, so
that each figure leads to its rows. Sums are made by PostgreSQL over all rows, also where a page shows fifty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Date, Row, Text, TextClause, Uuid, bindparam, text

from backend.documents.columns import Cell, Column, Sheet

PAGE_ROWS = 100
STREAM_ROWS = 5_000
TYPES: Mapping[str, Any] = {
    "books": ARRAY(Text),
    "from_on": Date,
    "to_on": Date,
    "account": Text,
    "household": Uuid,
    "charge_month": Date,
    "charges_since": Date,
}


class Period(StrEnum):
    """What a report is asked for in time."""

    DAYS = "days"  # from … to …, both inclusive
    DAY = "day"  # as at the end of a day
    MONTHS = "months"  # charges from month to month, both inclusive


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """What a report is.

    Attributes:
        name: in addresses, file names and `sql/<name>.sql`.
        order: how its rows are ordered, in SQL over its columns c1, c2, … and `opens`.
        opens: what `opens` is the id of: `account` (perhaps with a day after a colon), `entry`, `household`,
            `charges` of a household, `month` (with its book before a colon), `book`, `district`.
        inner: reached from another report's rows only.
    """

    name: str
    title_zh: str
    title_en: str
    columns: tuple[Column, ...]
    order: str
    opens: str
    inner: bool = False
    period: Period = Period.DAYS

    @property
    def sql(self) -> str:
        """Its SQL, with columns named c1, c2, … and `opens`."""
        return _sql(self.name)


@dataclass(frozen=True, slots=True)
class Query:
    """What a report is asked for: these books, in [from_on, to_on), perhaps one account or household.

    Attributes:
        charge_month: the month whose charges are listed; the first day of it.
        charges_since: the first month whose charges a list of months has, up to the last day's; None for
            everything charged since eleven months before the first day.
    """

    books: tuple[str, ...]
    from_on: date
    to_on: date
    account: str | None = None
    household: UUID | None = None
    charge_month: date | None = None
    charges_since: date | None = None

    def parameters(self) -> dict[str, object]:
        """As SQL takes them."""
        return {
            "books": list(self.books),
            "from_on": self.from_on,
            "to_on": self.to_on,
            "account": self.account,
            "household": self.household,
            "charge_month": self.charge_month,
            "charges_since": self.charges_since,
        }


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One row, and the id of what it is made of."""

    cells: tuple[Cell, ...]
    opens: str | None


@dataclass(frozen=True, slots=True)
class ReportPage:
    """A part of a report.

    Attributes:
        count: rows of the whole report.
        totals: of the whole report; None in columns that are not added up.
        sheet, sheets: which part this is, from 1.
    """

    spec: ReportSpec
    rows: tuple[ReportRow, ...]
    count: int
    totals: tuple[int | None, ...]
    sheet: int
    sheets: int


def read_page(
    connection: Connection, spec: ReportSpec, query: Query, sheet: int = 1, page_rows: int | None = None
) -> ReportPage:
    """One page of a report with the totals of all of it."""
    page_rows = page_rows or PAGE_ROWS
    count, totals = _totals(connection, spec, query)
    sheets = max(1, -(-count // page_rows))
    sheet = min(max(sheet, 1), sheets)
    statement = f"SELECT * FROM ({spec.sql}) AS report ORDER BY {spec.order} LIMIT :limit OFFSET :offset"  # noqa: S608 (texts of this package)
    rows = connection.execute(
        _bound(statement), {**query.parameters(), "limit": page_rows, "offset": (sheet - 1) * page_rows}
    )
    shown = tuple(_row(spec, row) for row in rows)
    return ReportPage(spec, shown, count, totals, sheet, sheets)


def stream_rows(connection: Connection, spec: ReportSpec, query: Query) -> Iterator[ReportRow]:
    """All rows in their order, without holding them all; the connection is busy until the end."""
    return (_row(spec, row) for row in _stream(connection, spec, query, "*"))


def sheet_of(connection: Connection, spec: ReportSpec, query: Query, heading: tuple[str, ...] = ()) -> Sheet:
    """The report as a table for a workbook or CSV, read while it is written."""
    # What a row opens, and is ordered by, is not asked for: it costs as much as the cells.
    cells = ", ".join(f"c{place}" for place in range(1, len(spec.columns) + 1))
    rows = (tuple(row) for row in _stream(connection, spec, query, cells))
    return Sheet(spec.title_zh, spec.columns, rows, heading)


def _stream(connection: Connection, spec: ReportSpec, query: Query, columns: str) -> Iterable[Row[Any]]:
    statement = f"SELECT {columns} FROM ({spec.sql}) AS report ORDER BY {spec.order}"  # noqa: S608 (texts of this package)
    # Of this statement alone: the connection goes on to others.
    streamed = {"stream_results": True, "max_row_buffer": STREAM_ROWS}
    return connection.execute(_bound(statement), query.parameters(), execution_options=streamed)


def _totals(connection: Connection, spec: ReportSpec, query: Query) -> tuple[int, tuple[int | None, ...]]:
    sums = [
        f"coalesce(sum(c{place}), 0)::bigint" if column.total else "NULL::bigint"
        for place, column in enumerate(spec.columns, start=1)
    ]
    statement = f"SELECT count(*), {', '.join(sums)} FROM ({spec.sql}) AS report"  # noqa: S608 (texts of this package)
    found = connection.execute(_bound(statement), query.parameters()).one()
    return int(found[0]), tuple(found[1:])


def _row(spec: ReportSpec, row: Sequence[Any]) -> ReportRow:
    # Between the columns and `opens` stand what the rows are only ordered by.
    opens = row[-1]
    return ReportRow(tuple(row[: len(spec.columns)]), None if opens is None else str(opens))


def _bound(statement: str) -> TextClause:
    named = set(re.findall(r"(?<!:):([a-z_]+)", statement))
    return text(statement).bindparams(
        *(bindparam(name, type_=kind) for name, kind in TYPES.items() if name in named)
    )


@cache
def _sql(name: str) -> str:
    path = resources.files("backend.closing") / "sql" / f"{name}.sql"
    return path.read_text(encoding="utf-8").strip().rstrip(";")
