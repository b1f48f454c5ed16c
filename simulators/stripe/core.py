"""The state machine: one request in, one answer out; time passes only by its clock.

Everything that happens is decided by the requests, the clock and the random source, so equal runs give
equal answers. Safe for threads: requests take turns, as they would on the original's object locks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog

from simulators.stripe import API_VERSION, payouts, signatures, tasks, webhook_endpoints
from simulators.stripe.attempts import DeclinedError
from simulators.stripe.deliveries import (
    RETRY_AFTER_S,
    Attempt,
    Delivered,
    Deliveries,
    DeliveryPlan,
    Notice,
    body_of,
)
from simulators.stripe.errors import MalformedError, RefusedError
from simulators.stripe.expand import SHOWN, answer
from simulators.stripe.faults import Fault, Faults, refusal
from simulators.stripe.gate import check_key, check_version
from simulators.stripe.idempotency import Answer, IdempotencyKeys
from simulators.stripe.params import decode
from simulators.stripe.routes import Operation, find
from simulators.stripe.settings import AccountSettings
from simulators.stripe.store import Doc
from simulators.stripe.world import World

P = ParamSpec("P")
T = TypeVar("T")
FORWARD_S_MAX = 10 * 366 * 24 * 3600
log = structlog.get_logger(__name__)


class StripeCore:
    """One simulated Stripe account.

    Args:
        clock: the present moment, UTC-aware.
        random: where ids come from.
        settings: fees, currencies, durations.
        api_key: the only secret key that is let in; any `sk_test_…` if None.
        retry_after_s: the waits between attempts to deliver a notice.
        pause: called in the middle of each request that changes something, outside the lock, with its path:
            latency, or a test that holds a request there.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        random: Random,
        settings: AccountSettings | None = None,
        *,
        api_key: str | None = None,
        retry_after_s: tuple[float, ...] = RETRY_AFTER_S,
        pause: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings or AccountSettings()
        self.faults = Faults()
        self._clock = clock
        self._ahead_s = 0.0
        self._api_key = api_key
        self._pause = pause
        self._lock = threading.RLock()
        self._world = World(self.settings, random)
        self._deliveries = Deliveries(Random(random.random()), retry_after_s)
        self._world.pending_webhooks = self._deliveries.pending
        self._keys = IdempotencyKeys(self.settings.key_life_s)
        self._last_event: str | None = None
        self._world.now = int(self.now())
        if self.settings.payouts == "daily":
            payouts.schedule_daily(self._world)

    def now(self) -> float:
        """The simulated moment, in seconds since 1970."""
        return self._clock().astimezone(UTC).timestamp() + self._ahead_s

    def handle(
        self, method: str, path: str, params: str | bytes = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Answer one API request.

        Args:
            params: the query of a GET or DELETE, the body of a POST, form-encoded.
            headers: as received; names in any case.
        """
        given = {name.lower(): value for name, value in (headers or {}).items()}
        with self._lock:
            request_id = self._world.new_id("req_", 14)
        own = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        try:
            found = self._admitted(method.upper(), path, params, given, request_id)
        except RefusedError as refused:
            found = _refused(refused)
        except Exception:  # a fault of ours is answered as the original answers one of its own
            log.exception("stripe request failed", method=method, path=path, request_id=request_id)
            found = _refused(refusal("error_before"))
        return Answer(found.status, found.body, {**own, **found.headers}, found.lost)

    def act(self, deed: Callable[Concatenate[World, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have something happen that is no API request (people, banks); if it raises, nothing of it."""
        with self._lock:
            self._advance()
            with self._world.store.transaction():
                result = deed(self._world, *args, **kwargs)
            self._advance()
            return result

    def advance(self) -> None:
        """Do what has fallen due since the last request."""
        with self._lock:
            self._advance()

    def forward(self, seconds: float) -> None:
        """Let time pass at once; what falls due in between happens in its order, at its own moment.

        Raises:
            ValueError: backwards, or more than ten years.
        """
        if not 0 <= seconds <= FORWARD_S_MAX:
            raise ValueError("time only goes forward, at most ten years at once")
        with self._lock:
            self._ahead_s += seconds
            self._advance()

    def add_endpoint(self, url: str, secret: str, enabled_events: tuple[str, ...] = ("*",)) -> str:
        """A webhook endpoint with a secret of the caller's own; returns its id."""
        params = {"url": url, "enabled_events": list(enabled_events)}
        endpoint_id: str = self.act(webhook_endpoints.create, params, secret)["id"]
        return endpoint_id

    def plan_deliveries(self, plan: DeliveryPlan) -> None:
        """From now on notices fare like this."""
        with self._lock:
            self._deliveries.plan = plan

    @property
    def plan(self) -> DeliveryPlan:
        """How notices fare now."""
        return self._deliveries.plan

    def plan_fault(self, fault: Fault) -> None:
        """A failure of the channel to come."""
        self.faults.add(fault)

    def due_notices(self) -> list[Notice]:
        """Take the notices to be sent now; report each by `delivered`."""
        with self._lock:
            self._advance()
            ready = (self._notice(attempt) for attempt in self._deliveries.take_due(self.now()))
            return [notice for notice in ready if notice is not None]

    def delivered(self, notice: Notice, status: int | None) -> None:
        """How sending went: the HTTP status, None if there was no answer."""
        with self._lock:
            self._deliveries.report(notice.attempt, status, self.now())

    def resend(self, event_id: str) -> None:
        """Send an event's notices once more."""
        with self._lock:
            event = self._world.need("event", event_id, status=404)
            self._deliveries.resend(event, self._endpoints_for(event), self.now())

    def next_notice_due(self) -> float | None:
        """When the next notice has to leave."""
        with self._lock:
            return self._deliveries.next_due()

    def notices_waiting(self) -> int:
        """How many notices have not arrived yet."""
        with self._lock:
            return self._deliveries.waiting()

    def delivery_history(self) -> list[Delivered]:
        """Every attempt so far (the last hundred thousand)."""
        with self._lock:
            return list(self._deliveries.history)

    def _admitted(
        self, method: str, path: str, params: str | bytes, given: Mapping[str, str], request_id: str
    ) -> Answer:
        check_key(given.get("authorization", ""), self._api_key)
        check_version(given.get("stripe-version", API_VERSION))
        operation, ids = find(method, path)
        raw = decode(params)
        fault = self.faults.take(method, path)
        if fault in ("lock_timeout", "rate_limit"):
            raise refusal(fault)
        if fault == "request_lost":
            return Answer(0, {}, {}, lost=True)
        key = given.get("idempotency-key") if method == "POST" else None
        if key is None:
            done = self._done(operation, ids, raw, request_id, None, fault)
        else:
            done = self._once(key, operation, ids, path, raw, request_id, fault)
        return Answer(done.status, done.body, done.headers, lost=fault == "answer_lost")

    def _once(
        self,
        key: str,
        operation: Operation,
        ids: tuple[str, ...],
        path: str,
        raw: dict[str, Any],
        request_id: str,
        fault: str | None,
    ) -> Answer:
        kept = self._keys.claim(key, path, raw, self.now())
        if kept is not None:
            return Answer(kept.status, kept.body, {**kept.headers, "Idempotent-Replayed": "true"})
        try:
            found = self._done(operation, ids, raw, request_id, key, fault)
        except MalformedError:
            self._keys.release(key)
            raise
        except RefusedError as refused:
            found = _refused(refused)
        except Exception:
            log.exception("stripe request failed", path=path, request_id=request_id)
            found = _refused(refusal("error_before"))
        found = Answer(
            found.status,
            found.body,
            {**found.headers, "Idempotency-Key": key, "Original-Request": request_id},
        )
        self._keys.keep(key, found)
        return found

    def _done(
        self,
        operation: Operation,
        ids: tuple[str, ...],
        raw: dict[str, Any],
        request_id: str,
        key: str | None,
        fault: str | None,
    ) -> Answer:
        params = operation.spec.read(raw)
        if fault == "error_before":
            raise refusal(fault)
        if self._pause is not None and operation.method == "POST":
            self._pause(operation.path)
        with self._lock:
            self._advance()
            self._world.request_id, self._world.idempotency_key = request_id, key
            try:
                found = self._changed(operation, ids, params)
            finally:
                self._world.request_id = self._world.idempotency_key = None
            self._advance()
        if fault == "error_after":
            raise refusal(fault)
        return found

    def _changed(self, operation: Operation, ids: tuple[str, ...], params: dict[str, Any]) -> Answer:
        with self._world.store.transaction():
            try:
                doc = operation.run(self._world, params, *ids)
            except DeclinedError as declined:  # inside: a refused attempt is kept
                return _refused(declined)
            return Answer(200, answer(self._world, doc, params.get("expand", [])), {})

    def _advance(self) -> None:
        until = self.now()
        while (due := self._world.next_due(int(until))) is not None:
            moment, task = due
            self._world.now = max(self._world.now, moment)
            with self._world.store.transaction():
                tasks.do(self._world, task)
            self._announce(float(self._world.now))
        self._world.now = max(self._world.now, int(until))
        self._announce(until)

    def _announce(self, now: float) -> None:
        for event in self._world.store.oldest_first("event", self._last_event):
            self._last_event = event["id"]
            self._deliveries.announce(event, self._endpoints_for(event), now)

    def _endpoints_for(self, event: Doc) -> list[str]:
        return [one["id"] for one in webhook_endpoints.interested(self._world, event["type"])]

    def _notice(self, attempt: Attempt) -> Notice | None:
        world = self._world
        endpoint = world.get(webhook_endpoints.KIND, attempt.endpoint_id)
        if endpoint.get("deleted") or endpoint["status"] != "enabled":
            self._deliveries.drop(attempt)
            return None
        body = body_of(SHOWN["event"](world, world.get("event", attempt.event_id)))
        timestamp = int(self.now()) + attempt.timestamp_offset_s
        secrets = webhook_endpoints.secrets_of(world, attempt.endpoint_id)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signatures.header(body, secrets, timestamp),
        }
        return Notice(attempt, endpoint["url"], body, headers)


def _refused(refused: RefusedError) -> Answer:
    return Answer(refused.status, {"error": refused.error}, refused.headers)
