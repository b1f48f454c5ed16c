"""What every resource works with: the store, the moment, new ids, events, and what is due later."""

from __future__ import annotations

import heapq
import string
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from simulators.stripe import API_VERSION
from simulators.stripe.errors import no_such
from simulators.stripe.settings import AccountSettings
from simulators.stripe.store import Doc, Store

ALPHABET = string.ascii_letters + string.digits
# How the original names a kind when it has no such object.
SPOKEN = {
    "checkout.session": "checkout.session",
    "balance_transaction": "balance transaction",
    "webhook_endpoint": "webhook endpoint",
    "payment_method": "PaymentMethod",
}
MODELESS = ("balance_transaction", "refund")  # the original's have no `livemode`


class World:
    """The state of one simulated account at one moment; used under the core's lock."""

    def __init__(self, settings: AccountSettings, random: Random) -> None:
        self.settings = settings
        self.store = Store()
        self.now = 0  # seconds since 1970, UTC; the core sets it before anything happens
        self.request_id: str | None = None
        self.idempotency_key: str | None = None
        self.pending_webhooks: Callable[[str], int] = lambda _: 0  # of an event; the core knows
        self._random = random
        self._due: list[tuple[int, int, str]] = []
        self._tasks_made = 0

    def new_id(self, prefix: str, length: int = 24) -> str:
        """A fresh id such as `pi_…`."""
        return prefix + "".join(self._random.choices(ALPHABET, k=length))

    def digits(self, length: int) -> str:
        """Decimal digits, for numbers that other systems would make."""
        return "".join(self._random.choices(string.digits, k=length))

    def add(self, kind: str, doc: Doc) -> Doc:
        """Keep a new object, made now; nothing here is ever live."""
        mode = {} if kind in MODELESS else {"livemode": False}
        return self.store.put(kind, {"object": kind, "created": self.now, **mode, **doc})

    def change(self, kind: str, object_id: str, **fields: Any) -> Doc:
        """A new version of an object."""
        return self.store.put(kind, {**self.get(kind, object_id), **fields})

    def get(self, kind: str, object_id: str) -> Doc:
        """An object that must exist."""
        doc = self.store.get(kind, object_id)
        if doc is None:
            raise LookupError(f"{kind} {object_id}")
        return doc

    def need(
        self, kind: str, object_id: str, param: str = "id", status: int = 400, living: bool = True
    ) -> Doc:
        """An object the caller named, a deleted one only if not `living`; else the original's refusal."""
        doc = self.store.get(kind, object_id)
        if doc is None or (living and doc.get("deleted")):
            raise no_such(SPOKEN.get(kind, kind), object_id, param, status)
        return doc

    def note(self, about: str, **facts: Any) -> None:
        """Remember something about an object that its document does not show."""
        self.store.put("_note", {**self.noted(about), **facts, "id": about})

    def noted(self, about: str) -> Doc:
        """What was remembered about an object."""
        return self.store.get("_note", about) or {}

    def emit(self, event_type: str, doc: Doc, before: Doc | None = None) -> Doc:
        """Something happened: an event with a snapshot, and with what it was `before` if that changed."""
        data: Doc = {"object": doc}
        if before is not None:
            data["previous_attributes"] = {
                name: before.get(name) for name, value in doc.items() if before.get(name) != value
            }
        return self.add(
            "event",
            {
                "id": self.new_id("evt_"),
                "api_version": API_VERSION,
                "data": data,
                "pending_webhooks": 0,
                "request": {"id": self.request_id, "idempotency_key": self.idempotency_key},
                "type": event_type,
            },
        )

    def later(self, after_s: int, action: str, target: str, **facts: Any) -> None:
        """Have `action` done to `target` in `after_s` seconds."""
        self._tasks_made += 1
        due = self.now + after_s
        task_id = f"task_{self._tasks_made}"
        self.store.put(
            "_task", {"id": task_id, "action": action, "target": target, "facts": facts, "done": False}
        )
        heapq.heappush(self._due, (due, self._tasks_made, task_id))

    def next_due(self, until: int) -> tuple[int, Doc] | None:
        """Take the earliest task due by `until`, with its moment; in the order they fall due."""
        while self._due and self._due[0][0] <= until:
            due, _, task_id = heapq.heappop(self._due)
            task = self.store.get("_task", task_id)
            if task is not None and not task["done"]:  # one whose request was undone is gone
                self.store.put("_task", {**task, "done": True})
                return due, task
        return None


def text_or_none(params: Mapping[str, Any], *names: str) -> Doc:
    """The named parameters, absent ones as null."""
    return {name: params.get(name) for name in names}
