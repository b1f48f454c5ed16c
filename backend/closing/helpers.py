"""Long work on all cores: helper processes for what is worth the half second that one takes to start."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

# Fewer rows are written, or checked, before a helper would have started.
ROWS_WORTH_A_HELPER = 20_000

Made = TypeVar("Made")


class Helpers:
    """A context manager; what was started inside is done, or has failed, when it is left."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._waiting = ThreadPoolExecutor()

    def __enter__(self) -> Helpers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.shutdown()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=error is not None)

    def start(self, rows: int, work: Callable[..., Made], *arguments: Any) -> Future[Made]:
        """Do something of so many rows: here and now when they are few, otherwise in a helper."""
        if rows < ROWS_WORTH_A_HELPER:
            done: Future[Made] = Future()
            done.set_result(work(*arguments))
            return done
        if self._pool is None:
            # Spawned, not forked: the connection to the database is nobody else's.
            spawn = multiprocessing.get_context("spawn")
            # What a helper makes is done with at once or stays: nothing in it is worth looking for.
            self._pool = ProcessPoolExecutor(os.cpu_count(), spawn, initializer=gc.disable)
        return self._pool.submit(work, *arguments)

    def wait(self, work: Callable[..., Made], *arguments: Any) -> Future[Made]:
        """Do something that only waits for another program, beside everything else."""
        return self._waiting.submit(work, *arguments)
