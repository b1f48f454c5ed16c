"""Which books and accounts there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from backend.ledger.chart import Chart, ChartAccount, Role, read_chart
from backend.ledger.errors import ChartChangedError
from backend.ledger.tables import account, book
from backend.registry.tables import estate

CITY_BOOK = "city"
# A sample: which class public rent falls into is the local authority's decision.
DEFAULT_INCOME_CLASS = "non_tax_revenue"


def open_books(connection: Connection, now: datetime) -> None:
    """Give the city and every estate its book, and the chart accounts for roles that it does not have yet.

    Safe to repeat, and at the same time as others.
    """
    codes = _chart(connection).codes
    missing = [given for given in read_chart() if given.role is not None and given.role not in codes]
    load_chart(connection, missing if codes else read_chart())
    estates = connection.execute(select(estate.c.estate_id).order_by(estate.c.estate_id)).scalars().all()
    rows: list[tuple[str, str | None]] = [(CITY_BOOK, None), *((name, name) for name in estates)]
    values = [
        {"book_id": book_id, "estate_id": owner, "income_class": DEFAULT_INCOME_CLASS, "opened_at": now}
        for book_id, owner in rows
    ]
    connection.execute(insert(book).values(values).on_conflict_do_nothing())


def load_chart(connection: Connection, accounts: Sequence[ChartAccount]) -> None:
    """Add accounts, and give known ones the names of the configuration, and a role where they had none.

    Raises:
        ChartChangedError: a known account would get another kind, or another role than it has.
    """
    known = {row.account_code: row for row in connection.execute(select(account))}
    for given in accounts:
        before = known.get(given.code)
        if before is not None and (before.kind != given.kind or before.role not in (None, given.role)):
            raise ChartChangedError(given.code)
        names = {"name_zh": given.name_zh, "name_en": given.name_en, "role": given.role}
        connection.execute(
            insert(account)
            .values(account_code=given.code, kind=given.kind, **names)
            .on_conflict_do_update(index_elements=[account.c.account_code], set_=names)
        )


def chart_of(connection: Connection, now: datetime) -> Chart:
    """The accounts as the database has them; opens the books where that has not happened yet."""
    chart = _chart(connection)
    if not set(Role) <= set(chart.codes):
        open_books(connection, now)
        chart = _chart(connection)
    return chart


def book_of(connection: Connection, estate_id: str, now: datetime) -> str:
    """The estate's book, opened if it is new."""
    mine = select(book.c.book_id).where(book.c.estate_id == estate_id)
    found = connection.execute(mine).scalar_one_or_none()
    if found is None:
        open_books(connection, now)
        found = connection.execute(mine).scalar_one()
    return str(found)


def _chart(connection: Connection) -> Chart:
    rows = connection.execute(
        select(account.c.role, account.c.account_code).where(account.c.role.is_not(None))
    )
    return Chart({row.role: row.account_code for row in rows})
