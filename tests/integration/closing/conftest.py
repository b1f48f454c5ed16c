"""The simulated year: played by the test that changes it, closed once for those that only read its packs."""

from __future__ import annotations

import itertools
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import Engine

from backend.closing.service import Closed
from backend.db.engine import connect, make_single_engine
from backend.db.guards import APP, OWNER
from backend.db.migrate import grant_database
from estate.embedded.postgres import EmbeddedPostgres
from tests.integration.closing.story import play
from tests.integration.closing.year import Year
from tests.integration.conftest import PASSWORDS, Database
from tests.known_faces import faces_in_database

MONTHS_CLOSED = 3


@pytest.fixture
def year(engine: Engine) -> Year:
    """The estate on the first day of the year; nothing has happened yet."""
    year = Year(engine)
    year.build()
    return year


@dataclass(frozen=True)
class ClosedYear:
    """Twelve months with every kind of voucher, each closed."""

    year: Year
    closed: list[Closed]


@pytest.fixture(scope="session")
def closed_year(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClosedYear]:
    """The whole year, month by month: played, stated by the other side, closed. To be read only."""
    name = f"closed_year_{os.getpid()}"
    with connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(migrated_template), sql.Identifier(OWNER)
            )
        )
        grant_database(connection, name)
    year = Year(make_single_engine(postgres.dsn(name, APP, PASSWORDS[APP])))
    year.build()
    out = tmp_path_factory.mktemp("packs")
    closed = []
    for month in range(1, 13):
        play(year, month)
        closed.append(year.close(month, out))
    yield ClosedYear(year, closed)
    year.engine.dispose()
    assert faces_in_database(postgres.dsn(name)) == []


@pytest.fixture
def config(database: Database, tmp_path: Path) -> Path:
    """The configuration of the commands; packs are filed in `packs` beside it."""
    path = tmp_path / "backend.toml"
    path.write_text(
        f"[database]\nurl = '{database.app_url}'\n[secrets]\nsession_key_file = 'x'\nmaster_key_file = 'x'\n"
        f"[closing]\npacks_folder = '{tmp_path / 'packs'}'\n"
    )
    return path


@pytest.fixture
def unpacked(closed_year: ClosedYear, tmp_path: Path) -> Path:
    """A folder with one month's pack, to be spoiled."""
    numbers = itertools.count()
    folder = tmp_path / f"pack-{next(numbers)}"
    with zipfile.ZipFile(closed_year.closed[8].path) as package:
        package.extractall(folder)
    return folder
