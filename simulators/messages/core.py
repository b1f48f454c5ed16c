"""What the messenger knows; the same without a network. Time comes from a clock.

What becomes of a message is told by its address: one that ends in `0000` is refused at once, one that ends
in `0001` is taken and fails, every other is delivered after `delay_s`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec


class MessageIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message as it is handed over."""

    idempotency_key: str
    channel: Literal["sms", "wechat"]
    to: str
    text: str


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the messenger behaves from now on.

    Attributes:
        delay_s: how long a message is underway.
        away: how many of the next requests are answered with 503 before anything happens.
        lost: how many of the next messages are taken, and the answer lost.
    """

    delay_s: float = 0.0
    away: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that the messenger has."""

    ref: str
    message: MessageIn
    taken_at: float
    due_at: float


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(reason)


class MessagesCore:
    """The messenger. Safe for several threads."""

    def __init__(self, clock: Callable[[], float], token: str) -> None:
        self._clock, self._token = clock, token
        self._lock = threading.Lock()
        self._by_key: dict[str, Taken] = {}
        self._plan, self._ahead_s = Plan(), 0.0

    def plan(self, plan: Plan) -> None:
        """Behave like that from now on."""
        with self._lock:
            self._plan = plan

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._ahead_s += seconds

    def take(self, authorization: str, message: MessageIn) -> str:
        """Take a message; the same key again is the same message.

        Raises:
            RefusedError
        """
        with self._lock:
            self._check(authorization)
            before = self._by_key.get(message.idempotency_key)
            if before is not None:
                if before.message != message:
                    raise RefusedError(409, "the key was used for another message")
                return before.ref
            if message.to.endswith("0000"):
                raise RefusedError(422, "no such number")
            now = self._now()
            ref = f"msg-{len(self._by_key) + 1:08d}"
            self._by_key[message.idempotency_key] = Taken(ref, message, now, now + self._plan.delay_s)
            if self._plan.lost:
                self._plan = Plan(self._plan.delay_s, self._plan.away, self._plan.lost - 1)
                raise RefusedError(504, "the answer is lost")
            return ref

    def told(self, authorization: str, ref: str) -> dict[str, Any]:
        """What became of a message.

        Raises:
            RefusedError
        """
        with self._lock:
            self._check(authorization)
            for taken in self._by_key.values():
                if taken.ref == ref:
                    return _fate(taken, self._now())
            raise RefusedError(404, "no such message")

    def all(self) -> list[dict[str, Any]]:
        """Every message with what became of it, in the order of arrival."""
        with self._lock:
            now = self._now()
            return [
                {"ref": one.ref, **msgspec.to_builtins(one.message), **_fate(one, now)}
                for one in self._by_key.values()
            ]

    def _now(self) -> float:
        return self._clock() + self._ahead_s

    def _check(self, authorization: str) -> None:
        if self._plan.away:
            self._plan = Plan(self._plan.delay_s, self._plan.away - 1, self._plan.lost)
            raise RefusedError(503, "away")
        if authorization != f"Bearer {self._token}":
            raise RefusedError(401, "wrong token")


def _fate(taken: Taken, now: float) -> dict[str, Any]:
    if now < taken.due_at:
        return {"state": "underway", "at": None, "reason": None}
    if taken.message.to.endswith("0001"):
        return {"state": "failed", "at": taken.due_at, "reason": "switched off"}
    return {"state": "delivered", "at": taken.due_at, "reason": None}
