"""Brings a PostgreSQL server to life for the estate: roles, database, tables."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import alembic.command
import psycopg
from alembic.config import Config
from psycopg import sql
from sqlalchemy import text

from backend.db import guards
from backend.db.engine import connect, make_single_engine

ROLES = (guards.OWNER, guards.APP, guards.READER)
# Any number, the same in every process that migrates: the second one waits for the first.
MIGRATION_LOCK = 7_205_221


def bootstrap(superuser_url: str, database: str, passwords: Mapping[str, str]) -> None:
    """Create the three roles and the database, or bring existing ones in line; safe to repeat.

    Args:
        superuser_url: libpq connection string of a role that may create roles and databases.
        database: its name.
        passwords: by role name; a role that is left out keeps its password, or has none.
    """
    with connect(superuser_url, autocommit=True) as connection:
        for role in ROLES:
            _ensure_role(connection, role, passwords.get(role))
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
        if known is None:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
                    sql.Identifier(database), sql.Identifier(guards.OWNER)
                )
            )
        grant_database(connection, database)


def grant_database(connection: psycopg.Connection[tuple[object, ...]], database: str) -> None:
    """Let only the three roles connect to `database`; a copy made from a template needs it again."""
    name = sql.Identifier(database)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    roles = sql.SQL(", ").join(sql.Identifier(role) for role in ROLES)
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, roles))


def migrate(owner_url: str, revision: str = "head") -> None:
    """Run the migrations up to `revision` as the owner; two at the same time do it once."""
    engine = make_single_engine(owner_url)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        config = Config()
        config.set_main_option("script_location", str(resources.files("backend.db.migrations")))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)


def _ensure_role(connection: psycopg.Connection[tuple[object, ...]], role: str, password: str | None) -> None:
    name = sql.Identifier(role)
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    connection.execute(
        sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION").format(
            name
        )
    )
    if password is not None:
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(password)))
