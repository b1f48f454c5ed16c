"""The worker's loop: does what is due, then sleeps until it is woken or it is time to look again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg import sql
from sqlalchemy.exc import DBAPIError

# How soon a request to stop is noticed while nothing happens.
STOP_CHECK_S = 0.5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do: `run` does a little of it and returns how much; 0 when nothing is left for now."""

    name: str
    run: Callable[[datetime], int]


class Worker:
    """Runs jobs, one after the other, in one thread.

    A lost wake-up or a lost connection costs at most `poll_s`: what is due stands in the tables, and
    notifications only say that it may be worth looking.

    Args:
        channels: what to LISTEN to.
        connect: opens an autocommit connection of psycopg.
        clock: the present moment, UTC.
        poll_s: how long to sleep when nobody notifies.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        channels: Sequence[str],
        connect: Callable[[], psycopg.Connection[Any]],
        clock: Callable[[], datetime],
        poll_s: float,
    ) -> None:
        self._jobs, self._channels, self._connect = jobs, channels, connect
        self._clock, self._poll_s = clock, poll_s
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Finish the job at hand and return from `run`; may be called from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop` is called."""
        while not self._stopping.is_set():
            try:
                with self._connect() as connection:
                    for channel in self._channels:
                        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    self._work(connection)
            except (psycopg.Error, OSError) as error:
                # The jobs go on without wake-ups where they can; this is only the listening connection.
                log.warning("worker_not_listening", error=type(error).__name__)
                self._do_all()
                self._stopping.wait(self._poll_s)

    def _work(self, connection: psycopg.Connection[Any]) -> None:
        # First listen, then look: what is committed in between wakes us.
        while not self._stopping.is_set():
            self._do_all()
            self._sleep(connection)

    def _sleep(self, connection: psycopg.Connection[Any]) -> None:
        until = time.monotonic() + self._poll_s
        while not self._stopping.is_set() and (left := until - time.monotonic()) > 0:
            for _ in connection.notifies(timeout=min(left, STOP_CHECK_S), stop_after=1):
                return

    def _do_all(self) -> None:
        for job in self._jobs:
            while not self._stopping.is_set() and (done := self._do(job)):
                log.info("job_done", job=job.name, done=done)

    def _do(self, job: Job) -> int:
        try:
            return job.run(self._clock())
        except (DBAPIError, psycopg.Error) as error:
            log.warning("job_without_database", job=job.name, error=type(error).__name__)
        except Exception:
            log.exception("job_failed", job=job.name)
        return 0
