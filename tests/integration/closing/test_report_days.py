"""Reports of any days: a month is its days, and days that follow each other add up."""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st
from sqlalchemy import Engine

from backend.closing.pack_sheets import REPORT_FILES
from backend.closing.report_specs import (
    AGEING,
    CASH_BOOK,
    COLLECTION,
    ESTATES,
    GENERAL_LEDGER,
    HOUSEHOLD_LEDGER,
    OPEN_ITEMS,
    REMITTANCES,
    SHOULD_ACTUAL_OWED,
    TRIAL_BALANCE,
)
from backend.closing.reports import Period, Query, ReportSpec, read_page, stream_rows
from backend.documents.columns import Cell, Column, Kind
from backend.web.report_view import Asked, read_asked
from tests.integration.closing.conftest import ClosedYear
from tests.integration.closing.story import play
from tests.integration.closing.year import ESTATE, Year
from tests.sealing import seal_all

Rows = list[tuple[Cell, ...]]
FIRST, LAST = date(2025, 12, 28), date(2026, 5, 3)
MONTHS = (2, 9, 12)
BY_DAYS = {
    Period.DAYS: {"from": "2026-{0:02d}-01", "to": "2026-{0:02d}-{1}"},
    Period.DAY: {"at": "2026-{0:02d}-{1}"},
    Period.MONTHS: {"from": "{2}", "to": "2026-{0:02d}"},
}


def asked_for(year: Year, spec: ReportSpec, arguments: Mapping[str, str]) -> Asked:
    books, who = {ESTATE: "莲湖小区"}, year.people[0]
    return read_asked(arguments, spec.period, books, who, date(2027, 1, 5), ("finance",))


def rows_of(engine: Engine, spec: ReportSpec, query: Query) -> Rows:
    with engine.connect() as connection:
        return [row.cells for row in stream_rows(connection, spec, query)]


@pytest.mark.parametrize("month", MONTHS)
def test_a_month_is_the_same_by_its_name_by_its_days_and_in_its_pack(
    closed_year: ClosedYear, month: int
) -> None:
    year, compared = closed_year.year, 0
    last = (date(2026, month, 28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    year_before = f"2026-{month - 11:02d}" if month > 11 else f"2025-{month + 1:02d}"
    with zipfile.ZipFile(closed_year.closed[month - 1].path) as pack:
        for name, specs in REPORT_FILES.items():
            book = openpyxl.load_workbook(io.BytesIO(pack.read(name)))
            for spec in specs:
                by_month = asked_for(year, spec, {"month": f"2026-{month:02d}"})
                by_days = asked_for(
                    year,
                    spec,
                    {
                        field: text.format(month, last.day, year_before)
                        for field, text in BY_DAYS[spec.period].items()
                    },
                )
                assert by_month == by_days
                rows = rows_of(year.engine, spec, by_days.query)
                assert rows == in_workbook(book[spec.title_zh], spec)
                compared += len(rows)
    assert compared > 250


def in_workbook(page: Any, spec: ReportSpec) -> Rows:
    """A sheet of a pack, without its heading, its header and its totals."""
    found = [
        tuple(as_cell(column, value) for column, value in zip(spec.columns, row, strict=True))
        for row in page.iter_rows(min_row=3, values_only=True)
    ]
    return found[:-1] if any(column.total for column in spec.columns) else found


def as_cell(column: Column, value: Any) -> Cell:
    if value is None:
        return "" if column.kind is Kind.TEXT else None
    if column.kind is Kind.YUAN:
        return round(Decimal(str(value)) * 100)
    if column.kind is Kind.SHARE:
        return round(value * 1000)
    return value.date() if column.kind is Kind.DATE else value


@pytest.fixture
def half_sealed(year: Year) -> Year:
    """Four months with entries that were taken back on later days; the last month has no seal yet."""
    for month in (1, 2, 3):
        play(year, month)
    year.mirror("reversal", "bank_charge/line-c-1", date(2026, 3, 30), {})
    year.mirror("reversal", "remittance/JKS-002", date(2026, 3, 31), {})
    with year.engine.begin() as connection:
        seal_all(connection)
    play(year, 4)
    year.mirror("reversal", "bank_charge/line-c-4", date(2026, 4, 20), {})
    year.mirror("reversal", "cash_banked/slip-2", date(2026, 4, 30), {})
    return year


days = st.dates(FIRST, LAST)


@trying(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(days=st.tuples(days, days, days))
def test_days_that_follow_each_other_add_up(half_sealed: Year, days: tuple[date, date, date]) -> None:
    from_on, middle, to_on = sorted(days)
    both = (from_on, middle, to_on + timedelta(days=1))
    found = {}
    with half_sealed.engine.connect() as connection:
        for name, (first, after) in {"all": (0, 2), "before": (0, 1), "after": (1, 2)}.items():
            query = Query((ESTATE,), both[first], both[after])
            found[name] = {
                spec.name: [row.cells for row in stream_rows(connection, spec, query)]
                for spec in (
                    TRIAL_BALANCE,
                    GENERAL_LEDGER,
                    HOUSEHOLD_LEDGER,
                    CASH_BOOK,
                    SHOULD_ACTUAL_OWED,
                    REMITTANCES,
                    AGEING,
                    OPEN_ITEMS,
                    ESTATES,
                )
            }
    whole, before, after_it = found["all"], found["before"], found["after"]
    for part in found.values():
        adds_up_in_itself(part)
    # opening, debit, credit and closing by account
    sums = {name: balances(part["trial_balance"]) for name, part in found.items()}
    for code in set().union(*sums.values()):
        one, two, three = (sums[name][code] for name in ("all", "before", "after"))
        assert (one[0], two[3], one[3]) == (two[0], three[0], three[3]), code
        assert (one[1], one[2]) == (two[1] + three[1], two[2] + three[2]), code
    # Rows stand in one part or the other, with the same balance after each; openings are no rows of the days.
    for name, day, place in (("general_ledger", 1, 2), ("household_ledger", 3, 4), ("cash_book", 2, 0)):
        rows = [row for part in (before, after_it) for row in part[name] if row[day] is not None]
        assert sorted(rows, key=lambda row: (row[day], row[place], str(row))) == sorted(
            (row for row in whole[name] if row[day] is not None),
            key=lambda row: (row[day], row[place], str(row)),
        )
    assert whole["remittances"] == before["remittances"] + after_it["remittances"]
    owed = {name: {row[0]: row for row in part["should_actual_owed"]} for name, part in found.items()}
    for ref, row in owed["all"].items():
        two, three = owed["before"].get(ref), owed["after"].get(ref)
        assert row[2] == (two[2] if two else 0)
        assert row[5] == (three[5] if three else 0)
        for place in (3, 4):
            assert row[place] == (two[place] if two else 0) + (three[place] if three else 0)


def adds_up_in_itself(part: Mapping[str, Rows]) -> None:
    """Opening and movement give the closing balance, in every report and from one report to the other."""
    sums = balances(part["trial_balance"])
    for code, (opening, debit, credit, closing) in sums.items():
        assert opening + debit - credit == closing, code
    assert sum(one[1] for one in sums.values()) == sum(one[2] for one in sums.values())
    assert sum(one[3] for one in sums.values()) == 0
    ledger = running(part["general_ledger"], (0,), 1, 4, 6)
    assert {code: found for (code,), found in ledger.items()} == {
        code: one for code, one in sums.items() if one != (0, 0, 0, 0)
    }
    cash = running(part["cash_book"], (0,), 2, 3, 5)
    assert all(sums[code] == one for (code,), one in cash.items())
    for (_, code), one in running(part["household_ledger"], (0, 1), 3, 6, 8).items():
        assert one[0] + one[1] - one[2] == one[3], code
    for row in part["should_actual_owed"]:
        assert row[2] + row[3] - row[4] == row[5], row  # type: ignore[operator]
    owed = sum(int(str(row[5])) for row in part["should_actual_owed"])
    assert sum(int(str(row[9])) for row in part["ageing"]) == owed
    assert sum(int(str(row[3])) for row in part["open_items"]) == owed
    assert sum(int(str(row[6])) for row in part["estates"]) == owed


def balances(rows: Rows) -> defaultdict[str, tuple[int, int, int, int]]:
    """Opening, debit, credit and closing by account."""
    found: defaultdict[str, tuple[int, int, int, int]] = defaultdict(lambda: (0, 0, 0, 0))
    for code, _, *fen in rows:
        one = [int(str(amount)) for amount in fen]
        found[str(code)] = (one[0] - one[1], one[2], one[3], one[4] - one[5])
    return found


def running(
    rows: Rows, by: tuple[int, ...], day: int, debit: int, balance: int
) -> dict[tuple[str, ...], tuple[int, int, int, int]]:
    """The same from rows with a running balance, of which the first may be the opening."""
    found: dict[tuple[str, ...], tuple[int, int, int, int]] = {}
    for row in rows:
        key = tuple(str(row[place]) for place in by)
        now = int(str(row[balance]))
        if row[day] is None:
            found[key] = (now, 0, 0, now)
            continue
        opening, debits, credits, before = found.get(key, (0, 0, 0, 0))
        debits, credits = debits + int(str(row[debit])), credits + int(str(row[debit + 1]))
        assert before + int(str(row[debit])) - int(str(row[debit + 1])) == now, row
        found[key] = (opening, debits, credits, now)
    return found


def test_collection_from_month_to_month_has_these_months_and_no_other(half_sealed: Year) -> None:
    asked = asked_for(half_sealed, COLLECTION, {"from": "2026-02", "to": "2026-03"})
    with half_sealed.engine.connect() as connection:
        page = read_page(connection, COLLECTION, asked.query)
        everything = read_page(
            connection,
            COLLECTION,
            asked_for(half_sealed, COLLECTION, {"from": "2025-01", "to": "2026-03"}).query,
        )
    assert [row.cells[1] for row in page.rows] == ["2026-02", "2026-03"]
    assert [row.cells[1] for row in everything.rows] == [
        "2025-11",
        "2025-12",
        "2026-01",
        "2026-02",
        "2026-03",
    ]
    assert everything.rows[-2:] == page.rows
    for row in page.rows:
        assert row.cells[3] + row.cells[4] == row.cells[2]  # type: ignore[operator]
