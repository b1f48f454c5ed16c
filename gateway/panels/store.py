"""What each panel holds, on disk: whoever may be on a panel is in here before the panel is told."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from gateway.drivers import Address
from gateway.panels.lease import Held

PANELS_FILE = "panels.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS held (
    estate TEXT NOT NULL, device TEXT NOT NULL, person TEXT NOT NULL, until_s REAL NOT NULL,
    state TEXT NOT NULL, since_s REAL NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (estate, device, person)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS panel (
    estate TEXT NOT NULL, device TEXT NOT NULL, reconciled_s REAL NOT NULL DEFAULT 0,
    missing INTEGER NOT NULL DEFAULT 0, extra INTEGER NOT NULL DEFAULT 0,
    nameless INTEGER NOT NULL DEFAULT 0, asked INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (estate, device)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erased (
    seq INTEGER PRIMARY KEY, estate TEXT NOT NULL, device TEXT NOT NULL, person TEXT NOT NULL,
    since_s REAL NOT NULL, erased_s REAL NOT NULL
);
"""


class Reconciled(Struct, frozen=True):
    """What the last comparison with a panel's own list has found, and mended."""

    at_s: float = 0.0  # 0: never
    missing: int = 0
    extra: int = 0
    nameless: int = 0
    asked: bool = False  # somebody asks for another one


class Erased(Struct, frozen=True):
    """A panel has confirmed that a person is gone from it."""

    seq: int
    estate: str
    device: str
    person: str
    since_s: float  # it was told first
    erased_s: float


class PanelStore:
    """One SQLite file; may be used from any thread, and read by other processes."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self.changes = 0  # counts what is written through this object
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)

    def panels(self) -> list[Address]:
        """Every panel that anything is known of."""
        rows = self._all("SELECT estate, device FROM held UNION SELECT estate, device FROM panel")
        return sorted(Address(*row) for row in rows)

    def held(self, address: Address) -> dict[str, Held]:
        """Whom a panel may hold."""
        rows = self._all(
            "SELECT person, until_s, state, since_s, reason FROM held WHERE estate = ? AND device = ?",
            address,
        )
        return {row[0]: Held(*row) for row in rows}

    def put(self, address: Address, people: Iterable[Held]) -> None:
        """Write down what is known of these people on a panel."""
        rows = [(*address, one.person, one.until_s, one.state, one.since_s, one.reason) for one in people]
        with self._writing() as db:
            db.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def drop(self, address: Address, people: Iterable[str]) -> None:
        """These were never taken by the panel."""
        with self._writing() as db:
            db.executemany(
                "DELETE FROM held WHERE estate = ? AND device = ? AND person = ?",
                [(*address, person) for person in people],
            )

    def erase(self, address: Address, people: Iterable[str], now_s: float) -> None:
        """The panel has confirmed that these are gone."""
        with self._writing() as db:
            for person in people:
                whose = (*address, person)
                db.execute(
                    "INSERT INTO erased (estate, device, person, since_s, erased_s)"
                    " SELECT estate, device, person, since_s, ? FROM held"
                    " WHERE estate = ? AND device = ? AND person = ?",
                    (now_s, *whose),
                )
                db.execute("DELETE FROM held WHERE estate = ? AND device = ? AND person = ?", whose)

    def erased(self, limit: int = 500) -> list[Erased]:
        """Confirmed erasures that the backend has not been told of."""
        return [Erased(*row) for row in self._all("SELECT * FROM erased ORDER BY seq LIMIT ?", (limit,))]

    def told(self, seq: int) -> None:
        """The backend has those up to this one."""
        if not seq:
            return
        with self._writing() as db:
            db.execute("DELETE FROM erased WHERE seq <= ?", (seq,))

    def reconciled(self, address: Address) -> Reconciled:
        """What the last comparison has found."""
        rows = self._all(
            "SELECT reconciled_s, missing, extra, nameless, asked FROM panel WHERE estate = ? AND device = ?",
            address,
        )
        if not rows:
            return Reconciled()
        at_s, missing, extra, nameless, asked = rows[0]
        return Reconciled(at_s, missing, extra, nameless, bool(asked))

    def put_reconciled(self, address: Address, found: Reconciled) -> None:
        """Keep it."""
        with self._writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO panel VALUES (?, ?, ?, ?, ?, ?, 0)",
                (*address, found.at_s, found.missing, found.extra, found.nameless),
            )

    def ask(self, addresses: Iterable[Address]) -> None:
        """Have these compared with their own lists soon; the running gateway sees it."""
        with self._writing() as db:
            db.executemany(
                "INSERT INTO panel (estate, device, asked) VALUES (?, ?, 1)"
                " ON CONFLICT DO UPDATE SET asked = 1",
                list(addresses),
            )

    def counts(self) -> Mapping[Address, int]:
        """How many people each panel may hold."""
        rows = self._all("SELECT estate, device, count(*) FROM held GROUP BY estate, device")
        return {Address(row[0], row[1]): row[2] for row in rows}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _all(self, query: str, values: Iterable[object] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(query, tuple(values)).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
                self.changes += 1
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
