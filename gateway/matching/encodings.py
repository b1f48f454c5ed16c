"""Encoding for those who wait for an answer: enrolment, beside the pool that answers jobs as they finish."""

from __future__ import annotations

import select
import threading
from concurrent.futures import Future
from itertools import count
from pathlib import Path

from gateway.matching.encoder import EncodeResult, EncoderPool

# One person's photographs; the processes may have to be started first.
WAIT_S = 60.0
_LOOK_EVERY_S = 0.5


class EncoderBusyError(Exception):
    """Too many are being enrolled at the same time."""

    def __init__(self) -> None:
        super().__init__(
            "登记的人太多，请稍后再试一次  |  Too many are being enrolled at once; try again in a minute"
        )


class Encodings:
    """A pool of encoder processes of one's own. May be used from any thread.

    Args:
        workers: processes.
        queue_limit: how many may wait.
        model_file: as for the pool.
    Raises:
        FacesMissingError: the faces extra is not installed.
    """

    def __init__(self, workers: int, queue_limit: int, model_file: Path | None = None) -> None:
        self._pool = EncoderPool(workers, queue_limit, WAIT_S, model_file)
        self._waiting: dict[int, Future[EncodeResult]] = {}
        self._lock, self._jobs = threading.Lock(), count(1)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._hand_out, name="encodings", daemon=True)
        self._thread.start()

    def encode(self, photos: list[bytes]) -> EncodeResult:
        """The templates of one person's photographs, judged as for enrolment.

        Raises:
            EncoderBusyError: too many are waiting.
        """
        future: Future[EncodeResult] = Future()
        with self._lock:
            job = next(self._jobs)
            self._waiting[job] = future
        if not self._pool.submit(job, photos, enrolment=True):
            with self._lock:
                del self._waiting[job]
            raise EncoderBusyError
        return future.result()

    def close(self) -> None:
        """End the processes; whoever waits is answered that the encoder failed."""
        self._closing.set()
        self._thread.join()
        self._pool.close()
        self._answer(self._pool.results())

    def _hand_out(self) -> None:
        while not self._closing.is_set():
            if select.select([self._pool.wake_fd], [], [], _LOOK_EVERY_S)[0]:
                self._answer(self._pool.results())

    def _answer(self, results: list[EncodeResult]) -> None:
        for result in results:
            with self._lock:
                future = self._waiting.pop(result.job_id, None)
            if future is not None:
                future.set_result(result)
