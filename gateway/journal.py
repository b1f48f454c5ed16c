"""The journal's thread: takes groups of entries from the loop, commits them, and says so.

The loop hands over what a batch of messages produced and goes on; all that waits when a commit has
returned goes into the next one. While the disk is full, broken or hanging nothing is confirmed: the
thread tries again and keeps what it holds. What comes beyond that is not taken; its devices, which were
never confirmed to, send it again.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

import structlog
from msgspec import Struct

from gateway.journal_store import Entry, Forwarded, JournalStore

RETRY_S = 0.5
HELD_ENTRIES_MAX = 20_000  # in memory while the disk takes nothing; flat however long that lasts
_DAY_S = 86_400

log = structlog.get_logger()


class Group:
    """What one batch of messages produced; the journal says what became of it."""

    __slots__ = ("entries", "known", "written")

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.written = False  # on the disk
        self.known: frozenset[int] = frozenset()  # indexes of entries that were there already


Chore: TypeAlias = Callable[[JournalStore], None]
_Job: TypeAlias = Group | Forwarded | Chore | None


class JournalState(Struct, frozen=True):
    """Whether the disk takes records."""

    ok: bool = True
    reason: str = ""
    since: datetime | None = None


class Journal:
    """The one writer of the journal.

    Args:
        open_store: opens the journal's file; called again after an error of the disk.
        done: called on the journal's thread with groups that are on the disk, or (`written` False, when
            closing with a broken disk) were given up; in the order they came.
        now_s: seconds since 1970.
    """

    def __init__(
        self,
        open_store: Callable[[], JournalStore],
        done: Callable[[list[Group]], None],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._open_store, self._done, self._now_s = open_store, done, now_s
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._store: JournalStore | None = open_store()
        self._retry_at_s = 0.0  # monotonic
        self._mark: Forwarded | None = None  # what the backend has answered and the disk has not taken yet
        self._taken = self._finished = (
            0  # entries; the loop counts the first, the journal's thread the second
        )
        self.state = JournalState()
        self.commits = 0
        self.rows = 0
        self.commit_s = 0.0  # of the last commit
        self.on_commit: Callable[[], None] | None = None  # told after each commit that wrote records

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    @property
    def held_entries(self) -> int:
        """Entries handed over and not yet on the disk."""
        return self._taken - self._finished

    def submit(self, group: Group) -> bool:
        """Hand over a group; the answer comes by `done`. False when too much is held already."""
        if self.held_entries + len(group.entries) > HELD_ENTRIES_MAX:
            return False
        self._taken += len(group.entries)
        self._jobs.put(group)
        return True

    def mark(self, mark: Forwarded) -> None:
        """Hand over what the backend has answered."""
        self._jobs.put(mark)

    def do(self, chore: Chore) -> None:
        """Run some housekeeping between two commits."""
        self._jobs.put(chore)

    def close(self) -> None:
        """Write all that was handed over, then end; what a broken disk does not take is given up."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        held: list[Group] = []
        chores: list[Chore] = []
        closing = False
        while not closing:
            closing = self._take(held, chores)
            due = closing or time.monotonic() >= self._retry_at_s
            if held and due:
                self._commit(held)
            if self._mark is not None and due:
                self._write_mark(self._mark)
            self._do(chores)
        if held:
            self._report(held)
        if self._store is not None:
            self._store.close()

    def _take(self, held: list[Group], chores: list[Chore]) -> bool:
        """Wait for jobs and take all there are; True when one of them says to close."""
        closing = False
        try:
            # After an error, what is held is tried again after a pause, with whatever has come till then.
            waits = held or self._mark is not None
            wait_s = max(0.0, self._retry_at_s - time.monotonic()) if waits else None
            job = self._jobs.get(timeout=wait_s)
            while True:
                if isinstance(job, Group):
                    held.append(job)
                elif isinstance(job, Forwarded):
                    self._mark = job if self._mark is None else self._mark.then(job)
                elif job is None:
                    closing = True
                else:
                    chores.append(job)
                job = self._jobs.get_nowait()
        except queue.Empty:
            return closing

    def _commit(self, held: list[Group]) -> None:
        """Write all that is held in one commit and report it."""
        entries = held[0].entries if len(held) == 1 else [entry for group in held for entry in group.entries]
        began_s = time.perf_counter()
        try:
            if self._store is None:
                self._store = self._open_store()
            known = self._store.write(entries, int(self._now_s() // _DAY_S))
        except sqlite3.Error as error:
            self._failed(error)
            return
        self.commit_s = time.perf_counter() - began_s
        self.commits += 1
        self.rows += len(entries)
        if not self.state.ok:
            log.warning("journal_writes_again", held_entries=len(entries))
            self.state = JournalState()
        start = 0
        for group in held:
            count = len(group.entries)
            if known:
                group.known = frozenset(at - start for at in known if start <= at < start + count)
            start += count
            group.written = True
        self._report(held)
        if self.on_commit is not None:
            self.on_commit()

    def _report(self, held: list[Group]) -> None:
        done = held[:]
        held.clear()
        self._finished += sum(len(group.entries) for group in done)
        self._done(done)

    def _failed(self, error: sqlite3.Error) -> None:
        if self.state.ok:
            log.error("journal_stalled", reason=str(error), held_entries=self.held_entries)
        since = self.state.since or datetime.fromtimestamp(self._now_s(), UTC)
        self.state = JournalState(False, str(error), since)
        self._retry_at_s = time.monotonic() + RETRY_S
        self._forget_connection()

    def _forget_connection(self) -> None:
        """A connection may be left unusable by an I/O error; a new one costs nothing here."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _write_mark(self, mark: Forwarded) -> None:
        """Note what the backend has answered; kept, all of it together, until the disk has taken it.

        Forgotten, a refused record in it would count as forwarded by the next mark, and be deleted.
        """
        try:
            if self._store is None:
                self._store = self._open_store()
            self._store.mark(mark)
        except sqlite3.Error as error:
            log.warning("journal_mark_waits", reason=str(error), seq=mark.seq)
            self._retry_at_s = time.monotonic() + RETRY_S
            self._forget_connection()
        else:
            self._mark = None

    def _do(self, chores: list[Chore]) -> None:
        """Housekeeping: doing it again loses nothing, so a failed one is left to its sender."""
        for chore in chores:
            if self._store is None:
                break
            try:
                chore(self._store)
            except sqlite3.Error as error:
                log.warning("journal_chore_failed", reason=str(error))
        chores.clear()
