"""Housekeeping beside the journal's writing: checkpoints, forgetting what is old, and how full it is."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from msgspec import Struct

from gateway.journal import Journal
from gateway.journal_store import AskedRelease, AskedReplay, Fill, JournalStore

KEYS_DAYS = 90
EVERY_S = 1.0
LOG_BYTES_CHECKPOINT = 4 << 20
LOG_BYTES_RESTART = 64 << 20  # under steady load the log is never quite empty; then writers wait once
FREE_SHARE_MIN = 0.05  # below this the disk is nearly full: forwarded records go before their time
FILL_ALARM = 0.8
_ROWS_A_STEP = 1_000
_STEPS_A_ROUND = 5

log = structlog.get_logger()


class Buffer(Struct, frozen=True):
    """The journal as a buffer against a backend that is away."""

    hours: int
    fill: float  # 0 empty … 1 the oldest waiting record is as old as the buffer is meant to hold
    free_bytes: int
    file_bytes: int
    nearly_full: bool
    rows: Fill


class JournalKeeper:
    """A thread of its own, with its own connection for checkpoints and counts.

    Deleting is left to the journal's thread, in small steps between its commits.

    Args:
        path: the journal's file.
        hours: how long forwarded records are kept, and how long a backend may be away.
        journal: the writer.
        now: UTC.
    """

    on_time_reset: Callable[[], None] | None = None  # somebody has asked that the noted time be forgotten
    on_release: Callable[[AskedRelease], None] | None = None  # or that doors be released
    on_replay: Callable[[AskedReplay], None] | None = None  # or that records be sent once more

    def __init__(self, path: Path, hours: int, journal: Journal, now: Callable[[], datetime]) -> None:
        self._path, self.hours, self._journal, self._now = path, hours, journal, now
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-keeper", daemon=True)
        self._store = JournalStore(path)
        self._key = ""
        self._keys_done_on: datetime | None = None
        self.buffer = self._measure()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; the log is folded into the file so that the next start is quick."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._store.checkpoint(restart=True)
        except sqlite3.Error as error:
            log.warning("journal_checkpoint_failed", reason=str(error))
        self._store.close()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self.step()
            except (sqlite3.Error, OSError) as error:
                log.warning("journal_keeping_failed", reason=str(error))

    def step(self) -> None:
        """One round of everything, each in a small portion."""
        log_bytes = _size(self._path.with_name(self._path.name + "-wal"))
        if log_bytes > LOG_BYTES_CHECKPOINT:
            self._store.checkpoint(restart=log_bytes > LOG_BYTES_RESTART)
        was_nearly_full = self.buffer.nearly_full
        self.buffer = self._measure()
        if self.buffer.nearly_full and not was_nearly_full:
            log.error("journal_nearly_full", fill=self.buffer.fill, free_bytes=self.buffer.free_bytes)
        if self.on_time_reset is not None and self._store.wants_time_reset():
            self.on_time_reset()
        if self.on_release is not None and (asked := self._store.asked_release()) is not None:
            self.on_release(asked)
        if self.on_replay is not None and (again := self._store.asked_replay()) is not None:
            self.on_replay(again)
        now = self._now()
        tight = self.buffer.free_bytes < FREE_SHARE_MIN * shutil.disk_usage(self._path.parent).total
        before = now if tight else now - timedelta(hours=self.hours)
        self._journal.do(lambda store: _purge_records(store, before))
        if self._keys_done_on is None or now - self._keys_done_on > timedelta(days=1):
            self._journal.do(self._purge_keys)

    def _purge_keys(self, store: JournalStore) -> None:
        today = self._now()
        oldest_kept = int(today.timestamp() // 86_400) - KEYS_DAYS
        last = store.purge_keys(self._key, oldest_kept, _ROWS_A_STEP)
        self._key = last or ""
        if last is None:
            self._keys_done_on = today

    def _measure(self) -> Buffer:
        rows = self._store.fill()
        age = self._now() - rows.oldest_unforwarded_at if rows.oldest_unforwarded_at else timedelta(0)
        fill = max(0.0, age / timedelta(hours=self.hours))
        disk = shutil.disk_usage(self._path.parent)
        return Buffer(
            hours=self.hours,
            fill=round(fill, 4),
            free_bytes=disk.free,
            file_bytes=_size(self._path),
            nearly_full=fill > FILL_ALARM or disk.free < FREE_SHARE_MIN * disk.total,
            rows=rows,
        )


def _purge_records(store: JournalStore, before: datetime) -> None:
    for _ in range(_STEPS_A_ROUND):
        if not store.purge_records(before, _ROWS_A_STEP):
            break
    store.purge_set_aside(before)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
