"""PaymentIntents."""

from __future__ import annotations

from typing import Any

from simulators.stripe import attempts
from simulators.stripe.errors import MalformedError, RefusedError, missing, money, unexpected_state
from simulators.stripe.intent_params import CANCEL, CAPTURE, CONFIRM, CREATE, LIST, RETRIEVE, UPDATE
from simulators.stripe.intent_rules import check_amount, check_kinds, check_method, kinds_of, options_shown
from simulators.stripe.listing import matching, page
from simulators.stripe.params import merged
from simulators.stripe.payment_methods import make, usable
from simulators.stripe.store import Doc
from simulators.stripe.world import World, text_or_none

__all__ = [
    "CANCEL",
    "CAPTURE",
    "CONFIRM",
    "CREATE",
    "LIST",
    "RETRIEVE",
    "UPDATE",
    "cancel",
    "capture",
    "confirm",
    "create",
    "listed",
    "new",
    "retrieve",
    "update",
]
_WAITING = ("requires_payment_method", "requires_confirmation", "requires_action")


_KEPT = (
    "amount",
    "customer",
    "description",
    "receipt_email",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
)


def create(world: World, params: dict[str, Any]) -> Doc:
    """POST /v1/payment_intents; with `confirm` it goes on at once."""
    check_amount(world, params["amount"], params["currency"])
    check_kinds(params)
    if params.get("confirm"):
        _check_confirmable(params)
    intent = new(world, params)
    intent = _with_method(world, intent, params)
    return _confirmed(world, intent, params) if params.get("confirm") else intent


def new(world: World, params: dict[str, Any], linked: str | None = None) -> Doc:
    """A PaymentIntent that waits for a payment method.

    Args:
        params: of `CREATE`.
        linked: the Checkout Session it belongs to.
    """
    if customer := params.get("customer"):
        world.need("customer", customer, "customer")
    intent_id = world.new_id("pi_")
    named = "allowed_payment_method_types" in params
    automatic = params.get("automatic_payment_methods", {"enabled": not named})
    kinds = kinds_of(params)
    intent = world.add(
        "payment_intent",
        {
            "id": intent_id,
            "amount": params["amount"],
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": (
                {"allow_redirects": automatic.get("allow_redirects", "always"), "enabled": True}
                if automatic["enabled"]
                else None
            ),
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": params.get("capture_method", "automatic_async"),
            "client_secret": world.new_id(f"{intent_id}_secret_", 25),
            "confirmation_method": params.get("confirmation_method", "automatic"),
            "currency": params["currency"].lower(),
            "last_payment_error": None,
            "latest_charge": None,
            "metadata": merged({}, params.get("metadata")),
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": options_shown(kinds, params.get("payment_method_options", {})),
            "allowed_payment_method_types": params.get("allowed_payment_method_types"),
            "excluded_payment_method_types": params.get("excluded_payment_method_types"),
            "payment_method_types": kinds,
            "processing": None,
            "review": None,
            "shipping": None,
            "source": None,
            "status": "requires_payment_method",
            "transfer_data": None,
            **text_or_none(
                params,
                "customer",
                "description",
                "receipt_email",
                "setup_future_usage",
                "statement_descriptor",
                "statement_descriptor_suffix",
                "transfer_group",
            ),
        },
    )
    if linked is not None:
        world.note(intent_id, session=linked)
    world.emit("payment_intent.created", intent)
    return intent


def retrieve(world: World, params: dict[str, Any], intent_id: str) -> Doc:
    """GET /v1/payment_intents/:id."""
    intent = world.need("payment_intent", intent_id, "intent", 404)
    if params.get("client_secret", intent["client_secret"]) != intent["client_secret"]:
        raise RefusedError(
            f"The client_secret provided does not match the client_secret on PaymentIntent {intent_id}.",
            code="payment_intent_invalid_parameter",
            param="client_secret",
        )
    return intent


def update(world: World, params: dict[str, Any], intent_id: str) -> Doc:
    """POST /v1/payment_intents/:id; once it is on its way, only words about it."""
    intent = world.need("payment_intent", intent_id, "intent", 404)
    words = {"metadata", "description", "expand", "receipt_email"}
    if intent["status"] not in _WAITING and (fixed := [name for name in params if name not in words]):
        raise unexpected_state(
            f"This PaymentIntent's {fixed[0]} could not be updated because it has a status of "
            f"{intent['status']}. You may only update the {fixed[0]} of a PaymentIntent with one of the "
            f"following statuses: {', '.join(_WAITING)}.",
            intent,
        )
    check_amount(world, **({name: intent[name] for name in ("amount", "currency")} | _amounts(params)))
    if params.get("customer"):
        world.need("customer", params["customer"], "customer")
    changes = {name: params[name] for name in _KEPT if name in params}
    if {"allowed_payment_method_types", "excluded_payment_method_types"} & set(params):
        check_kinds(params)
        changes["payment_method_types"] = kinds_of(params)
    if "currency" in params:
        changes["currency"] = params["currency"].lower()
    changes["metadata"] = merged(intent["metadata"], params.get("metadata"))
    return _with_method(world, world.change("payment_intent", intent_id, **changes), params)


def confirm(world: World, params: dict[str, Any], intent_id: str) -> Doc:
    """POST /v1/payment_intents/:id/confirm."""
    intent = _own(world, intent_id, "confirm")
    if intent["status"] not in _WAITING:
        already = intent["status"] == "succeeded"
        raise unexpected_state(
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously "
            "confirmed."
            if already
            else f"This PaymentIntent's status is {intent['status']}, but it must be one of "
            f"{', '.join(_WAITING)} to be confirmed.",
            intent,
        )
    return _confirmed(world, _with_method(world, intent, params), params)


def capture(world: World, params: dict[str, Any], intent_id: str) -> Doc:
    """POST /v1/payment_intents/:id/capture."""
    intent = world.need("payment_intent", intent_id, "intent", 404)
    if intent["status"] != "requires_capture":
        raise unexpected_state(
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be captured: requires_capture.",
            intent,
        )
    amount: int = params.get("amount_to_capture") or intent["amount_capturable"]
    if amount > intent["amount_capturable"]:
        raise RefusedError(
            "Amount to capture is greater than the amount authorized: "
            f"{money(amount, intent['currency'])}, "
            f"{money(intent['amount_capturable'], intent['currency'])}",
            code="amount_too_large",
            param="amount_to_capture",
        )
    if "metadata" in params:
        world.change("payment_intent", intent_id, metadata=merged(intent["metadata"], params["metadata"]))
    return attempts.captured(world, intent_id, amount)


def cancel(world: World, params: dict[str, Any], intent_id: str) -> Doc:
    """POST /v1/payment_intents/:id/cancel."""
    intent = _own(world, intent_id, "cancel")
    open_states = (*_WAITING, "requires_capture", "processing")
    wallet_is_paying = intent["status"] == "processing"
    if intent["status"] not in open_states or wallet_is_paying:
        raise unexpected_state(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be canceled: "
            f"{', '.join(open_states[:-1])}.",
            intent,
        )
    return attempts.cancel(world, intent_id, params.get("cancellation_reason"))


def listed(world: World, params: dict[str, Any]) -> Doc:
    """GET /v1/payment_intents."""
    return page(world, "payment_intent", "/v1/payment_intents", params, matching(params, "customer"))


def _own(world: World, intent_id: str, verb: str) -> Doc:
    intent = world.need("payment_intent", intent_id, "intent", 404)
    if world.noted(intent_id).get("session") is not None:
        raise unexpected_state(
            f"You cannot {verb} a PaymentIntent created by Checkout. Expire the Checkout Session instead.",
            intent,
        )
    return intent


def _check_confirmable(params: dict[str, Any]) -> None:
    if "payment_method" not in params and "payment_method_data" not in params:
        raise MalformedError(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either "
            "update the PaymentIntent with a payment method and then confirm it again, or confirm it again "
            "directly with a payment method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
        )


def _with_method(world: World, intent: Doc, params: dict[str, Any]) -> Doc:
    changes: Doc = {}
    if "payment_method_options" in params:
        changes["payment_method_options"] = options_shown(
            intent["payment_method_types"], params["payment_method_options"]
        )
    if "setup_future_usage" in params:
        changes["setup_future_usage"] = params["setup_future_usage"]
    method = None
    if "payment_method_data" in params:
        method = make(world, params["payment_method_data"])
    elif params.get("payment_method"):
        method = usable(world, params["payment_method"])
    if method is not None:
        check_method(intent, method)
        changes |= {"payment_method": method["id"], "status": "requires_confirmation"}
    return world.change("payment_intent", intent["id"], **changes) if changes else intent


def _confirmed(world: World, intent: Doc, params: dict[str, Any]) -> Doc:
    if intent["payment_method"] is None:
        _check_confirmable(params)
    method = world.get("payment_method", intent["payment_method"])
    kind = method["type"]
    if kind == "wechat_pay" and intent["payment_method_options"].get(kind, {}).get("client") is None:
        raise missing("payment_method_options[wechat_pay][client]")
    redirects = kind == "alipay"
    if redirects and "return_url" not in params:
        raise RefusedError(
            "You must provide a `return_url` when confirming using a payment method that redirects.",
            code="parameter_missing",
            param="return_url",
        )
    if kind != "card" and intent["capture_method"] == "manual":
        raise RefusedError(
            f"The payment method type {kind} does not support capture_method=manual.",
            code="payment_intent_invalid_parameter",
            param="capture_method",
        )
    off_session = params.get("off_session", False)
    intent = attempts.confirm(world, intent, method, params.get("return_url"), off_session=off_session)
    if params.get("error_on_requires_action") and intent["status"] == "requires_action":
        raise RefusedError(
            "Your card was declined. This transaction requires authentication.",
            code="authentication_required",
            status=402,
            kind="card_error",
        )
    return intent


def _amounts(params: dict[str, Any]) -> dict[str, Any]:
    return {name: params[name] for name in ("amount", "currency") if name in params}
