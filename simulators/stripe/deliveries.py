"""Which notice goes to which endpoint when: retries with backoff, and on demand what goes wrong on the way.

Pure bookkeeping: whoever does the sending asks for what is due and reports how it went.
"""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random

import msgspec

from simulators.stripe.store import Doc

# After each failed attempt; the last one repeats until three days are over.
RETRY_AFTER_S = (1.0, 5.0, 30.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 43_200.0)
GIVE_UP_AFTER_S = 3 * 24 * 3600
HISTORY_MAX = 100_000


class DeliveryPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to notices on their way.

    Args:
        copies: how often each notice is sent, at the same moment.
        duplicate_permille: chance of one more copy, a moment later.
        lose_permille: chance that a notice never arrives, not by retry either.
        delay_s_max: each waits for a random time up to this; so they overtake each other.
        gather_s: notices are held this long and leave together, in `order`.
        order: `as_made` (sent side by side), `reversed` or `shuffled` (then one after the other).
        timestamp_offset_s: added to the signature's time; above zero it lies in the future.
        types: only these event types meet all this; all if empty.
    """

    copies: int = 1
    duplicate_permille: int = 0
    lose_permille: int = 0
    delay_s_max: float = 0.0
    gather_s: float = 0.0
    order: str = "as_made"
    timestamp_offset_s: int = 0
    types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.order not in ("as_made", "reversed", "shuffled"):
            raise ValueError(f"order: {self.order} is not one of as_made, reversed, shuffled")
        if self.copies < 0 or min(self.delay_s_max, self.gather_s) < 0:
            raise ValueError("copies, delay_s_max and gather_s must not be negative")
        if not all(0 <= chance <= 1000 for chance in (self.duplicate_permille, self.lose_permille)):
            raise ValueError("a chance is given in permille, 0 to 1000")


PLAIN = DeliveryPlan()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sending of one notice to one endpoint."""

    notice: int
    event_id: str
    event_type: str
    endpoint_id: str
    number: int  # 1 is the first
    first_at: float
    timestamp_offset_s: int
    alone: bool  # must not be sent side by side with others


@dataclass(frozen=True, slots=True)
class Notice:
    """One webhook request, signed and ready to be sent."""

    attempt: Attempt = field(repr=False)
    url: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How an attempt went; `status` None means no HTTP answer, or, for attempt 0, lost on the way."""

    event_id: str
    event_type: str
    endpoint_id: str
    number: int
    at: float
    status: int | None


class Deliveries:
    """The notices under way; used under the core's lock."""

    def __init__(
        self,
        random: Random,
        retry_after_s: tuple[float, ...] = RETRY_AFTER_S,
        give_up_after_s: float = GIVE_UP_AFTER_S,
    ) -> None:
        self.plan = PLAIN
        self.history: deque[Delivered] = deque(maxlen=HISTORY_MAX)
        self._random = random
        self._retry_after_s = retry_after_s
        self._give_up_after_s = give_up_after_s
        self._queue: list[tuple[float, float, int, Attempt]] = []
        self._open: dict[str, set[int]] = {}
        self._numbers = count(1)
        self._gathered_until = 0.0

    def announce(self, event: Doc, endpoint_ids: Iterable[str], now: float) -> None:
        """A new event is to be told to these endpoints, as the plan has it."""
        plan = self.plan if not self.plan.types or event["type"] in self.plan.types else PLAIN
        for endpoint_id in endpoint_ids:
            if self._random.randrange(1000) < plan.lose_permille:
                self.history.append(Delivered(event["id"], event["type"], endpoint_id, 0, now, None))
                continue
            due = self._leaves_at(plan, now)
            for _ in range(plan.copies):
                self._send(event, endpoint_id, plan, now, due)
            if self._random.randrange(1000) < plan.duplicate_permille:
                self._send(event, endpoint_id, plan, now, due + self._random.random())

    def take_due(self, now: float) -> list[Attempt]:
        """The attempts to make now, in the order they leave."""
        due: list[Attempt] = []
        while self._queue and self._queue[0][0] <= now:
            due.append(heapq.heappop(self._queue)[3])
        return due

    def report(self, attempt: Attempt, status: int | None, now: float) -> None:
        """How an attempt went: a status outside 2xx, or None for no answer, is tried again later."""
        self.history.append(
            Delivered(attempt.event_id, attempt.event_type, attempt.endpoint_id, attempt.number, now, status)
        )
        wait_s = self._retry_after_s[min(attempt.number, len(self._retry_after_s)) - 1]
        if (
            status is not None and 200 <= status < 300
        ) or now + wait_s > attempt.first_at + self._give_up_after_s:
            self._close(attempt)
            return
        again = Attempt(
            attempt.notice,
            attempt.event_id,
            attempt.event_type,
            attempt.endpoint_id,
            attempt.number + 1,
            attempt.first_at,
            0,
            alone=False,
        )
        heapq.heappush(self._queue, (now + wait_s, 0.0, next(self._numbers), again))

    def drop(self, attempt: Attempt) -> None:
        """The endpoint is gone or switched off: nothing more is sent."""
        self._close(attempt)

    def resend(self, event: Doc, endpoint_ids: Iterable[str], now: float) -> None:
        """Send an old event once more, plainly."""
        for endpoint_id in endpoint_ids:
            self._send(event, endpoint_id, PLAIN, now, now)

    def pending(self, event_id: str) -> int:
        """How many notices of an event have not arrived yet."""
        return len(self._open.get(event_id, ()))

    def waiting(self) -> int:
        """How many notices have not arrived yet, in all."""
        return sum(len(open_) for open_ in self._open.values())

    def next_due(self) -> float | None:
        """When the next attempt is due."""
        return self._queue[0][0] if self._queue else None

    def _leaves_at(self, plan: DeliveryPlan, now: float) -> float:
        due = now + self._random.random() * plan.delay_s_max
        if plan.gather_s:
            if now >= self._gathered_until:
                self._gathered_until = now + plan.gather_s
            due = self._gathered_until
        return due

    def _send(self, event: Doc, endpoint_id: str, plan: DeliveryPlan, now: float, due: float) -> None:
        notice = next(self._numbers)
        rank = {"as_made": 0.0, "reversed": float(-notice), "shuffled": self._random.random()}[plan.order]
        attempt = Attempt(
            notice,
            event["id"],
            event["type"],
            endpoint_id,
            1,
            now,
            plan.timestamp_offset_s,
            alone=plan.order != "as_made",
        )
        self._open.setdefault(event["id"], set()).add(notice)
        heapq.heappush(self._queue, (due, rank, notice, attempt))

    def _close(self, attempt: Attempt) -> None:
        left = self._open.get(attempt.event_id, set())
        left.discard(attempt.notice)
        if not left:
            self._open.pop(attempt.event_id, None)


def body_of(event: Doc) -> bytes:
    """A notice's body, indented as the original's."""
    return json.dumps(event, indent=2, ensure_ascii=False).encode()
