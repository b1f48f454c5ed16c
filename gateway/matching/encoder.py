"""A pool of processes that turn photographs into templates, with a bounded queue.

One thread keeps the processes: it starts them, hands out jobs, takes answers, and replaces a process that
died or took too long, whose job is answered with a reason. Every job that was taken is answered once.
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import structlog

from gateway.matching import wire
from gateway.matching.bell import Bell
from gateway.matching.encoder_worker import FacesMissingError, require_faces
from gateway.matching.templates import Floats

__all__ = ["EncodeResult", "EncoderPool", "FacesMissingError", "encoder_failed"]

JOB_SECONDS_MAX = 15.0
START_SECONDS_MAX = 30.0
# After so many failed starts in a row, jobs are refused for a while instead of starting for ever.
_STARTS_MAX = 3
_REST_SECONDS = 30.0
_FAILURES = frozenset({"encoder_failed", "encoder_missing"})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """The answer to one job.

    Attributes:
        job_id: as submitted.
        templates: float32, shape (usable pictures, dimension); None when no picture was usable.
        reason: why there are none; a code of `gateway.matching.quality.REASONS`.
        reasons: for each picture the code of what was wrong with it, or None.
    """

    job_id: int
    templates: Floats | None = field(repr=False)
    reason: str | None
    reasons: tuple[str | None, ...]


def encoder_failed(reason: str | None) -> bool:
    """Whether a reason means that the encoder failed, and not the photograph."""
    return reason in _FAILURES


@dataclass(slots=True)
class _Job:
    job_id: int
    images: list[bytes] = field(repr=False)
    enrolment: bool


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    channel: socket.socket
    deadline: float
    ready: bool = False
    job: _Job | None = None


class EncoderPool:
    """Encoder processes. Every method may be called from any thread.

    Args:
        workers: processes.
        queue_limit: jobs that may wait for one.
        job_seconds_max: a job that takes longer is given up, with its process.
        model_file: the description of an operator's own face model; the default encoder if None.
    Raises:
        FacesMissingError: the faces extra is not installed.
    """

    def __init__(
        self,
        workers: int,
        queue_limit: int,
        job_seconds_max: float = JOB_SECONDS_MAX,
        model_file: Path | None = None,
    ) -> None:
        require_faces()
        self._model_file = model_file
        self._size, self._queue_limit, self._job_seconds = workers, queue_limit, job_seconds_max
        self._lock = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._finished: deque[EncodeResult] = deque()
        self._closing = self._closed = False
        self._missing: str | None = None
        self._failed_starts = 0
        self._rest_until = 0.0
        self._workers: list[_Worker] = []
        self._results_bell, self._keeper_bell = Bell(), Bell()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._keeper_bell, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._keep, name="encoder-pool", daemon=True)
        self._thread.start()

    @property
    def wake_fd(self) -> int:
        """Readable while there are results to take."""
        return self._results_bell.fileno()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that are ready."""
        with self._lock:
            return tuple(worker.process.pid for worker in self._workers if worker.ready)

    def submit(self, job_id: int, images: list[bytes], *, enrolment: bool = False) -> bool:
        """Queue the pictures of one passage, or of one enrolment with its stricter quality.

        Returns:
            False: the queue is full, or the pool is closed; nothing will be answered.
        """
        with self._lock:
            if self._closing or len(self._waiting) >= self._queue_limit:
                return False
            self._waiting.append(_Job(job_id, images, enrolment))
            self._keeper_bell.ring()
        return True

    def results(self) -> list[EncodeResult]:
        """What has been finished since this was last asked; never blocks."""
        with self._lock:
            self._results_bell.silence()
            taken = list(self._finished)
            self._finished.clear()
        return taken

    def close(self) -> None:
        """End the processes; jobs that are under way are answered with a reason, and can still be taken."""
        with self._lock:
            if self._closed:
                return
            self._closed = self._closing = True
            self._keeper_bell.ring()
        self._thread.join()
        with self._lock:
            self._keeper_bell.close()
            self._results_bell.close()

    # The keeper's thread. It starts the processes itself: the kernel ends them with the thread that
    # started them, and this one lives as long as the pool.

    def _keep(self) -> None:
        try:
            while not self._closing:
                self._replace()
                self._assign()
                for key, _ in self._selector.select(self._patience()):
                    if key.data is None:
                        self._keeper_bell.silence()
                    else:
                        self._take(key.data)
                self._give_up_overdue()
        except Exception:
            log.exception("encoder_pool_failed")
        finally:
            with self._lock:
                self._closing = True
            for worker in list(self._workers):
                self._end(worker)
            self._refuse_waiting("encoder_failed")
            self._selector.close()

    def _replace(self) -> None:
        if self._missing is not None or time.monotonic() < self._rest_until:
            self._refuse_waiting("encoder_missing" if self._missing else "encoder_failed")
            return
        while len(self._workers) < self._size:
            worker = _start(self._model_file)
            with self._lock:
                self._workers.append(worker)
            self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _assign(self) -> None:
        for worker in list(self._workers):
            if not worker.ready or worker.job is not None:
                continue
            with self._lock:
                if not self._waiting:
                    return
                worker.job = self._waiting.popleft()
            worker.deadline = time.monotonic() + self._job_seconds
            worker.channel.settimeout(self._job_seconds)
            try:
                wire.send(worker.channel, wire.Job(worker.job.images, worker.job.enrolment))
            except OSError:
                self._end(worker)

    def _take(self, worker: _Worker) -> None:
        try:
            reply = wire.receive(worker.channel, wire.Reply)
        except TimeoutError:
            reply = None
        if reply is None:
            self._end(worker)
        elif reply.missing is not None:
            log.error("faces_missing", reason=reply.missing)
            self._missing = reply.missing
            self._end(worker)
        elif reply.ready:
            with self._lock:
                worker.ready = True
            worker.deadline, self._failed_starts = float("inf"), 0
        elif (job := worker.job) is not None:
            worker.job, worker.deadline = None, float("inf")
            self._finish(_result(job, reply))

    def _end(self, worker: _Worker) -> None:
        """Be rid of a process that died, hangs or is no longer needed, and answer its job."""
        self._selector.unregister(worker.channel)
        with self._lock:
            self._workers.remove(worker)
        worker.channel.close()
        worker.process.kill()
        status = worker.process.wait()
        if not self._closing:
            log.warning("encoder_process_ended", status=status, ready=worker.ready)
            if not worker.ready:
                self._failed_starts += 1
                if self._failed_starts >= _STARTS_MAX:
                    self._rest_until, self._failed_starts = time.monotonic() + _REST_SECONDS, 0
        if worker.job is not None:
            self._finish(_refusal(worker.job, "encoder_failed"))

    def _give_up_overdue(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.deadline < now:
                self._end(worker)

    def _patience(self) -> float | None:
        """Seconds until there is something to do without being told; None when nothing can be."""
        now = time.monotonic()
        deadlines = [worker.deadline for worker in self._workers]
        if len(self._workers) < self._size and self._missing is None:
            # One has just ended, or starting is resting after failures.
            deadlines.append(self._rest_until)
        soonest = min(deadlines, default=float("inf"))
        return None if soonest == float("inf") else max(0.0, soonest - now)

    def _refuse_waiting(self, reason: str) -> None:
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        for job in waiting:
            self._finish(_refusal(job, reason))

    def _finish(self, result: EncodeResult) -> None:
        with self._lock:
            self._finished.append(result)
            self._results_bell.ring()


def _start(model_file: Path | None) -> _Worker:
    model = [str(model_file)] if model_file is not None else []
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gateway.matching.encoder_worker"),
                *(str(theirs.fileno()), str(os.getpid())),
                *model,
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            # One process a core: libraries that start threads of their own would only get in the way.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
    return _Worker(process, ours, time.monotonic() + START_SECONDS_MAX)


def _result(job: _Job, reply: wire.Reply) -> EncodeResult:
    vectors = [np.frombuffer(vector, "<f4") for vector in reply.vectors if vector is not None]
    reasons = tuple(reply.reasons)
    if not vectors:
        return EncodeResult(job.job_id, None, next((code for code in reasons if code), "no_face"), reasons)
    return EncodeResult(job.job_id, np.stack(vectors), None, reasons)


def _refusal(job: _Job, reason: str) -> EncodeResult:
    return EncodeResult(job.job_id, None, reason, (reason,) * len(job.images))
