"""Real photographs and a real encoder process, shared by the tests of this room."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import structlog

from gateway.matching.encoder import EncodeResult, EncoderPool
from simulators.photos import DemoPhotos, photos

DEADLINE_S = 60.0


def wait_for(pool: EncoderPool, count: int = 1) -> list[EncodeResult]:
    """So many results, in the order of their jobs."""
    found: list[EncodeResult] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(found) < count:
        assert select.select([pool.wake_fd], [], [], max(0.0, deadline - time.monotonic()))[0], found
        found += pool.results()
    return sorted(found, key=lambda result: result.job_id)


class Encoder:
    """One job at a time through a pool that is kept for the session."""

    def __init__(self, pool: EncoderPool) -> None:
        self.pool = pool

    def door(self, *images: bytes) -> EncodeResult:
        """As a door's frames."""
        assert self.pool.submit(1, list(images))
        return wait_for(self.pool)[0]

    def enrolment(self, images: list[bytes]) -> EncodeResult:
        """As photographs for enrolment."""
        assert self.pool.submit(1, images, enrolment=True)
        return wait_for(self.pool)[0]


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command sends this process's logs where its own output goes; for its test only."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def encoder() -> Iterator[Encoder]:
    with closing(EncoderPool(1, 4)) as pool:
        yield Encoder(pool)


@pytest.fixture(scope="session")
def people() -> DemoPhotos:
    return photos()
