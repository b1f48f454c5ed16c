"""The roster copy on disk: what lets doors be answered after a restart without the backend."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

from gateway.roster import EstateRoster, Item

_SCHEMA = """
CREATE TABLE IF NOT EXISTS item (
    estate TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, doc TEXT NOT NULL,
    PRIMARY KEY (estate, kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursor (estate TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
"""


class RosterStore:
    """Documents and cursor of each estate in one SQLite file; a change is written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()  # one estate's thread at a time
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)

    def load(self, estate: str) -> EstateRoster:
        """The estate as it was when we last heard of it."""
        roster = EstateRoster(estate)
        rows = self._db.execute("SELECT kind, id, version, doc FROM item WHERE estate = ?", (estate,))
        items = [Item(kind, id, version, doc.encode()) for kind, id, version, doc in rows]
        roster.apply(items, self.version(estate))
        return roster

    def version(self, estate: str) -> int:
        """The cursor: everything up to it is in the store."""
        row = self._db.execute("SELECT version FROM cursor WHERE estate = ?", (estate,)).fetchone()
        return int(row[0]) if row else 0

    def save(self, estate: str, items: Iterable[Item], version: int, *, anew: bool = False) -> None:
        """Write changes and the new cursor in one transaction.

        Args:
            estate: whose.
            items: the changes.
            version: the new cursor.
            anew: forget everything of the estate first.
        Raises:
            sqlite3.Error: the disk is full or broken; nothing was changed.
        """
        items = list(items)
        gone = [(estate, item.kind, item.id) for item in items if item.doc is None]
        kept = [
            (estate, item.kind, item.id, item.version, item.doc.decode())
            for item in items
            if item.doc is not None
        ]
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if anew:
                    self._db.execute("DELETE FROM item WHERE estate = ?", (estate,))
                self._db.executemany("DELETE FROM item WHERE estate = ? AND kind = ? AND id = ?", gone)
                self._db.executemany("INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?, ?)", kept)
                self._db.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (estate, version))
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()
