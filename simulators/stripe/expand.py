"""Documents as they are answered: what depends on the moment, and what `expand[]` asks to see in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simulators.stripe import checkout_sessions, disputes, events, ledger, refunds
from simulators.stripe.errors import RefusedError
from simulators.stripe.store import Doc
from simulators.stripe.world import World

DEPTH_MAX = 4
SHOWN: Mapping[str, Callable[[World, Doc], Doc]] = {
    "balance_transaction": ledger.shown,
    "dispute": disputes.shown,
    "event": events.shown,
}
_BT, _CUS, _PI = "balance_transaction", "customer", "payment_intent"
# kind → field → the kind whose id it holds; "" where the id's prefix tells
LINKS: Mapping[str, Mapping[str, str]] = {
    "charge": {_BT: _BT, _CUS: _CUS, _PI: _PI, "failure_balance_transaction": _BT},
    "payment_intent": {_CUS: _CUS, "latest_charge": "charge", "payment_method": "payment_method"},
    "refund": {
        _BT: _BT,
        _CUS: _CUS,
        _PI: _PI,
        "charge": "charge",
        "failure_balance_transaction": _BT,
        "payment_method": "payment_method",
    },
    "dispute": {_PI: _PI, "charge": "charge"},
    "balance_transaction": {"source": ""},
    "payout": {_BT: _BT, "failure_balance_transaction": _BT},
    "checkout.session": {_CUS: _CUS, _PI: _PI},
    "payment_method": {_CUS: _CUS},
}
BY_PREFIX = {
    "ch": "charge",
    "py": "charge",
    "re": "refund",
    "pyr": "refund",
    "du": "dispute",
    "po": "payout",
}
# Lists an object carries only when asked.
INCLUDED: Mapping[tuple[str, str], Callable[[World, Doc], Doc]] = {
    ("checkout.session", "line_items"): lambda world, doc: checkout_sessions.line_items(world, {}, doc["id"]),
    ("charge", "refunds"): lambda world, doc: (
        refunds.listed(world, {"charge": doc["id"]}) | {"url": f"/v1/charges/{doc['id']}/refunds"}
    ),
}


def answer(world: World, doc: Doc, paths: Sequence[str]) -> Doc:
    """A document or list as answered now.

    Raises:
        RefusedError: a path that cannot be expanded, or one deeper than the original goes.
    """
    for path in paths:
        if path.count(".") >= DEPTH_MAX + (doc.get("object") == "list"):
            raise RefusedError(
                f"You cannot expand more than {DEPTH_MAX} levels of a property. Property: {path}",
                param="expand",
            )
    return _shown(world, doc, [path.split(".") for path in paths])


def _shown(world: World, doc: Doc, paths: list[list[str]]) -> Doc:
    kind = doc.get("object", "")
    if kind == "list":
        inner = [path[1:] for path in paths if path[0] == "data" and len(path) > 1]
        if len(inner) != len(paths):
            wrong = next(path for path in paths if path[0] != "data" or len(path) == 1)
            raise _cannot(wrong, "data." + wrong[0])
        return doc | {"data": [_shown(world, item, inner) for item in doc["data"]]}
    present = SHOWN.get(kind)
    whole = present(world, doc) if present is not None and not doc.get("deleted") else doc
    for first in dict.fromkeys(path[0] for path in paths):
        rest = [path[1:] for path in paths if path[0] == first and len(path) > 1]
        whole = whole | {first: _expanded(world, whole, kind, first, rest)}
    return whole


def _expanded(world: World, doc: Doc, kind: str, field: str, rest: list[list[str]]) -> Any:
    if (include := INCLUDED.get((kind, field))) is not None:
        return _shown(world, include(world, doc), rest)
    target = LINKS.get(kind, {}).get(field)
    if target is None:
        raise _cannot([field], None)
    value = doc.get(field)
    if value is None:
        return None
    found = world.store.get(target or BY_PREFIX[value.split("_")[0]], value)
    return value if found is None else _shown(world, found, rest)


def _cannot(path: list[str], instead: str | None) -> RefusedError:
    hint = f" You may want to try expanding '{instead}' instead." if instead else ""
    return RefusedError(f"This property cannot be expanded ({path[0]}).{hint}", param="expand")
