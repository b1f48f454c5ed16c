"""Payment methods: cards by test number or token, WeChat Pay, Alipay."""

from __future__ import annotations

import hashlib
from typing import Any

from simulators.stripe.errors import RefusedError
from simulators.stripe.listing import TIMELESS, matching, page
from simulators.stripe.outcomes import BY_NUMBER, BY_TOKEN, TestCard
from simulators.stripe.params import Spec, hash_of, integer, merged, metadata, one_of, string
from simulators.stripe.shapes import BILLING, EXPAND, billing
from simulators.stripe.store import Doc
from simulators.stripe.world import World

TYPES = ("card", "wechat_pay", "alipay")  # what the account has switched on
DATA = Spec(
    "type",
    type=one_of(*TYPES),
    card=hash_of(
        Spec(number=string(), exp_month=integer(1, 12), exp_year=integer(0), cvc=string(4), token=string())
    ),
    wechat_pay=hash_of(Spec()),
    alipay=hash_of(Spec()),
    billing_details=hash_of(BILLING),
    metadata=metadata,
)
CREATE = DATA.plus(**EXPAND)
UPDATE = Spec(billing_details=DATA.fields["billing_details"], metadata=metadata, **EXPAND)
ATTACH = Spec("customer", customer=string(), **EXPAND)
LIST = TIMELESS.plus(customer=string(), type=one_of(*TYPES))


def make(world: World, params: dict[str, Any]) -> Doc:
    """A payment method from `DATA`.

    Raises:
        RefusedError: a card number or token that the test mode does not have, or a card in the past.
    """
    kind = params["type"]
    if kind != "card":
        return _new(world, kind, {}, params, None)
    given = params.get("card", {})
    if "token" in given:
        card = BY_TOKEN.get(given["token"])
        if card is None:
            raise RefusedError(
                f"No such token: '{given['token']}'", code="resource_missing", param="card[token]"
            )
        return _new(world, kind, _card(card, 12, 2034), params, card)
    for name in ("number", "exp_month", "exp_year"):
        if name not in given:
            raise RefusedError(
                f"Missing required param: card[{name}].", code="parameter_missing", param=f"card[{name}]"
            )
    details, card = _entered(world, given)
    return _new(world, kind, details, params, card)


def _entered(world: World, given: dict[str, Any]) -> tuple[Doc, TestCard]:
    number = given["number"].replace(" ", "")
    card = BY_NUMBER.get(number)
    if card is None:
        raise _wrong("incorrect_number", "Your card number is incorrect.", "number")
    year = given["exp_year"] + (2000 if given["exp_year"] < 100 else 0)
    this_year = 1970 + world.now // 31_556_952
    if not this_year <= year <= this_year + 50:
        raise _wrong("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year")
    return _card(card, given["exp_month"], year), card


def _wrong(code: str, message: str, param: str) -> RefusedError:
    return RefusedError(message, code=code, param=param, status=402, kind="card_error")


def _card(card: TestCard, month: int, year: int) -> Doc:
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "CN" if card.brand == "unionpay" else "US",
        "display_brand": card.brand,
        "exp_month": month,
        "exp_year": year,
        "fingerprint": hashlib.sha256(card.number.encode()).hexdigest()[:16],
        "funding": "credit",
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _new(
    world: World, kind: str, details: Doc, params: dict[str, Any] | None = None, card: TestCard | None = None
) -> Doc:
    params = params or {}
    method = world.add(
        "payment_method",
        {
            "id": world.new_id("pm_"),
            "allow_redisplay": "unspecified",
            "billing_details": billing(params.get("billing_details")),
            "customer": None,
            "metadata": merged({}, params.get("metadata")),
            "type": kind,
            kind: details,
        },
    )
    if card is not None:
        world.note(method["id"], card=card)
    return method


def usable(world: World, method_id: str, param: str = "payment_method") -> Doc:
    """The payment method a request names; a `pm_card_…` token makes a fresh one, as in test mode."""
    if (card := BY_TOKEN.get(method_id)) is not None and method_id.startswith("pm_"):
        return _new(world, "card", _card(card, 12, 2034), None, card)
    return world.need("payment_method", method_id, param)


def attach_to(world: World, method: Doc, customer_id: str) -> Doc:
    """Keep a method for a customer; only cards can be kept."""
    if method["type"] != "card":
        raise RefusedError(
            f"The payment method type provided: {method['type']} cannot be attached to a customer.",
            param="payment_method",
        )
    if method["customer"] not in (None, customer_id):
        raise RefusedError(
            "The payment method you provided has already been attached to a customer.",
            code="resource_already_exists",
        )
    kept = world.change("payment_method", method["id"], customer=customer_id)
    world.emit("payment_method.attached", kept)
    return kept


def create(world: World, params: dict[str, Any]) -> Doc:
    """POST /v1/payment_methods."""
    return make(world, params)


def retrieve(world: World, _: dict[str, Any], method_id: str) -> Doc:
    """GET /v1/payment_methods/:id."""
    return world.need("payment_method", method_id, "payment_method", 404)


def update(world: World, params: dict[str, Any], method_id: str) -> Doc:
    """POST /v1/payment_methods/:id."""
    before = retrieve(world, {}, method_id)
    changes: Doc = {"metadata": merged(before["metadata"], params.get("metadata"))}
    if "billing_details" in params:
        changes["billing_details"] = billing(params["billing_details"])
    method = world.change("payment_method", method_id, **changes)
    world.emit("payment_method.updated", method, before)
    return method


def attach(world: World, params: dict[str, Any], method_id: str) -> Doc:
    """POST /v1/payment_methods/:id/attach."""
    customer = world.need("customer", params["customer"], "customer")
    return attach_to(world, usable(world, method_id), customer["id"])


def detach(world: World, _: dict[str, Any], method_id: str) -> Doc:
    """POST /v1/payment_methods/:id/detach."""
    before = retrieve(world, {}, method_id)
    if before["customer"] is None:
        raise RefusedError(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            param="payment_method",
        )
    method = world.change("payment_method", method_id, customer=None)
    world.emit("payment_method.detached", method, before)
    return method


def listed(world: World, params: dict[str, Any]) -> Doc:
    """GET /v1/payment_methods; without a customer, those of nobody are not listed."""
    wanted = matching(params, "customer", "type")
    return page(
        world,
        "payment_method",
        "/v1/payment_methods",
        params,
        lambda doc: doc["customer"] is not None and wanted(doc),
    )
