"""Sealing in a test's own time, where no worker runs."""

from __future__ import annotations

from sqlalchemy import Connection, text


def seal_all(connection: Connection) -> int:
    """Seal what is committed, and what the caller's own transaction has posted; how much it was."""
    done = 0
    while sealed := connection.execute(text("SELECT seal_pending(5000)")).scalar_one():
        done += sealed
    return done
