"""Idempotency keys as the original treats them.

The first answer under a key is kept, whatever it was, and given again; not kept are answers to requests
whose parameters were not of the right shape (nothing was started) and those that met the key in use.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulators.stripe.errors import MalformedError, RefusedError

KEY_LENGTH_MAX = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered.

    `lost` means that the connection breaks instead: the caller never learns whether it was done.
    """

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]
    lost: bool = False


@dataclass(frozen=True, slots=True)
class _Use:
    path: str
    params: Mapping[str, Any]
    at: float
    answer: Answer | None  # None while the first request is still under way


class IdempotencyKeys:
    """The keys of one account. Safe for threads."""

    def __init__(self, life_s: int) -> None:
        self._life_s = life_s
        self._lock = threading.Lock()
        self._uses: dict[str, _Use] = {}

    def claim(self, key: str, path: str, params: Mapping[str, Any], now: float) -> Answer | None:
        """Take a key for a request about to start, or get the answer that was kept for it.

        Raises:
            RefusedError: too long; used for another path or other parameters; in use at this moment.
        """
        if len(key) > KEY_LENGTH_MAX:
            raise MalformedError(
                f"Idempotency-Key must be at most {KEY_LENGTH_MAX} characters; yours has {len(key)}.",
                param="Idempotency-Key",
            )
        with self._lock:
            use = self._uses.get(key)
            if use is None or (use.answer is not None and now - use.at > self._life_s):
                self._uses[key] = _Use(path, params, now, None)
                return None
        _check_same(key, use, path, params)
        if use.answer is None:
            raise RefusedError(
                "There is currently another in-progress request using this Stripe-Idempotency Key (that "
                "probably means you submitted twice, and the other request is still going through): "
                f"{key}. Please try again in a bit.",
                code="idempotency_key_in_use",
                status=409,
                kind="idempotency_error",
            )
        return use.answer

    def keep(self, key: str, answer: Answer) -> None:
        """The first request under `key` came to its answer."""
        with self._lock:
            use = self._uses[key]
            self._uses[key] = _Use(use.path, use.params, use.at, answer)

    def release(self, key: str) -> None:
        """Nothing was started: the key is free again."""
        with self._lock:
            del self._uses[key]


def _check_same(key: str, use: _Use, path: str, params: Mapping[str, Any]) -> None:
    if use.path != path:
        raise RefusedError(
            "Keys for idempotent requests can only be used for the same endpoint they were first used for "
            f"('{use.path}' vs '{path}'). Try using a key other than '{key}' if you meant to execute a "
            "different request.",
            kind="idempotency_error",
        )
    if use.params != params:
        raise RefusedError(
            "Keys for idempotent requests can only be used with the same parameters they were first used "
            f"with. Try using a key other than '{key}' if you meant to execute a different request.",
            kind="idempotency_error",
        )
