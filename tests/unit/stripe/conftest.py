"""A core on a hand-set clock, Stripe's own client before it, and Stripe's annotations to check it by."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any, Literal, Union

import pytest
import responses
import stripe
from stripe import ListObject, StripeObject

from simulators.stripe import people
from simulators.stripe.core import StripeCore
from simulators.stripe.mock import register

Annotated = type[StripeObject]


class Clock:
    """The simulated wall clock; it moves only when told."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **span: float) -> None:
        self.moment += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def core(clock: Clock) -> StripeCore:
    return StripeCore(clock, Random(7))


@pytest.fixture
def mocked() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def client(core: StripeCore, mocked: responses.RequestsMock) -> stripe.StripeClient:
    """Stripe's own client, unmodified; `responses` carries its requests to the core."""
    register(core, mocked)
    return stripe.StripeClient("sk_test_unit")


def session_params(amount: int = 30_000, **more: Any) -> Any:
    """A rent payment of `amount` fen, by any method."""
    price = {"currency": "cny", "unit_amount": amount, "product_data": {"name": "租金"}}
    return {
        "mode": "payment",
        "success_url": "https://estate.example/done?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://estate.example/rent",
        "allowed_payment_method_types": ["wechat_pay", "alipay", "card"],
        "payment_method_options": {"wechat_pay": {"client": "web"}},
        "line_items": [{"quantity": 1, "price_data": price}],
        **more,
    }


@pytest.fixture
def params() -> Callable[..., Any]:
    return session_params


@pytest.fixture
def pay(core: StripeCore, client: stripe.StripeClient) -> Callable[..., Any]:
    """Open a session, have somebody pay it, and return it with its charge in full."""

    def pay(kind: str = "wechat_pay", amount: int = 30_000, card: str | None = None, **more: Any) -> Any:
        session = client.v1.checkout.sessions.create(session_params(amount, **more))
        entry = people.CardEntry(card, 12, 2034) if card else None
        core.act(people.pay_session, session.id, kind, card=entry)
        return client.v1.checkout.sessions.retrieve(
            session.id, {"expand": ["payment_intent.latest_charge.balance_transaction"]}
        )

    return pay


@pytest.fixture
def event_types(client: stripe.StripeClient) -> Callable[[], list[str]]:
    """The types of all events so far, oldest first."""
    return lambda: [
        event.type for event in reversed(list(client.v1.events.list({"limit": 100}).auto_paging_iter()))
    ]


# --- Stripe's own annotations ------------------------------------------------------------------


class _Names(dict[str, Any]):
    """Names an annotation may use: its module's, then Stripe's; what neither has is not looked into."""

    def __missing__(self, name: str) -> Any:
        return getattr(stripe, name, Any)


@cache
def _fields(kind: Annotated) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed([base for base in kind.__mro__ if issubclass(base, StripeObject)]):
        names = _Names({**vars(sys.modules[base.__module__]), **vars(base)})
        for name, hint in base.__annotations__.items():
            if not name.startswith("_"):
                # A mapping with __missing__ must be the locals: the globals' one is not asked.
                found[name] = typing._eval_type(_as_type(hint), {}, names)  # type: ignore[attr-defined]
    return {name: hint for name, hint in found.items() if typing.get_origin(hint) is not typing.ClassVar}


def _as_type(hint: Any) -> Any:
    return typing.ForwardRef(hint, is_class=True) if isinstance(hint, str) else hint


def problems(doc: Any, hint: Any, where: str = "") -> list[str]:  # noqa: PLR0911 (one for each form)
    """Where a document differs from an annotation: required is in, nothing unknown, literals are literals."""
    if hint is Any or isinstance(hint, typing.TypeVar):
        return []
    origin, arms = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(doc, arms, where)
    if origin is Literal:
        return [] if doc in arms else [f"{where}: {doc!r} is not one of {arms}"]
    if origin in (list, typing.List):  # noqa: UP006 (what Stripe writes)
        if not isinstance(doc, list):
            return [f"{where}: {doc!r} is no list"]
        return [one for place, item in enumerate(doc) for one in problems(item, arms[0], f"{where}[{place}]")]
    if origin is ListObject:
        return _list(doc, arms[0], where)
    if origin is not None:  # UntypedStripeObject[…]: any keys
        if not isinstance(doc, dict):
            return [f"{where}: {doc!r} is no hash"]
        return [one for key, item in doc.items() for one in problems(item, arms[0], f"{where}.{key}")]
    if isinstance(hint, type) and issubclass(hint, StripeObject):
        return _object(doc, hint, where)
    plain = {int: int, str: str, bool: bool, float: (int, float), Decimal: str, type(None): type(None)}
    right = isinstance(doc, plain[hint]) and (hint is bool or not isinstance(doc, bool))  # type: ignore[arg-type]
    return [] if right else [f"{where}: {doc!r} is no {hint.__name__}"]


def _union(doc: Any, arms: tuple[Any, ...], where: str) -> list[str]:
    if doc is None:
        return [] if type(None) in arms else [f"{where}: null"]
    literals = [arm for arm in arms if typing.get_origin(arm) is Literal]
    if isinstance(doc, str) and literals:  # Union[Literal[…], str] only leaves room for later versions
        return problems(doc, literals[0], where)
    candidates = [arm for arm in arms if arm is not type(None) and (arm is str) == isinstance(doc, str)]
    return min((problems(doc, arm, where) for arm in candidates or arms), key=len)


def _list(doc: Any, item: Any, where: str) -> list[str]:
    if not isinstance(doc, dict) or set(doc) != {"object", "data", "has_more", "url"}:
        return [f"{where}: {doc!r} is no list object"]
    return [
        one for place, inner in enumerate(doc["data"]) for one in problems(inner, item, f"{where}[{place}]")
    ]


def _object(doc: Any, kind: Annotated, where: str) -> list[str]:
    if not isinstance(doc, dict):
        return [f"{where}: {doc!r} is no {kind.__name__}"]
    fields = _fields(kind)  # type: ignore[arg-type]  # a class is hashable, whatever its instances are
    required = {
        name for name, hint in fields.items() if type(None) not in typing.get_args(hint) and hint is not Any
    }
    found = [f"{where}.{name} is missing" for name in sorted(required - set(doc))]
    found += [f"{where}.{name} is unknown to {kind.__qualname__}" for name in sorted(set(doc) - set(fields))]
    for name in doc:
        if name in fields:
            found += problems(doc[name], fields[name], f"{where}.{name}")
    return found


@pytest.fixture
def differences() -> Callable[[Any, Any], list[str]]:
    """`differences(document, annotation)`; an empty list is agreement."""
    return problems
