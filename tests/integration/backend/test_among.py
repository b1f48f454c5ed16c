"""Long lists are joined: on tables that were never analysed as well, no row looks through the whole list."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from sqlalchemy import Column, ColumnElement, Integer, MetaData, Table, Text, Uuid, insert, select
from sqlalchemy.dialects import postgresql

from backend.db.arrays import among
from backend.db.engine import make_single_engine
from tests.integration.conftest import Database

things = Table(
    "thing",
    MetaData(),
    Column("thing_id", Uuid, primary_key=True),
    Column("household_id", Uuid),
    Column("ref", Text, nullable=False),
    Column("number", Integer, nullable=False),
    prefixes=["TEMPORARY"],
)
WORDS = ["plain", "", "a,b", 'say "yes"', "\\", "{x}", "NULL"]


def found(
    database: Database, condition: ColumnElement[bool], households: list[UUID]
) -> tuple[list[int], str]:
    """The numbers of what fits, and how PostgreSQL looked for it in a table that was never analysed."""
    rows = [
        {"thing_id": uuid4(), "household_id": one, "ref": WORDS[number % len(WORDS)], "number": number}
        for number, one in enumerate(households)
    ]
    query = select(things.c.number).where(condition).order_by(things.c.number)
    # The application makes no tables.
    engine = make_single_engine(database.superuser_url)
    with engine.begin() as connection:
        things.create(connection)
        connection.execute(insert(things), rows)
        numbers = list(connection.scalars(query))
        text = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
        plan = connection.exec_driver_sql(f"EXPLAIN {text}".replace("%", "%%")).scalars().all()
        things.drop(connection)
    engine.dispose()
    return numbers, "\n".join(plan)


@pytest.mark.parametrize("count", [1_000, 2_000])
def test_a_long_list_is_hashed_once_and_not_searched_for_each_row(database: Database, count: int) -> None:
    households = [uuid4() for _ in range(2_000)]
    numbers, plan = found(database, among(things.c.household_id, households[:count]), households)
    assert numbers == list(range(count))
    assert "Hash" in plan
    assert "ANY" not in plan


def test_a_list_finds_what_it_names_and_nothing_else(database: Database) -> None:
    households = [uuid4() for _ in WORDS]
    for number, word in enumerate(WORDS):
        assert found(database, among(things.c.ref, [word, "not there", word]), households)[0] == [number]
    assert found(database, among(things.c.number, [0, 3, None]), households)[0] == [0, 3]
    assert found(database, among(things.c.number, []), households)[0] == []
    either = among(things.c.number, [1]) | among(things.c.household_id, households[4:5])
    assert found(database, either, households)[0] == [1, 4]
