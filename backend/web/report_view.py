"""What a report's address asks for, and its rows with the links that they open. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from flask import url_for
from werkzeug.exceptions import NotFound

from backend.closing.records import Month
from backend.closing.reports import Query, ReportPage
from backend.documents.columns import Cell, Column, Kind, total_row, written
from backend.identity.principal import Principal, Role
from backend.identity.service import check_role
from backend.web import words

ACCOUNT = re.compile(r"[0-9]{4}(\.[0-9]{2}){0,3}")
MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
NUMBERS = frozenset({Kind.YUAN, Kind.WHOLE, Kind.SHARE})
# What a report's rows are made of, and which report or page shows that.
OPENED_BY: Mapping[str, str] = {
    "account": "general_ledger",
    "household": "household_ledger",
    "month": "charges_of_month",
    "book": "should_actual_owed",
    "district": "estates",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A report's query as its address says it.

    Attributes:
        book: the one book that was chosen; empty for all of one's own.
        misread: a month or an account that could not be read, so that this month, or all, is shown.
    """

    query: Query
    book: str
    month: Month
    misread: bool = False

    @property
    def last_on(self) -> date:
        """The last day."""
        return self.query.to_on - timedelta(days=1)

    def arguments(self) -> dict[str, Any]:
        """As an address has them; what is not asked for is left out."""
        found = {
            "book": self.book,
            "month": str(self.month),
            "account": self.query.account or "",
            "household": str(self.query.household or ""),
            "charge_month": f"{self.query.charge_month:%Y-%m}" if self.query.charge_month else "",
        }
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class ShownCell:
    """A cell as the page has it: its text, its column's title, and whether it is a figure."""

    title: str
    text: str
    number: bool


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row and the address of what it is made of; None where there is nothing behind it."""

    cells: tuple[ShownCell, ...]
    href: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """A report's part for the page; `totals` is of the whole report."""

    columns: tuple[Column, ...]
    rows: tuple[ShownRow, ...]
    totals: tuple[ShownCell, ...]


def read_asked(
    arguments: Mapping[str, str],
    books: Mapping[str, str],
    who: Principal,
    today: date,
    roles: Sequence[Role],
) -> Asked:
    """The query of an address.

    Raises:
        NotAllowedError: the book is not the principal's.
        NotFound: there is no such book or household.
    """
    book, month_text = arguments.get("book", ""), arguments.get("month", "")
    if book and book not in books:
        # The city's book is refused like an estate that is not one's own.
        check_role(who, "finance.reports", book, *roles)
        raise NotFound
    month = read_month(month_text) or Month(today.replace(day=1))
    account, charged = arguments.get("account", ""), arguments.get("charge_month", "")
    query = Query(
        books=(book,) if book else tuple(books),
        from_on=month.from_on,
        to_on=month.to_on,
        account=account if ACCOUNT.fullmatch(account) else None,
        household=_household(arguments.get("household", "")),
        charge_month=month_at.from_on if (month_at := read_month(charged)) else None,
    )
    misread = any(
        (month_text and read_month(month_text) is None, account and query.account is None),
    )
    return Asked(query, book, month, misread)


def read_month(text: str) -> Month | None:
    """A month as the field sends it; None when it is not one."""
    return Month(date.fromisoformat(f"{text}-01")) if MONTH.fullmatch(text) else None


def link_of(name: str, asked: Asked, sheet: int = 1) -> str:
    """The address of another part of the same report."""
    return url_for("reports.report", name=name, **asked.arguments(), sheet=sheet if sheet > 1 else None)


def table_of(page: ReportPage, asked: Asked) -> Table:
    """The part of a report that a page shows."""
    columns = page.spec.columns
    rows = tuple(
        ShownRow(_cells(columns, row.cells), _opens(page.spec.opens, row.opens, asked)) for row in page.rows
    )
    has_totals = any(column.total for column in columns) and page.rows
    return Table(columns, rows, _cells(columns, total_row(columns, page.totals)) if has_totals else ())


def _cells(columns: Sequence[Column], cells: Sequence[Cell]) -> tuple[ShownCell, ...]:
    return tuple(
        ShownCell(column.title, _text(column, value), column.kind in NUMBERS)
        for column, value in zip(columns, cells, strict=True)
    )


def _text(column: Column, value: Cell) -> str:
    if column.kind is Kind.YUAN and isinstance(value, int):
        return words.plain_yuan(value)
    # The word for totals goes into a text column, whatever else stands there.
    return value if isinstance(value, str) else written(column, value)


def _opens(kind: str, opens: str | None, asked: Asked) -> str | None:
    if opens is None:
        return None
    if kind == "entry":
        return url_for("finance.entry", entry_id=int(opens))
    found = {"month": str(asked.month), "book": asked.book}
    if kind == "month":
        found["book"], _, found["charge_month"] = opens.partition(":")
    elif kind != "district":
        found[kind] = opens
    arguments: dict[str, Any] = {name: value for name, value in found.items() if value}
    return url_for("reports.report", name=OPENED_BY[kind], **arguments)


def _household(text: str) -> UUID | None:
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound from error
