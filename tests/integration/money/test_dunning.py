"""The ladder by the clock, on a real database; and what it must never do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from backend.messaging.port import Channel
from backend.messaging.service import set_address
from backend.messaging.tables import message
from backend.rent.dunning import dun, look_at, open_cases
from backend.rent.dunning_settings import DunningRules
from backend.rent.dunning_tables import dunning_case, dunning_step
from backend.rent.errors import DemandUnknownError
from backend.rent.papers import Office, demand_pdf

if TYPE_CHECKING:
    from tests.integration.money.conftest import Home
    from tests.integration.money.conftest import Office as RentOffice

RULES = DunningRules()
DOOR_TABLES = ("door_right", "card", "roster_item", "roster_version", "access_record", "door")


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 1, 0, tzinfo=UTC)


def round_of(office: RentOffice, day: date, rules: DunningRules = RULES) -> None:
    while dun(office.engine, at(day), rules):
        pass


def steps(office: RentOffice) -> list[tuple[str, date]]:
    with office.engine.connect() as connection:
        rows = connection.execute(select(dunning_step).order_by(dunning_step.c.taken_on))
        return [(row.rung, row.taken_on) for row in rows]


def reach(office: RentOffice, home: Home) -> None:
    with office.engine.begin() as connection:
        set_address(connection, home.person_id, Channel.SMS, "13800138123", office.now)


def test_a_ladder_of_a_winter(office: RentOffice, home: Home) -> None:
    reach(office, home)
    for month in ("2026-09", "2026-10", "2026-11"):
        office.charge(month)
    day = date(2026, 9, 10)
    while day < date(2026, 12, 20):
        round_of(office, day)
        day += timedelta(days=1)
    assert steps(office) == [
        ("reminder", date(2026, 9, 18)),
        ("second_reminder", date(2026, 9, 30)),
        ("demand", date(2026, 10, 15)),
        ("visit", date(2026, 11, 15)),
        ("review", date(2026, 11, 29)),
    ]
    with office.engine.connect() as connection:
        demand = connection.execute(select(dunning_step).where(dunning_step.c.kind == "demand")).one()
        texts = list(connection.execute(select(message.c.text_zh).order_by(message.c.created_at)).scalars())
        (case,) = open_cases(connection, ["pengjiang-1"])
    assert (demand.deadline_on, demand.owed_fen, demand.in_a_row) == (date(2026, 11, 14), 100_000, 1)
    assert demand.months == [{"month": "2026-09", "due_on": "2026-09-15", "owed_fen": 100_000}]
    assert (case.rung, case.in_a_row, case.cumulative) == ("review", 3, 3)
    assert len(texts) == 3
    assert "书面催缴通知已出具。请在11月14日前交清。" in texts[2]
    assert all("欠费不影响开门回家" in one and "示例" in one for one in texts)


def test_a_round_is_made_once_a_day_and_its_reminders_are_sent_once(office: RentOffice, home: Home) -> None:
    reach(office, home)
    office.charge("2026-09")
    day = date(2026, 9, 18)
    assert dun(office.engine, at(day), RULES) == 1
    assert dun(office.engine, at(day), RULES) == 0
    assert dun(office.engine, at(day), RULES) == 0
    with office.engine.begin() as connection:
        look_at(connection, home.household_id, home.estate_id, day, at(day), RULES)
    assert office.count("message") == 1
    assert office.count("dunning_step") == 1


def test_who_pays_is_left_in_peace_and_begins_anew_next_time(office: RentOffice, home: Home) -> None:
    office.charge("2026-09")
    round_of(office, date(2026, 9, 18))
    office.take(home, 100_000)
    round_of(office, date(2026, 9, 30))
    assert steps(office) == [("reminder", date(2026, 9, 18))]
    with office.engine.connect() as connection:
        assert connection.execute(select(dunning_case.c.closed_on)).scalar_one() == date(2026, 9, 30)
    office.charge("2026-10")
    round_of(office, date(2026, 10, 18))
    assert [rung for rung, _ in steps(office)] == ["reminder", "reminder"]


def test_who_owes_nothing_or_is_not_due_yet_is_not_reminded(office: RentOffice, home: Home) -> None:
    office.charge("2026-11")
    round_of(office, date(2026, 11, 15))
    round_of(office, date(2026, 11, 17))
    assert steps(office) == []
    round_of(office, date(2026, 12, 1), DunningRules(enabled=False))
    assert steps(office) == []


def test_nothing_of_it_touches_a_door(office: RentOffice, home: Home) -> None:
    def doors() -> list[object]:
        with office.engine.connect() as connection:
            return [
                connection.execute(text(f"SELECT md5(array_agg(t::text)::text) FROM {table} t")).scalar()
                for table in DOOR_TABLES
            ]

    before = doors()
    office.charge("2026-01")
    day = date(2026, 1, 16)
    while day < date(2026, 5, 1):
        round_of(office, day)
        day += timedelta(days=7)
    assert len(steps(office)) >= 4
    assert doors() == before


def test_the_database_wants_the_demand_and_its_deadline_first(office: RentOffice, home: Home) -> None:
    office.charge("2026-09")
    round_of(office, date(2026, 9, 18))
    row = "case_id, '{0}', 'x', '{0}', '{1}', {2}, 1, 2, 2, '[]'"
    insert = f"INSERT INTO dunning_step SELECT {row} FROM dunning_case"

    def put(kind: str, on: str, deadline: str = "NULL") -> None:
        with office.engine.begin() as connection:
            connection.execute(text(insert.format(kind, on, deadline)))

    for kind in ("visit", "review"):
        with pytest.raises(IntegrityError, match="written demand"):
            put(kind, "2026-12-01")
    put("demand", "2026-10-15", "'2026-11-14'")
    with pytest.raises(IntegrityError, match="written demand"):
        put("visit", "2026-11-14")
    put("visit", "2026-11-15")


def test_a_demand_is_a_paper_that_stays_as_it_was(
    office: RentOffice, home: Home, paper_office: Office
) -> None:
    office.charge("2026-09")
    for day in (date(2026, 9, 18), date(2026, 9, 30), date(2026, 10, 15)):
        round_of(office, day)
    with office.engine.connect() as connection:
        case_id = connection.execute(select(dunning_case.c.case_id)).scalar_one()
        first = demand_pdf(connection, case_id, paper_office)
    office.take(home, 100_000)
    with office.engine.connect() as connection:
        assert demand_pdf(connection, case_id, paper_office) == first
        with pytest.raises(DemandUnknownError):
            demand_pdf(connection, UUID(int=1), paper_office)
    assert first.startswith(b"%PDF-")


@pytest.fixture
def paper_office() -> Office:
    """Who issues papers."""
    from backend.documents.pdf import FONT_FOLDER  # noqa: PLC0415

    return Office("示例中心", "示例窗口", "https://city.invalid", FONT_FOLDER)
