"""A fresh database for each test, copied from a migrated template, and the application over it."""

from __future__ import annotations

import base64
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from psycopg import sql
from sqlalchemy import Engine

from backend.app import create_app
from backend.db.engine import connect, make_engine
from backend.db.guards import APP, OWNER, READER
from backend.db.migrate import bootstrap, grant_database, migrate
from backend.identity import passwords
from backend.services import Services
from backend.settings import BackendSettings, DatabaseSettings, LoginSettings, NoticeSettings, SecretSettings
from estate.embedded.postgres import EmbeddedPostgres
from tests.known_faces import faces_in_database

TEMPLATE = "estate_template"
PASSWORDS = {OWNER: "owner-pw", APP: "app-pw", READER: "reader-pw"}
NOTICE = NoticeSettings(
    version=1,
    handler="示例中心",
    contact="0750-0000000",
    purpose_text="开门",
    method="模板存本地",
    retention="搬离即删",
    effect="不同意也能刷卡进出",
    rights="可随时撤回",
)
_numbers = itertools.count()


@dataclass(frozen=True)
class Database:
    """One test's database, and how each role reaches it."""

    name: str
    app_url: str
    owner_url: str
    reader_url: str
    superuser_url: str


@pytest.fixture(scope="session", autouse=True)
def cheap_password_hashes() -> Iterator[None]:
    """Real Argon2id at its lowest cost: at the real one, logins would be most of the tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> str:
    """The name of a database with all migrations, to be copied."""
    bootstrap(postgres.dsn(), TEMPLATE, PASSWORDS)
    migrate(postgres.dsn(TEMPLATE, OWNER, PASSWORDS[OWNER]))
    return TEMPLATE


@pytest.fixture
def database(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """A fresh copy of the template; searched for known faces afterwards, and dropped."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(migrated_template), sql.Identifier(OWNER)
            )
        )
        grant_database(connection, name)
        yield Database(
            name=name,
            app_url=postgres.dsn(name, APP, PASSWORDS[APP]),
            owner_url=postgres.dsn(name, OWNER, PASSWORDS[OWNER]),
            reader_url=postgres.dsn(name, READER, PASSWORDS[READER]),
            superuser_url=postgres.dsn(name),
        )
        faces = faces_in_database(postgres.dsn(name))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        assert faces == []


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    """The application's role on the test's database."""
    engine = make_engine(DatabaseSettings(url=database.app_url, pool_size=8, pool_overflow=24))
    yield engine
    engine.dispose()


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> BackendSettings:
    """A whole configuration for the test's database, with secrets of its own."""
    master, session = tmp_path / "master_key", tmp_path / "session_key"
    master.write_text(base64.b64encode(os.urandom(32)).decode())
    session.write_text(os.urandom(32).hex())
    return BackendSettings(
        database=DatabaseSettings(url=database.app_url),
        secrets=SecretSettings(session_key_file=str(session), master_key_file=str(master)),
        login=LoginSettings(),
        notice=NOTICE,
    )


@pytest.fixture
def app(settings: BackendSettings) -> Iterator[Flask]:
    """The application as it is served."""
    app = create_app(settings)
    yield app
    services: Services = app.extensions["estate"]
    services.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without a login."""
    return app.test_client()
