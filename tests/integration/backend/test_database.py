"""The database itself: roles, migrations, and what it refuses whoever asks."""

from __future__ import annotations

import threading

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, Text, text
from sqlalchemy.dialects.postgresql.base import ischema_names

import backend.app  # declares every table
import backend.ledger.tables
from backend.db import metadata
from backend.db.engine import connect, make_single_engine
from backend.db.guards import APP, OWNER, READER
from backend.db.migrate import bootstrap, migrate
from estate.embedded.postgres import EmbeddedPostgres
from tests.integration.conftest import PASSWORDS, Database

AUDIT = (
    "INSERT INTO audit_record (at, actor, action, outcome, object_kind, object_id, reason)"
    " VALUES (now(), 'system:test', 'try', 'done', 'thing', '1', '')"
)
ATTACKS = (
    "UPDATE audit_record SET reason = 'else'",
    "DELETE FROM audit_record",
    "TRUNCATE audit_record",
    "TRUNCATE audit_record, estate CASCADE",
    "SET session_replication_role = replica; DELETE FROM audit_record",
)


def test_tables_in_python_are_those_of_the_migrations(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SQLAlchemy's list of PostgreSQL's types lacks these; tables that are not compared may be read as well.
    monkeypatch.setitem(ischema_names, "xid8", backend.ledger.tables.XID8)
    monkeypatch.setitem(ischema_names, "pg_snapshot", Text)
    with make_single_engine(database.owner_url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _is_declared})
        assert compare_metadata(context, metadata) == []


def _is_declared(name: str | None, kind: str, _: object) -> bool:
    return kind != "table" or name in metadata.tables


@pytest.mark.parametrize("role", ["app", "owner"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_audit_log_refuses_changes_by_raw_sql(database: Database, role: str, attack: str) -> None:
    with connect(database.owner_url, autocommit=True) as owner:
        owner.execute(AUDIT)
        url = database.app_url if role == "app" else database.owner_url
        with connect(url, autocommit=True) as connection, pytest.raises(psycopg.Error) as refused:
            connection.execute(attack)
        assert refused.value.sqlstate in {"23001", "42501"}  # restrict_violation, insufficient_privilege
        assert owner.execute("SELECT count(*), min(reason) FROM audit_record").fetchone() == (1, "")


def test_a_superuser_in_replica_mode_still_meets_the_guard(database: Database) -> None:
    with connect(database.superuser_url, autocommit=True) as connection:
        connection.execute(AUDIT)
        connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute("DELETE FROM audit_record")


def test_a_published_notice_never_changes(database: Database) -> None:
    with connect(database.owner_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO consent_notice VALUES ('open_doors', 1, 'h', 'c', 'p', 'm', 'r', 'e', 'x', now())"
        )
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute("UPDATE consent_notice SET retention = 'for ever'")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "DROP TABLE audit_record",
        "ALTER TABLE audit_record DISABLE TRIGGER ALL",
        "TRUNCATE access_record",
        "DELETE FROM access_record",
        "DELETE FROM consent",
        "UPDATE card SET hmac = ''",
        "UPDATE principal SET login = 'root'",
    ],
)
def test_the_application_owns_nothing(database: Database, statement: str) -> None:
    with (
        connect(database.app_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT password_hash FROM principal",
        "SELECT * FROM login_session",
        "SELECT secret_sha256 FROM gateway_credential",
        "SELECT hmac_key_sealed FROM estate",
        "SELECT * FROM rate_limit",
        "INSERT INTO door_group VALUES ('x', 'y')",
        "SELECT ensure_access_partition(now())",
    ],
)
def test_the_reader_sees_no_secret_and_writes_nothing(database: Database, query: str) -> None:
    with connect(database.reader_url, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM audit_record").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(query)


def test_nobody_else_may_connect(database: Database) -> None:
    with connect(database.superuser_url, autocommit=True) as connection:
        granted = connection.execute(
            "SELECT has_database_privilege('pg_read_all_data', current_database(), 'CONNECT')"
        ).fetchone()
    assert granted == (False,)


def test_bootstrap_and_migrations_may_be_repeated_and_run_at_the_same_time(
    postgres: EmbeddedPostgres,
) -> None:
    name = "bootstrapped_twice"
    for _ in range(2):
        bootstrap(postgres.dsn(), name, PASSWORDS)
    owner_url = postgres.dsn(name, OWNER, PASSWORDS[OWNER])
    failures: list[Exception] = []

    def run() -> None:
        try:
            migrate(owner_url)
        except Exception as error:
            failures.append(error)

    both = [threading.Thread(target=run) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert failures == []
    with connect(postgres.dsn(name), autocommit=True) as connection:
        roles = connection.execute(
            "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = ANY(%s)",
            [[OWNER, APP, READER]],
        ).fetchall()
    assert len(roles) == 3
    assert not any(flag for role in roles for flag in role[1:])


def test_a_failed_statement_does_not_tell_its_values(engine: Engine) -> None:
    query = text("SELECT CAST(:value AS integer)")
    with pytest.raises(Exception) as failed, engine.begin() as connection:  # noqa: PT011
        connection.execute(query, {"value": ["someone's secret"]})
    assert "[SQL parameters hidden" in str(failed.value)
