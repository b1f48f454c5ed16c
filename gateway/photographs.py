"""Photographs of a door event on their way to the encoder's processes and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from gateway.cases import Encoded
from gateway.loop import Loop
from gateway.matching.encoder import EncodeResult, encoder_failed

log = structlog.get_logger()


class Pool(Protocol):
    """The encoder's processes."""

    @property
    def wake_fd(self) -> int:
        """Readable when there are results."""

    def submit(self, job_id: int, images: list[bytes]) -> bool:
        """False: the queue is full."""

    def results(self) -> Sequence[EncodeResult]:
        """What has been finished since this was last asked; never blocks."""

    def close(self) -> None:
        """End the processes."""


class Photographer:
    """The pool as the pipeline asks for it; without one every photograph is answered "ask for a card".

    Args:
        pool: None where it is switched off.
    """

    def __init__(self, pool: Pool | None) -> None:
        self._pool = pool
        self.submitted = self.full = 0

    @property
    def available(self) -> bool:
        """Whether photographs can be encoded at all."""
        return self._pool is not None

    def submit(self, job: int, images: Sequence[bytes]) -> bool | None:
        """Queue a passage's photographs; False: the queue is full; None: there is no encoder."""
        if self._pool is None:
            return None
        try:
            taken = self._pool.submit(job, list(images))
        except Exception:
            log.exception("encoder_failed")
            return None
        self.submitted += taken
        self.full += not taken
        return taken

    def watch(self, loop: Loop, take: Callable[[list[Encoded]], None]) -> None:
        """Have the loop take results as they come."""
        pool = self._pool
        if pool is not None:
            loop.watch(pool.wake_fd, lambda: take([_value(result) for result in pool.results()]))

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.close()


def _value(result: EncodeResult) -> Encoded:
    crashed = result.templates is None and encoder_failed(result.reason)
    return Encoded(result.job_id, result.templates, crashed)
