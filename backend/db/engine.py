"""The one home of SQLAlchemy's engine."""

from __future__ import annotations

from pathlib import Path

import psycopg
import sqlalchemy
from sqlalchemy import Engine
from sqlalchemy.pool import NullPool

from backend.settings import DatabaseSettings
from estate.config import read_secret

# A statement that takes longer than this is a mistake or a stuck lock; the caller gets an error, not silence.
OPTIONS = "-c timezone=UTC -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"


def make_engine(settings: DatabaseSettings) -> Engine:
    """An engine with a pool; connects on first use.

    Connections run in READ COMMITTED: the roster's publishing relies on it (see `backend.registry.roster`).
    """
    url, password_file = settings.url, settings.password_file
    return sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(url, password_file),
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_timeout=10,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        # A failed statement's parameters may be a person's data: not in messages, so not in logs.
        hide_parameters=True,
    )


def make_single_engine(url: str) -> Engine:
    """An engine without a pool, for a command that runs once (migrations, bootstrap)."""
    return sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: connect(url), poolclass=NullPool)


def connect(
    url: str, password_file: str | None = None, *, autocommit: bool = False
) -> psycopg.Connection[tuple[object, ...]]:
    """Open one connection.

    Args:
        url: libpq's connection string, in either of its forms.
        password_file: one line with the password; None where the server asks for none.
    """
    password = read_secret(Path(password_file), "database.password_file") if password_file else None
    return psycopg.connect(
        url,
        password=password,
        options=OPTIONS,
        application_name="smart-estate",
        connect_timeout=10,
        autocommit=autocommit,
    )
