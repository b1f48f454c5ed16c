"""What a PaymentIntent may ask for, and how its options are shown."""

from __future__ import annotations

from typing import Any

from simulators.stripe.errors import MalformedError, RefusedError, money
from simulators.stripe.payment_methods import TYPES
from simulators.stripe.store import Doc
from simulators.stripe.world import World


def check_amount(world: World, amount: int, currency: str, param: str = "amount") -> None:
    """The amount is one the account can take in that currency."""
    settings = world.settings
    if currency.lower() not in settings.currencies:
        raise MalformedError(
            f"Invalid currency: {currency.lower()}. Stripe currently supports these currencies: "
            f"{', '.join(settings.currencies)}",
            param="currency",
        )
    minimum = settings.minimum_amounts.get(currency.lower(), 1)
    if amount < minimum:
        raise MalformedError(
            f"Amount must be at least {money(minimum, currency.lower())} {currency.lower()}",
            code="amount_too_small",
            param=param,
        )
    if amount > settings.maximum_amount:
        raise MalformedError(
            f"Amount must be no more than {money(settings.maximum_amount, currency.lower())} "
            f"{currency.lower()}",
            code="amount_too_large",
            param=param,
        )


def kinds_of(params: dict[str, Any]) -> list[str]:
    """The payment methods a payment takes: those allowed that the account has, silently without the rest."""
    allowed = params.get("allowed_payment_method_types", TYPES)
    excluded = params.get("excluded_payment_method_types", ())
    kinds = [kind for kind in allowed if kind in TYPES and kind not in excluded]
    if not kinds:
        raise MalformedError(
            "None of the allowed payment method types can be used for this payment. Activate one of them in "
            "your dashboard, or allow another.",
            param="allowed_payment_method_types",
        )
    return list(dict.fromkeys(kinds))


def options_shown(kinds: list[str], given: dict[str, Any]) -> Doc:
    """`payment_method_options` as answered, for the kinds in use."""
    shown: Doc = {}
    for kind in kinds:
        own = given.get(kind, {})
        if kind == "card":
            shown[kind] = {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": own.get("request_three_d_secure", "automatic"),
            }
        elif kind == "wechat_pay":
            shown[kind] = {"app_id": None, "client": own.get("client")}
        else:
            shown[kind] = {}
        if "setup_future_usage" in own:
            shown[kind]["setup_future_usage"] = own["setup_future_usage"]
    return shown


def check_kinds(params: dict[str, Any]) -> None:
    """The listed payment methods go together with what else is asked."""
    ways = ("allowed_payment_method_types", "excluded_payment_method_types", "automatic_payment_methods")
    given = [name for name in ways if name in params]
    if "allowed_payment_method_types" in given and len(given) > 1:
        raise MalformedError(
            f"You may only specify one of these parameters: {', '.join(given)}.", param=given[1]
        )
    kinds = kinds_of(params)
    named = "allowed_payment_method_types" in params
    if named and params.get("setup_future_usage") and any(kind != "card" for kind in kinds):
        raise MalformedError(
            "setup_future_usage cannot be used with payment method types that cannot be kept for later: "
            f"{', '.join(kind for kind in kinds if kind != 'card')}.",
            code="payment_intent_invalid_parameter",
            param="setup_future_usage",
        )
    if params.get("capture_method") == "manual" and "card" not in kinds:
        raise MalformedError(
            f"The payment method type {kinds[0]} does not support capture_method=manual.",
            code="payment_intent_invalid_parameter",
            param="capture_method",
        )


def check_method(intent: Doc, method: Doc) -> None:
    """This PaymentIntent takes that payment method, and it belongs to nobody else."""
    if method["type"] not in intent["payment_method_types"]:
        raise RefusedError(
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent. Please "
            "attach a PaymentMethod of one of the following types: "
            f"{', '.join(intent['payment_method_types'])}.",
            code="payment_intent_incompatible_payment_method",
            param="payment_method",
        )
    if method["customer"] is not None and method["customer"] != intent["customer"]:
        raise RefusedError(
            "The provided PaymentMethod cannot be used with this PaymentIntent because it belongs to another "
            "customer. To use this PaymentMethod, pass its customer.",
            code="payment_method_customer_mismatch"
            if intent["customer"]
            else "payment_intent_invalid_parameter",
            param="payment_method",
        )
