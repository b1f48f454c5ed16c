"""Fault drills: a short form in every test run, the long one by `make drill`; the seed is printed."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

# The gateway's tests own these fixtures; a drill is the same set-up for longer.
from tests.integration.gateway.conftest import city, nothing_stays_open, still_gateway

__all__ = ["city", "nothing_stays_open", "still_gateway"]


@dataclass(frozen=True)
class Drill:
    """How hard to try.

    Attributes:
        kills: how often something is killed.
        events: how many events are sent in all.
        choice: the one source of chance; `seed` repeats it.
    """

    kills: int
    events: int
    seed: int
    choice: random.Random


FORMS = {"short": (3, 900), "long": (50, 100_000)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--drill", choices=sorted(FORMS), default="short")
    parser.addoption("--drill-seed", type=int, default=None, help="repeat a drill")


def pytest_report_header(config: pytest.Config) -> str:
    return f"drill: {config.getoption('--drill')} (kills, events: {FORMS[config.getoption('--drill')]})"


@pytest.fixture
def drill(request: pytest.FixtureRequest) -> Drill:
    given = request.config.getoption("--drill-seed")
    seed = given if given is not None else random.SystemRandom().randrange(1_000_000)
    print(f"drill seed: {seed} (repeat it: make drill SEED={seed})")
    kills, events = FORMS[request.config.getoption("--drill")]
    return Drill(kills, events, seed, random.Random(seed))
