"""Wakes the long polls of one web process as soon as a roster change is committed.

One connection LISTENs for the whole process; waiting requests hold no connection. While that connection
is down, waiting falls back to looking again at short intervals, so a lost database connection costs
latency and never a change.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import structlog

CHANNEL = "roster"
LOOK_AGAIN_S = 0.1  # how often a waiting request looks by itself while nobody listens for it
RECONNECT_S = 0.5
STOP_CHECK_S = 0.2

log = structlog.get_logger()


class RosterSignal:
    """Counts the changes of each estate; a request waits for the count to move.

    Args:
        connect: opens an autocommit connection of psycopg; called in the listening thread.
        waiting_max: how many requests may wait at a time, each of which occupies a thread.
    """

    def __init__(
        self, connect: Callable[[], psycopg.Connection[tuple[object, ...]]], waiting_max: int
    ) -> None:
        self._connect = connect
        self._places = threading.BoundedSemaphore(waiting_max)
        self._moved = threading.Condition()
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._listening = False
        self._waiting = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Room for one waiting request; False where all are taken."""
        found = self._places.acquire(blocking=False)
        try:
            yield found
        finally:
            if found:
                self._places.release()

    def ticket(self, estate_id: str) -> int:
        """The count to wait from; take it before looking at the roster, so that no change slips between."""
        self._ensure_thread()
        with self._moved:
            return self._counts[estate_id]

    def wait(self, estate_id: str, ticket: int, deadline: float) -> None:
        """Return when the estate's roster may have changed since `ticket`, or at `deadline` (monotonic)."""
        with self._moved:
            while self._counts[estate_id] == ticket and not self._stopping:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                if not self._listening:
                    self._moved.wait(min(left, LOOK_AGAIN_S))
                    return
                self._waiting += 1
                try:
                    self._moved.wait(left)
                finally:
                    self._waiting -= 1

    def is_waited_for(self) -> bool:
        """Whether a request waits now, with somebody listening for it."""
        with self._moved:
            return self._listening and self._waiting > 0

    def stop(self) -> None:
        """Wake everybody and end the listening thread."""
        with self._moved:
            self._stopping = True
            self._moved.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _ensure_thread(self) -> None:
        # On first use, not at start: a web server may fork after the application was made.
        with self._moved:
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="roster-signal", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("roster_signal_lost", error=type(error).__name__)
            self._set_listening(False)
            with self._moved:
                if not self._stopping:
                    self._moved.wait(RECONNECT_S)

    def _listen(self) -> None:
        with self._connect() as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            self._set_listening(True)
            while not self._stopping:
                for notice in connection.notifies(timeout=STOP_CHECK_S, stop_after=1):
                    self._count(notice.payload)

    def _set_listening(self, listening: bool) -> None:
        # What changed while nobody listened is unknown, so everybody looks again.
        with self._moved:
            self._listening = listening
            for estate_id in self._counts:
                self._counts[estate_id] += 1
            self._moved.notify_all()

    def _count(self, estate_id: str) -> None:
        with self._moved:
            self._counts[estate_id] += 1
            self._moved.notify_all()
