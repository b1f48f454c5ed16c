"""Failures of the channel itself, on demand: for drills of what a caller does when the outcome is unknown.

| kind | what is done | what the caller sees |
|---|---|---|
| `error_before` | nothing | 500, kept under the idempotency key |
| `error_after` | everything | 500, kept under the idempotency key |
| `lock_timeout` | nothing | 429 with code `lock_timeout`, not kept |
| `rate_limit` | nothing | 429 with code `rate_limit`, not kept |
| `request_lost` | nothing | the connection breaks |
| `answer_lost` | everything, and the answer is kept | the connection breaks |
"""

from __future__ import annotations

import threading

import msgspec

from simulators.stripe.errors import RefusedError

KINDS = ("error_before", "error_after", "lock_timeout", "rate_limit", "request_lost", "answer_lost")


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next `times` requests of `method` whose path starts with `path` fail like `kind`.

    The first `after` of them still go well.
    """

    kind: str
    method: str = "POST"
    path: str = "/v1/"
    times: int = 1
    after: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind}: not one of {', '.join(KINDS)}")


class Faults:
    """The failures that are still to come. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Plan a failure."""
        with self._lock:
            self._waiting.append(fault)

    def take(self, method: str, path: str) -> str | None:
        """The kind of failure this request meets, if any."""
        with self._lock:
            for place, fault in enumerate(self._waiting):
                if fault.method == method and path.startswith(fault.path) and fault.times > 0:
                    due = fault.after == 0
                    self._waiting[place] = msgspec.structs.replace(
                        fault, after=max(0, fault.after - 1), times=fault.times - due
                    )
                    self._waiting = [one for one in self._waiting if one.times > 0]
                    return fault.kind if due else None
        return None


def refusal(kind: str) -> RefusedError:
    """What a caller is told."""
    if kind == "lock_timeout":
        return RefusedError(
            "This object cannot be accessed right now because another API request or Stripe process is "
            "currently accessing it. If you see this error intermittently, retry the request. If you see "
            "this error frequently and are making multiple concurrent requests to a single object, make your "
            "requests serially or at a lower rate.",
            code="lock_timeout",
            status=429,
            headers={"Stripe-Should-Retry": "true"},
        )
    if kind == "rate_limit":
        return RefusedError(
            "Request rate limit exceeded. Learn more about rate limits at https://stripe.com/docs/rate-limits.",
            code="rate_limit",
            status=429,
            headers={"Stripe-Should-Retry": "false"},
        )
    return RefusedError(
        "An unknown error occurred", status=500, kind="api_error", headers={"Stripe-Should-Retry": "true"}
    )
