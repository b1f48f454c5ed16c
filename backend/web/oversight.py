"""Across estates, for supervisors: money, open cases, doors and the close, an estate a row. Reading only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from flask import Blueprint, render_template, request
from sqlalchemy import Connection, text

from backend.closing.records import Month
from backend.closing.report_specs import ESTATES
from backend.closing.reports import Query, stream_rows
from backend.identity.principal import Role
from backend.identity.web import required_principal, requires
from backend.registry.estates import EstateView
from backend.services import services
from backend.web import words
from backend.web.estates import estates_of
from backend.web.report_view import read_month

ROLES: tuple[Role, ...] = ("supervisor", "finance")

blueprint = Blueprint("oversight", __name__, url_prefix="/oversight")


@dataclass(frozen=True, slots=True)
class EstateRow:
    """One estate; amounts in fen, nought where its book has no entry yet.

    Attributes:
        rate_permille: collected of what was owed and charged; None where nothing was.
        oldest_case_days: age of the oldest open case; None where none is open.
        closed: the last closed month; None where none is.
    """

    estate_id: str
    name_zh: str
    charged_fen: int
    collected_fen: int
    owed_fen: int
    rate_permille: int | None
    cases: int
    oldest_case_days: int | None
    doors: int
    offline: int
    alarms: int
    closed: date | None
    faces: bool


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """Every estate that one may look at, with the sums of all of them."""
    who, now = required_principal(), datetime.now(UTC)
    wanted = request.args.get("month", "")
    month = read_month(wanted) or Month(words.today(now).replace(day=1))
    with services().engine.connect() as connection:
        rows = estate_rows(connection, estates_of(connection, who, ROLES), month, now)
    return render_template(
        "oversight.html",
        rows=rows,
        month=month,
        misread=bool(wanted) and read_month(wanted) is None,
        charged_fen=sum(one.charged_fen for one in rows),
        collected_fen=sum(one.collected_fen for one in rows),
        owed_fen=sum(one.owed_fen for one in rows),
    )


def estate_rows(
    connection: Connection, shown: list[EstateView], month: Month, now: datetime
) -> list[EstateRow]:
    """The facts of these estates, in their order; two statements however many there are."""
    ids = [one.estate_id for one in shown]
    query = Query(tuple(ids), month.from_on, month.to_on)
    money = {row.opens: row.cells for row in stream_rows(connection, ESTATES, query)}
    facts = {row.estate_id: row for row in connection.execute(_FACTS, {"ids": ids})}
    return [_row(one, money.get(one.estate_id), facts[one.estate_id], now) for one in shown]


def _row(one: EstateView, money: tuple[Any, ...] | None, facts: Any, now: datetime) -> EstateRow:
    _, _, _, _, charged, collected, owed, rate, _ = money or (None, None, 0, 0, 0, 0, 0, None, 0)
    age = (now - facts.oldest_case_at).days if facts.oldest_case_at else None
    return EstateRow(
        one.estate_id, one.name_zh, charged, collected, owed, rate, facts.cases, age,
        facts.doors, facts.offline, facts.alarms, facts.closed, facts.faces_enabled,
    )  # fmt: skip


# A month counts as closed while the book is locked behind it, not because it was closed once.
_FACTS = text("""
    SELECT estate.estate_id, estate.faces_enabled,
           coalesce(cases.number, 0) AS cases, cases.oldest_at AS oldest_case_at,
           coalesce(doors.number, 0) AS doors, coalesce(doors.offline, 0) AS offline,
           coalesce(alarms.number, 0) AS alarms,
           (nullif(period_open_from(estate.estate_id), '-infinity') - interval '1 month')::date AS closed
    FROM estate
    LEFT JOIN (SELECT book_id, count(*) AS number, min(opened_at) AS oldest_at
               FROM reconciliation_case WHERE closed_at IS NULL GROUP BY book_id) AS cases
        ON cases.book_id = estate.estate_id
    LEFT JOIN (SELECT door.estate_id, count(*) AS number,
                      count(*) FILTER (WHERE device_state.state = 'offline') AS offline
               FROM door LEFT JOIN device_state USING (device_id) WHERE door.active
               GROUP BY door.estate_id) AS doors ON doors.estate_id = estate.estate_id
    LEFT JOIN (SELECT estate_id, count(*) AS number FROM device_alarm
               WHERE cleared_at IS NULL GROUP BY estate_id) AS alarms ON alarms.estate_id = estate.estate_id
    WHERE estate.estate_id = ANY(:ids)
""")
