"""The vault's file: an SQLite database whose rows mean nothing without the vault's key."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS data_key (
    estate TEXT NOT NULL, person TEXT NOT NULL, wrapped BLOB NOT NULL, PRIMARY KEY (estate, person)
);
CREATE TABLE IF NOT EXISTS template (
    estate TEXT NOT NULL, person TEXT NOT NULL, encoder TEXT NOT NULL, photos INTEGER NOT NULL,
    sealed BLOB NOT NULL, stored_at TEXT NOT NULL, PRIMARY KEY (estate, person, encoder)
);
CREATE TABLE IF NOT EXISTS photograph_key (
    estate TEXT NOT NULL, person TEXT NOT NULL, wrapped BLOB NOT NULL, PRIMARY KEY (estate, person)
);
CREATE TABLE IF NOT EXISTS photograph (
    estate TEXT NOT NULL, person TEXT NOT NULL, sealed BLOB NOT NULL, stored_at TEXT NOT NULL,
    PRIMARY KEY (estate, person)
);
CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY, sealed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS duplicate (
    case_id TEXT PRIMARY KEY, estate TEXT NOT NULL, person TEXT NOT NULL, resembles TEXT NOT NULL,
    found_at TEXT NOT NULL, operator TEXT NOT NULL,
    settled_at TEXT, decision TEXT, settled_by TEXT, reason TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS duplicate_pair ON duplicate (estate, person, resembles);
CREATE TABLE IF NOT EXISTS erasure (
    certificate_id TEXT PRIMARY KEY, person TEXT NOT NULL, body BLOB NOT NULL, signature BLOB
);
"""


class VaultStore:
    """One connection, usable from any thread, one transaction at a time.

    Args:
        path: the file; made, readable by its owner alone, if it is not there.
    Raises:
        sqlite3.Error, OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # SQLite gives its side files the mode of the main one.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            # Freed space is overwritten, so that nothing erased is left in the file.
            self._connection.execute("PRAGMA secure_delete=ON")
            self._connection.executescript(SCHEMA)
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the file."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on disk when it ends; counts up the version that other processes look at."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'version'")
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def version(self) -> int:
        """Counts up with every write of any process."""
        with self._lock:
            row = self._connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        return int(row[0]) if row else 0

    def clear_log(self) -> bool:
        """Bring everything into the main file and empty the write-ahead log; False when somebody reads."""
        with self._lock:
            busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
