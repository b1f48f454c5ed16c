"""Finance: the ledger of a day. Reading only; supervisors see the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from flask import Blueprint, render_template, request, url_for
from sqlalchemy import Connection, select
from werkzeug.exceptions import NotFound

from backend.db.arrays import among
from backend.identity.errors import NotAllowedError
from backend.identity.principal import ALL, Role
from backend.identity.service import audit, check_role
from backend.identity.web import required_principal, requires
from backend.ledger.books import CITY_BOOK
from backend.ledger.service import count_of_day, entries_of_day, entry_of, sums_of_day
from backend.ledger.tables import book, journal_entry
from backend.registry.estates import EstateView
from backend.services import services
from backend.web import words
from backend.web.estates import chosen, estates_of, scope_of
from backend.web.ledger_view import PAGE_ENTRIES, LedgerPage, entry_row, ledger_page, sheet_within
from backend.web.sources import source_of

ROLES: tuple[Role, ...] = ("finance", "supervisor")

CITY_ZH = "市级账簿"

blueprint = Blueprint("finance", __name__, url_prefix="/finance")


@blueprint.get("/today")
@requires(*ROLES)
def today() -> str:
    """The entries of one day in the estates of the clerk, with totals that agree."""
    who, now = required_principal(), datetime.now(UTC)
    wanted, asked = request.args.get("estate", ""), request.args.get("day", "")
    day = read_day(asked)
    with services().engine.connect() as connection:
        mine = estates_of(connection, who, ROLES)
        shown = chosen(mine, who, "finance.today", wanted, ROLES)
        # Payments without an estate stand in the city's book, which belongs to nobody's estate.
        whole = not wanted and scope_of(who, ROLES) is ALL
        books = _books(connection, shown, whole=whole)
        on = day or words.today(now)
        page = _page(connection, books, on, read_sheet(request.args.get("sheet")))
    return render_template(
        "ledger.html",
        page=page,
        now=now,
        today=words.today(now),
        estates=mine,
        estate_id=wanted,
        scope_zh=shown[0].name_zh if len(shown) == 1 else f"{len(shown)} 个小区",
        read_only=not any(who.may("finance", one.estate_id) for one in shown),
        wrong_day=bool(asked) and day is None,
        links=_links(on, words.today(now), wanted, page.sheet, page.sheets),
    )


@blueprint.get("/entries/<int:entry_id>")
@requires(*ROLES)
def entry(entry_id: int) -> str:
    """One entry with what it was made from; the look at a household's account is recorded."""
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.begin() as connection:
        day, estate_id = _place(connection, entry_id)
        if estate_id is not None:
            check_role(who, "finance.entry", estate_id, *ROLES)
        elif scope_of(who, ROLES) is not ALL:
            raise NotAllowedError(who.actor, "finance.entry", ROLES, None)
        shown = entry_of(connection, entry_id)
        source = source_of(connection, shown)
        if source is not None and source.household_id is not None:
            audit(
                connection,
                who,
                "look_at_account",
                "done",
                "household",
                str(source.household_id),
                estate_id,
                f"entry={entry_id}",
                now,
            )
        books = {one.estate_id: one.name_zh for one in estates_of(connection, who, ROLES)}
    return render_template(
        "entry.html",
        entry=entry_row(shown, {CITY_BOOK: CITY_ZH, **books}),
        day=day,
        source=source,
    )


def read_day(text: str) -> date | None:
    """A day as the date field sends it; None when it is not one."""
    try:
        return date.fromisoformat(text) if len(text) == len("2026-11-23") else None
    except ValueError:
        return None


def read_sheet(text: str | None) -> int:
    """The number of a sheet; anything else is the first."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 7 else 1


def _page(connection: Connection, books: Mapping[str, str], on: date, wanted: int) -> LedgerPage:
    """One sheet of a day: its entries are read, the day's sums are PostgreSQL's."""
    count = count_of_day(connection, books, on)
    sheet, _ = sheet_within(count, wanted)
    entries = entries_of_day(connection, books, on, PAGE_ENTRIES, (sheet - 1) * PAGE_ENTRIES)
    return ledger_page(on, entries, sums_of_day(connection, books, on), count, books, sheet)


def _place(connection: Connection, entry_id: int) -> tuple[date, str | None]:
    """Day and estate of an entry."""
    row = connection.execute(
        select(journal_entry.c.effective_on, book.c.estate_id)
        .join(book, book.c.book_id == journal_entry.c.book_id)
        .where(journal_entry.c.entry_id == entry_id)
    ).one_or_none()
    if row is None:
        raise NotFound
    return row.effective_on, row.estate_id


def _books(connection: Connection, shown: list[EstateView], *, whole: bool) -> dict[str, str]:
    names = {one.estate_id: one.name_zh for one in shown}
    rows = connection.execute(
        select(book.c.book_id, book.c.estate_id).where(among(book.c.estate_id, names))
    ).all()
    books = {row.book_id: names[row.estate_id] for row in rows}
    return {**books, CITY_BOOK: CITY_ZH} if whole else books


def _links(on: date, today: date, wanted: str, sheet: int, sheets: int) -> dict[str, str | None]:
    def to(day: date, number: int = 1) -> str:
        return url_for(
            "finance.today", day=day.isoformat(), estate=wanted or None, sheet=number if number > 1 else None
        )

    return {
        "before": to(on - timedelta(days=1)) if on > date.min else None,
        "after": to(on + timedelta(days=1)) if on < today else None,
        "sheet_before": to(on, sheet - 1) if sheet > 1 else None,
        "sheet_after": to(on, sheet + 1) if sheet < sheets else None,
    }
