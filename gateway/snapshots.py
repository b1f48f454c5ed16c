"""Photographs by a door's own camera, while somebody is being enrolled, asked for by the kiosk.

The kiosk and the gateway are two processes; a file of the box lies between them. What a door's camera
sends while it is asked for is sealed under the vault's key, shown to the clerk, and gone after enrolment or
with the request's end. The door answers whoever stands before it as always.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from gateway.drivers import Address
from gateway.sealing import SealBrokenError, seal, unseal

SHELF_FILE = "snapshots.db"
ASKED_FOR_S = 120.0
SNAPSHOTS_MAX = 5
LOOK_EVERY_S = 0.3

_SCHEMA = """
CREATE TABLE IF NOT EXISTS request (
    request_id TEXT PRIMARY KEY, estate TEXT NOT NULL, device TEXT NOT NULL, person TEXT NOT NULL,
    ends_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS snapshot (
    request_id TEXT NOT NULL REFERENCES request ON DELETE CASCADE,
    number INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (request_id, number)
);
"""

log = structlog.get_logger()


class SnapshotShelf:
    """The file between the two. Any thread may call, and several processes may have it open.

    Args:
        path: made, readable by its owner alone, if it is not there.
        key: the vault's, 32 bytes.
    Raises:
        sqlite3.Error, OSError: it cannot be opened.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._key = key
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            # Nothing here is worth a power cut, and nothing freed may stay readable.
            self._db.executescript(
                "PRAGMA journal_mode=MEMORY; PRAGMA secure_delete=ON; PRAGMA foreign_keys=ON;" + _SCHEMA
            )
        except BaseException:
            self._db.close()
            raise

    def ask(self, address: Address, person_id: str, now_s: float) -> str:
        """Ask a door's camera for pictures of somebody; the request's id.

        Earlier requests to the same door are given up, with what they got.
        """
        request_id = uuid.uuid4().hex
        with self._lock, self._db:
            self._db.execute("DELETE FROM request WHERE (estate, device) = (?, ?)", address)
            self._db.execute(
                "INSERT INTO request VALUES (?, ?, ?, ?, ?)",
                (request_id, *address, person_id, now_s + ASKED_FOR_S),
            )
        return request_id

    def asked(self, now_s: float) -> dict[Address, str]:
        """The doors whose pictures are wanted now, and for which request. What is over is deleted."""
        with self._lock:
            if self._db.execute("SELECT 1 FROM request WHERE ends_at <= ?", (now_s,)).fetchone():
                self._db.execute("DELETE FROM request WHERE ends_at <= ?", (now_s,))
            rows = self._db.execute("SELECT estate, device, request_id FROM request").fetchall()
        return {Address(estate, device): request_id for estate, device, request_id in rows}

    def put(self, request_id: str, image: bytes) -> None:
        """Keep a picture for a request, if it is still asked for and has not got enough."""
        with self._lock:
            row = self._db.execute(
                "SELECT request_id, (SELECT count(*) FROM snapshot WHERE request_id = ?1) FROM request "
                "WHERE request_id = ?1",
                (request_id,),
            ).fetchone()
            if row is None or row[1] >= SNAPSHOTS_MAX:
                return
            sealed = seal(self._key, image, "snapshot", request_id, row[1])
            self._db.execute("INSERT OR IGNORE INTO snapshot VALUES (?, ?, ?)", (request_id, row[1], sealed))

    def pictures(self, request_id: str, estate_id: str, person_id: str) -> list[bytes] | None:
        """What a request has got so far, oldest first; None when it is over, or is another person's."""
        with self._lock:
            known = self._db.execute(
                "SELECT 1 FROM request WHERE (request_id, estate, person) = (?, ?, ?)",
                (request_id, estate_id, person_id),
            ).fetchone()
            rows = self._db.execute(
                "SELECT number, sealed FROM snapshot WHERE request_id = ? ORDER BY number", (request_id,)
            ).fetchall()
        if known is None:
            return None
        found = []
        for number, sealed in rows:
            try:
                found.append(unseal(self._key, sealed, "snapshot", request_id, number))
            except SealBrokenError:
                log.error("snapshot_broken", request=request_id)
        return found

    def drop(self, request_id: str) -> None:
        """End a request and destroy what it got."""
        with self._lock:
            self._db.execute("DELETE FROM request WHERE request_id = ?", (request_id,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


class SnapshotKeeper(threading.Thread):
    """The gateway's side: knows which doors are asked, and puts away what they send.

    Args:
        shelf: the file; closed with the thread.
        now_s: seconds since 1970.
    """

    def __init__(self, shelf: SnapshotShelf, now_s: Callable[[], float]) -> None:
        super().__init__(name="snapshots", daemon=True)
        self._shelf, self._now_s = shelf, now_s
        self._asked: dict[Address, str] = {}
        self._waiting: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self._stopped = False

    def offer(self, address: Address, images: Sequence[bytes]) -> None:
        """Pictures that a door has sent; kept only where they are asked for. For the loop; never waits."""
        request_id = self._asked.get(address)
        if request_id is not None:
            for image in images:
                self._waiting.put((request_id, image))

    def run(self) -> None:
        """Look, put away, wait."""
        while not self._stopped:
            try:
                self._asked = self._shelf.asked(self._now_s())
                self._put_away()
            except sqlite3.Error:
                log.exception("snapshots_not_kept")
                self._asked = {}
                threading.Event().wait(LOOK_EVERY_S)
        self._shelf.close()

    def stop(self) -> None:
        """End."""
        self._stopped = True
        self._waiting.put(None)
        if self.is_alive():
            self.join()

    def _put_away(self) -> None:
        try:
            offered = self._waiting.get(timeout=LOOK_EVERY_S)
            while offered is not None:
                self._shelf.put(*offered)
                offered = self._waiting.get_nowait()
        except queue.Empty:
            return
