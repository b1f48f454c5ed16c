"""When a sealer looks: in sets while entries arrive, and at once when they stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import psycopg

from backend.ledger.sealing import LAST_NUMBER, Sealer
from estate.processes import wait_until


class Books:
    """A database of which only the last entry's number is known, as it grows from one look to the next."""

    def __init__(self, numbers: list[int]) -> None:
        self._numbers, self._sealed = list(numbers), 0
        self.asked: list[int | str] = []
        self.lanes: list[int] = []
        self.is_over = threading.Event()

    def __enter__(self) -> Books:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def execute(self, sql: str, values: Sequence[int] = ()) -> Books:
        if sql == LAST_NUMBER:
            self._row = self._numbers.pop(0) if len(self._numbers) > 1 else self._numbers[0]
            self._last = self._row
            self.asked.append(self._row)
            if self._row == self._sealed:
                # It has seen that nothing came after what it sealed.
                self.is_over.set()
        else:
            self._row, self._sealed = self._last - self._sealed, self._last
            self.asked.append("sealed")
            self.lanes.append(values[1])
        return self

    def fetchone(self) -> tuple[int]:
        return (self._row,)


def asked_of(books: Books, look_every_s: float) -> list[int | str]:
    """What a sealer asks until it has nothing to do."""
    sealer = Sealer(lambda: cast("psycopg.Connection[Any]", books), look_every_s=look_every_s)
    thread = threading.Thread(target=sealer.run)
    thread.start()
    try:
        assert books.is_over.wait(20)
    finally:
        sealer.stop()
        thread.join()
    return books.asked


def test_a_rush_is_sealed_when_it_is_over() -> None:
    books = Books([3, 5, 9, 12, 12])
    assert asked_of(books, look_every_s=60) == [3, "sealed", 5, 9, 12, 12, "sealed", 12]


def test_a_rush_that_goes_on_is_sealed_in_sets() -> None:
    numbers = list(range(1, 40))
    asked = asked_of(Books(numbers), look_every_s=0.2)
    assert asked.count("sealed") > 2
    assert asked[-2:] == ["sealed", 39]


class Lanes:
    """A database with so many entries to seal in each lane; at each look one more arrives in the second."""

    def __init__(self, waiting: list[int], *, refused: int | None = None) -> None:
        self.waiting, self._refused = waiting, refused

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def execute(self, sql: str, values: Sequence[int] = ()) -> Lanes:
        self._row = 0
        if sql != LAST_NUMBER:
            at_most, first_lane = values
            self.waiting[1] += 1
            for lane in (first_lane, 1 - first_lane):
                if lane == self._refused and self.waiting[lane]:
                    raise psycopg.errors.NumericValueOutOfRange
                self._row = min(at_most, self.waiting[lane])
                self.waiting[lane] -= self._row
                if self._row:
                    break
        return self

    def fetchone(self) -> tuple[int]:
        return (self._row,)


@contextmanager
def sealing(lanes: Lanes, first_lane: int) -> Iterator[None]:
    """One thread alone, which rests for a minute when it thinks that there is nothing to do."""
    connect = cast("Callable[[], psycopg.Connection[Any]]", lambda: lanes)
    sealer = Sealer(connect, look_every_s=60, at_once=10)
    thread = threading.Thread(target=sealer.run, args=(first_lane,))
    thread.start()
    try:
        yield
    finally:
        sealer.stop()
        thread.join()


def test_a_full_lane_does_not_rest_because_the_other_has_little() -> None:
    lanes = Lanes([1_000, 0])
    with sealing(lanes, 0):
        wait_until(lambda: lanes.waiting[0] == 0, 20, "the sealer rests")


def test_a_lane_that_refuses_does_not_keep_its_thread_from_the_other() -> None:
    lanes = Lanes([5, 5], refused=0)
    with sealing(lanes, 0):
        wait_until(lambda: lanes.waiting[1] == 0, 20, "the other lane is not sealed")
    assert lanes.waiting[0] == 5


def test_each_look_begins_with_the_other_lane() -> None:
    books = Books(list(range(1, 40)))
    asked_of(books, look_every_s=0.2)
    assert books.lanes[:3] == [0, 1, 0]
