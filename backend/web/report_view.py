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
from backend.closing.report_specs import REPORTS
from backend.closing.reports import Period, Query, ReportPage
from backend.documents.columns import Cell, Column, Kind, total_row, written
from backend.identity.principal import Principal, Role
from backend.identity.service import check_role
from backend.ledger.days import (
    AS_AT,
    FROM_DAY,
    FROM_MONTH,
    MONTH_FIELD,
    TO_DAY,
    TO_MONTH,
    Days,
    FieldName,
    read_day,
    read_days,
    read_first_of_month,
    read_months,
)
from backend.ledger.errors import AccountCodeError
from backend.web import words

ACCOUNT = re.compile(r"[0-9]{4}(\.[0-9]{2}){0,3}")
MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
NUMBERS = frozenset({Kind.YUAN, Kind.WHOLE, Kind.SHARE})
# What a report's rows are made of, and which report or page shows that.
OPENED_BY: Mapping[str, str] = {
    "account": "general_ledger",
    "household": "household_ledger",
    "charges": "open_items",
    "month": "charges_of_month",
    "book": "should_actual_owed",
    "district": "estates",
}
# What an address has besides its days.
NARROWED_BY = ("account", "household", "charge_month")
INPUTS: Mapping[Period, tuple[tuple[str, str, FieldName], ...]] = {
    Period.DAYS: (("from", "从", FROM_DAY), ("to", "到", TO_DAY)),
    Period.DAY: (("at", "截至", AS_AT),),
    Period.MONTHS: (("from", "从", FROM_MONTH), ("to", "到", TO_MONTH)),
}
# What the browser's own fields can show; anything else that was typed is kept in a plain one.
SHOWABLE = {"date": re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}"), "month": MONTH}


@dataclass(frozen=True, slots=True)
class Asked:
    """A report's query as its address says it.

    Attributes:
        book: the one book that was chosen; empty for all of one's own.
        days: the days that it is about; of a report as at a day, its month up to it.
    """

    query: Query
    book: str
    period: Period
    days: Days

    @property
    def when_zh(self) -> str:
        """Its days in words, for titles."""
        if self.period is Period.DAY:
            return f"截至 {self.days.last_on}"
        if self.period is Period.MONTHS:
            return f"{self.days.from_on:%Y-%m} 至 {self.days.last_on:%Y-%m}"
        return str(self.days)

    @property
    def when_en(self) -> str:
        """The same in English."""
        last = words.day_en(self.days.last_on)
        if self.period is Period.DAY:
            return f"as at {last}"
        if self.period is Period.MONTHS:
            return f"charges from {words.month_en(self.days.from_on)} to {words.month_en(self.days.last_on)}"
        return f"{words.day_en(self.days.from_on)} to {last}, both inclusive"

    def arguments(self) -> dict[str, Any]:
        """As an address has them; what is not asked for is left out."""
        found = {
            "book": self.book,
            **when(self.period, self.days),
            "account": self.query.account or "",
            "household": str(self.query.household or ""),
            "charge_month": f"{self.query.charge_month:%Y-%m}" if self.query.charge_month else "",
        }
        return {name: value for name, value in found.items() if value}

    def file_name(self, report: str, ending: str) -> str:
        """A download's name, with its book and its days."""
        return "-".join((report, self.book or "all", *when(self.period, self.days).values())) + f".{ending}"


@dataclass(frozen=True, slots=True)
class Input:
    """A field of the form, with what was typed there; `kind` is the browser's."""

    name: str
    zh: str
    en: str
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class QuickChoice:
    """A link to days that are often asked for."""

    zh: str
    en: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class Form:
    """How a report is asked for: its fields, what goes along unseen, and the quick choices."""

    book: str
    inputs: tuple[Input, ...]
    hidden: Mapping[str, str]
    quick: tuple[QuickChoice, ...]


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
    period: Period,
    books: Mapping[str, str],
    who: Principal,
    today: date,
    roles: Sequence[Role],
) -> Asked:
    """The query of an address.

    Raises:
        NotAllowedError: the book is not the principal's.
        NotFound: there is no such book or household.
        DayMissingError, DayUnreadableError, DaysBackwardsError, AccountCodeError: what was typed.
    """
    book = arguments.get("book", "")
    if book and book not in books:
        # The city's book is refused like an estate that is not one's own.
        check_role(who, "finance.reports", book, *roles)
        raise NotFound
    household = _household(arguments.get("household", ""))
    days = _days(arguments, period, today)
    account, charged = arguments.get("account", ""), arguments.get("charge_month", "")
    if account and not ACCOUNT.fullmatch(account):
        raise AccountCodeError(account)
    query = Query(
        books=(book,) if book else tuple(books),
        from_on=days.from_on,
        to_on=days.to_on,
        account=account or None,
        household=household,
        charge_month=month_at.from_on if (month_at := read_month(charged)) else None,
        charges_since=days.from_on if period is Period.MONTHS else None,
    )
    return Asked(query, book, period, days)


def read_month(text: str) -> Month | None:
    """A month as the field sends it; None when it is not one."""
    return Month(date.fromisoformat(f"{text}-01")) if MONTH.fullmatch(text) else None


def when(period: Period, days: Days) -> dict[str, str]:
    """Days as the address of a report has them."""
    if period is Period.DAY:
        return {"at": str(days.last_on)}
    if period is Period.MONTHS:
        return {"from": f"{days.from_on:%Y-%m}", "to": f"{days.last_on:%Y-%m}"}
    return {"from": str(days.from_on), "to": str(days.last_on)}


def form_of(
    name: str, period: Period, arguments: Mapping[str, str], asked: Asked | None, today: date
) -> Form:
    """The form of a report: what is shown, or, when it was refused, what was typed."""
    shown = when(period, asked.days if asked else _usual(period, Month(today.replace(day=1)), today))
    typed = dict(shown) if asked else {one: arguments.get(one, shown[one]) for one in shown}
    hidden = {one: arguments[one] for one in NARROWED_BY if arguments.get(one)}
    book = asked.book if asked else arguments.get("book", "")
    # An account that was refused would be refused again.
    hidden = {one: value for one, value in hidden.items() if one != "account" or ACCOUNT.fullmatch(value)}
    along: dict[str, Any] = {**hidden, **({"book": book} if book else {})}
    return Form(
        book=book,
        inputs=tuple(
            Input(one, zh, field.en, _kind(period, typed[one]), typed[one])
            for one, zh, field in INPUTS[period]
        ),
        hidden=hidden,
        quick=tuple(
            QuickChoice(
                zh,
                en,
                url_for("reports.report", name=name, **(along | when(period, days))),
                asked is not None and when(period, days) == shown,
            )
            for zh, en, days in _quick(period, today)
        ),
    )


def _days(arguments: Mapping[str, str], period: Period, today: date) -> Days:
    """What the address says; a month is the quick way to say it, and this month what nothing says."""
    typed = [arguments.get(name) for name, _, _ in INPUTS[period]]
    if any(text is not None for text in typed):
        given = [text or "" for text in typed]
        if period is Period.DAY:
            at = read_day(given[0], AS_AT)
            return Days(at.replace(day=1), at)
        return read_months(*given) if period is Period.MONTHS else read_days(*given)
    month_text = arguments.get("month", "")
    if not month_text:
        return _usual(period, Month(today.replace(day=1)), today)
    return _usual(period, Month(read_first_of_month(month_text, MONTH_FIELD)), date.max)


def _usual(period: Period, month: Month, today: date) -> Days:
    """What a month means: its days, its end (today, as long as it runs), or the year of charges up to it."""
    if period is Period.MONTHS:
        return Days(_months_before(month.from_on, 11), month.last_on)
    return Days(month.from_on, min(month.last_on, today) if period is Period.DAY else month.last_on)


def _quick(period: Period, today: date) -> list[tuple[str, str, Days]]:
    month = Month(today.replace(day=1))
    before, year = month.before, today.replace(month=1, day=1)
    if period is Period.DAY:
        year_before = year - timedelta(days=1)
        return [
            ("今天", "Today", Days(month.from_on, today)),
            ("上月末", "End of last month", Days(before.from_on, before.last_on)),
            ("上年末", "End of last year", Days(year_before.replace(day=1), year_before)),
        ]
    found = [
        ("本月", "This month", Days(month.from_on, month.last_on)),
        ("上月", "Last month", Days(before.from_on, before.last_on)),
        ("本年", "This year", Days(year, year.replace(month=12, day=31))),
    ]
    return (
        [*found, ("近十二个月", "Twelve months", _usual(period, month, today))]
        if period is Period.MONTHS
        else found
    )


def _months_before(month: date, count: int) -> date:
    place = month.year * 12 + month.month - 1 - count
    return date(place // 12, place % 12 + 1, 1)


def _kind(period: Period, value: str) -> str:
    kind = "month" if period is Period.MONTHS else "date"
    return kind if not value or (SHOWABLE[kind].fullmatch(value) and _is_day(value)) else "text"


def _is_day(value: str) -> bool:
    try:
        date.fromisoformat(value if value.count("-") == 2 else f"{value}-01")
    except ValueError:
        return False
    return True


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
    target, days = REPORTS[OPENED_BY[kind]], asked.days
    found = {"book": asked.book}
    if kind == "month":
        found["book"], _, found["charge_month"] = opens.partition(":")
    elif kind == "account":
        found["account"], _, day = opens.partition(":")
        days = Days(on := date.fromisoformat(day), on) if day else days
    elif kind == "charges":
        found["household"] = opens
    elif kind != "district":
        found[kind] = opens
    found |= when(target.period, days)
    arguments: dict[str, Any] = {name: value for name, value in found.items() if value}
    return url_for("reports.report", name=target.name, **arguments)


def _household(text: str) -> UUID | None:
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound from error
