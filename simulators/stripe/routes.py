"""Which request is which operation, and what parameters it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulators.stripe import (
    charges,
    checkout_sessions,
    customers,
    disputes,
    events,
    ledger,
    payment_intents,
    payment_methods,
    payouts,
    refunds,
    webhook_endpoints,
)
from simulators.stripe.errors import unrecognized_url
from simulators.stripe.params import Spec
from simulators.stripe.shapes import EXPAND
from simulators.stripe.store import Doc

Run = Callable[..., Doc]
ONE = Spec(**EXPAND)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing the API does; `kind` is what it answers, for the tests."""

    method: str
    path: str
    spec: Spec
    run: Run
    kind: str


def _resource(path: str, kind: str, room: Any, verbs: str = "create retrieve update list") -> list[Operation]:
    made = {
        "create": lambda: Operation("POST", path, room.CREATE, room.create, kind),
        "retrieve": lambda: Operation("GET", f"{path}/:id", ONE, room.retrieve, kind),
        "update": lambda: Operation("POST", f"{path}/:id", room.UPDATE, room.update, kind),
        "delete": lambda: Operation("DELETE", f"{path}/:id", Spec(), room.delete, kind),
        "list": lambda: Operation("GET", path, room.LIST, room.listed, kind),
    }
    return [made[verb]() for verb in verbs.split()]


_CRUD = "create retrieve update list delete"
_SESSIONS = "/v1/checkout/sessions"
_PI = "/v1/payment_intents"
_PM = "/v1/payment_methods"
OPERATIONS = (
    Operation("GET", "/v1/balance", ONE, ledger.balance, "balance"),
    *_resource("/v1/customers", "customer", customers, _CRUD),
    Operation(
        "GET",
        "/v1/customers/:id/payment_methods",
        customers.PAYMENT_METHODS,
        customers.payment_methods,
        "payment_method",
    ),
    *_resource(_PM, "payment_method", payment_methods),
    Operation("POST", f"{_PM}/:id/attach", payment_methods.ATTACH, payment_methods.attach, "payment_method"),
    Operation("POST", f"{_PM}/:id/detach", ONE, payment_methods.detach, "payment_method"),
    *_resource(_PI, "payment_intent", payment_intents, "create update list"),
    Operation("GET", f"{_PI}/:id", payment_intents.RETRIEVE, payment_intents.retrieve, "payment_intent"),
    Operation(
        "POST", f"{_PI}/:id/confirm", payment_intents.CONFIRM, payment_intents.confirm, "payment_intent"
    ),
    Operation(
        "POST", f"{_PI}/:id/capture", payment_intents.CAPTURE, payment_intents.capture, "payment_intent"
    ),
    Operation("POST", f"{_PI}/:id/cancel", payment_intents.CANCEL, payment_intents.cancel, "payment_intent"),
    *_resource(_SESSIONS, "checkout.session", checkout_sessions),
    Operation("POST", f"{_SESSIONS}/:id/expire", ONE, checkout_sessions.expire, "checkout.session"),
    Operation(
        "GET",
        f"{_SESSIONS}/:id/line_items",
        checkout_sessions.LINE_ITEMS,
        checkout_sessions.line_items,
        "item",
    ),
    *_resource("/v1/charges", "charge", charges, "retrieve update list"),
    *_resource("/v1/refunds", "refund", refunds),
    Operation("POST", "/v1/refunds/:id/cancel", refunds.CANCEL, refunds.cancel, "refund"),
    *_resource("/v1/disputes", "dispute", disputes, "retrieve update list"),
    Operation("POST", "/v1/disputes/:id/close", disputes.CLOSE, disputes.close, "dispute"),
    Operation("GET", "/v1/balance_transactions", payouts.ENTRIES, payouts.entries, "balance_transaction"),
    Operation("GET", "/v1/balance_transactions/:id", ONE, payouts.entry, "balance_transaction"),
    *_resource("/v1/payouts", "payout", payouts),
    Operation("POST", "/v1/payouts/:id/cancel", payouts.CANCEL, payouts.cancel, "payout"),
    *_resource("/v1/events", "event", events, "retrieve list"),
    *_resource("/v1/webhook_endpoints", "webhook_endpoint", webhook_endpoints, _CRUD),
)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.escape(path).replace(":id", r"([A-Za-z0-9_]{1,255})") + r"\Z")


_PATTERNS = tuple((_pattern(operation.path), operation) for operation in OPERATIONS)


def find(method: str, path: str) -> tuple[Operation, tuple[str, ...]]:
    """The operation of a request, and the ids in its path.

    Raises:
        RefusedError: 404, there is none.
    """
    for pattern, operation in _PATTERNS:
        if operation.method == method and (found := pattern.match(path)):
            return operation, found.groups()
    raise unrecognized_url(method, path[:200])
