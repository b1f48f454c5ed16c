"""Seals: numbers and hashes for entries, shortly after their commit.

PostgreSQL does the sealing (`seal_pending` in `0018_sealing.sql`), set by set; here is who calls it.
A notification at each commit would make all commits of the database wait for each other, so the sealer
looks by itself, with each of its two threads twice a second: a look at nothing costs 0.2 ms. While entries
arrive it also asks for the last one's number, and seals at once when that stands still: what a rush left
behind does not wait, and the rush itself is sealed in large sets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from sqlalchemy import Connection, text

AT_ONCE = 5_000
LANES = 2
LOOK_EVERY_S = 0.5
QUIET_S = 0.05
SEAL = "SELECT seal_pending(%s, %s)"
LAST_NUMBER = "SELECT last_value FROM journal_entry_entry_id_seq"

log = structlog.get_logger()


def seal_book(connection: Connection, book_id: str) -> int:
    """Seal all of a book, what the caller's own transaction has posted included; how much it was.

    Waits for whoever posts to the book or seals in it; others wait until the caller's transaction ends.
    """
    return int(connection.execute(text("SELECT seal_book(:book)"), {"book": book_id}).scalar_one())


class Sealer:
    """Threads that seal what is committed, each over a connection of its own.

    Books are sealed in two lanes, so that two threads share the work; more of them, and those of other
    processes, take turns. One that is killed leaves nothing half done, and the other looks after both lanes.

    Args:
        connect: opens an autocommit connection of psycopg.
    """

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[Any]],
        *,
        look_every_s: float = LOOK_EVERY_S,
        at_once: int = AT_ONCE,
    ) -> None:
        self._connect, self._look_every_s, self._at_once = connect, look_every_s, at_once
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self.run, args=(lane,), name=f"sealer-{lane}", daemon=True)
            for lane in range(LANES)
        ]

    def start(self) -> None:
        """Begin, in threads of its own."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the sets at hand and end the threads."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def run(self, first_lane: int = 0) -> None:
        """Seal until `stop` is called; a lost database is waited for.

        Args:
            first_lane: the one to begin with.
        """
        while not self._stopping.is_set():
            try:
                with self._connect() as connection:
                    self._work(connection, first_lane)
            except psycopg.Error as error:
                is_away = isinstance(error, psycopg.OperationalError)
                event = "sealer_without_database" if is_away else "sealing_refused"
                log.warning(event, error=type(error).__name__, constraint=error.diag.constraint_name)
                # What the one refuses is no reason to leave the other.
                first_lane = (first_lane + 1) % LANES
                self._stopping.wait(1)

    def _work(self, connection: psycopg.Connection[Any], lane: int) -> None:
        last_number = sealed_number = None
        sealed = 0
        due_s = time.monotonic()
        while not self._stopping.is_set():
            (number,) = connection.execute(LAST_NUMBER).fetchone() or (0,)
            now_s, sealed_before, sealed = time.monotonic(), sealed, 0
            if now_s >= due_s or number == last_number != sealed_number:
                (sealed,) = connection.execute(SEAL, [self._at_once, lane]).fetchone() or (0,)
                lane = (lane + 1) % LANES  # None is left out for long, also where only one thread is left.
                if max(sealed, sealed_before) >= self._at_once:
                    continue  # There is more, in this lane or in the one before.
                sealed_number, due_s = number, now_s + self._look_every_s
            last_number = number
            is_busy = sealed > 0 or number != sealed_number
            rest_s = due_s - time.monotonic()
            self._stopping.wait(min(QUIET_S, rest_s) if is_busy else rest_s)
