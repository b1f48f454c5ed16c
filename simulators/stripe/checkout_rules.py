"""What a Checkout Session may ask for: its parameters, line items, time and payment methods."""

from __future__ import annotations

from typing import Any

from simulators.stripe.errors import MalformedError, missing
from simulators.stripe.intent_params import KINDS, OPTIONS
from simulators.stripe.intent_rules import check_amount
from simulators.stripe.listing import PAGE
from simulators.stripe.params import (
    Spec,
    array,
    hash_of,
    integer,
    metadata,
    one_of,
    string,
    url,
)
from simulators.stripe.shapes import EXPAND
from simulators.stripe.store import Doc
from simulators.stripe.world import World

LOCALES = ("auto", "en", "zh", "zh-HK", "zh-TW")
_PRODUCT = Spec("name", name=string(), description=string(), metadata=metadata)
_PRICE = Spec(
    "currency",
    "product_data",
    "unit_amount",
    currency=string(3),
    product_data=hash_of(_PRODUCT),
    unit_amount=integer(0),
)
_INTENT_DATA = Spec(
    capture_method=one_of("automatic", "automatic_async", "manual"),
    description=string(1000),
    metadata=metadata,
    receipt_email=string(),
    setup_future_usage=one_of("off_session", "on_session"),
    statement_descriptor=string(22),
    statement_descriptor_suffix=string(22),
    transfer_group=string(),
)
CREATE = Spec(
    "mode",
    "line_items",
    "success_url",
    cancel_url=url,
    client_reference_id=string(200),
    currency=string(3),
    customer=string(),
    customer_creation=one_of("always", "if_required"),
    customer_email=string(800),
    expires_at=integer(0),
    line_items=array(hash_of(Spec(price=string(), price_data=hash_of(_PRICE), quantity=integer(1)))),
    locale=one_of(*LOCALES),
    metadata=metadata,
    mode=one_of("payment"),
    payment_intent_data=hash_of(_INTENT_DATA),
    payment_method_options=hash_of(OPTIONS),
    **KINDS,
    submit_type=one_of("auto", "book", "donate", "pay"),
    success_url=url,
    ui_mode=one_of("hosted_page"),
    **EXPAND,
)
UPDATE = Spec(metadata=metadata, **EXPAND)
LIST = PAGE.plus(customer=string(), payment_intent=string(), status=one_of("open", "complete", "expired"))
LINE_ITEMS = Spec(limit=integer(1, 100), starting_after=string(), ending_before=string(), **EXPAND)
OPEN_S_MIN = 30 * 60
OPEN_S_MAX = 24 * 3600


def lines_of(world: World, params: dict[str, Any]) -> tuple[list[Doc], str, int]:
    """The line items of a new session, their one currency, and what they come to in fen."""
    lines: list[Doc] = []
    currency = None
    for index, given in enumerate(params["line_items"]):
        where = f"line_items[{index}]"
        if "price" in given:
            raise MalformedError(
                f"No such price: '{given['price']}'", code="resource_missing", param=f"{where}[price]"
            )
        if "price_data" not in given:
            raise missing(f"{where}[price_data]")
        if "quantity" not in given:
            raise missing(f"{where}[quantity]")
        price, quantity = given["price_data"], given["quantity"]
        currency = currency or price["currency"].lower()
        if price["currency"].lower() != currency:
            raise MalformedError(
                "The price specified supports currencies of "
                f"`{price['currency'].lower()}`, but the session's currency is `{currency}`.",
                param=f"{where}[price_data][currency]",
            )
        lines.append(_line(world, price, quantity))
    if currency is None:
        raise MalformedError("You must pass at least one line item.", param="line_items")
    return lines, currency, sum(line["amount_total"] for line in lines)


def _line(world: World, price: dict[str, Any], quantity: int) -> Doc:
    amount, currency = price["unit_amount"] * quantity, price["currency"].lower()
    price_id, product_id = world.new_id("price_"), world.new_id("prod_", 14)
    return {
        "id": world.new_id("li_"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": currency,
        "description": price["product_data"]["name"],
        "metadata": {},
        "price": {
            "id": price_id,
            "object": "price",
            "active": False,
            "billing_scheme": "per_unit",
            "created": world.now,
            "currency": currency,
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "product": product_id,
            "recurring": None,
            "tax_behavior": "unspecified",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "one_time",
            "unit_amount": price["unit_amount"],
            "unit_amount_decimal": str(price["unit_amount"]),
        },
        "quantity": quantity,
    }


def check(
    world: World,
    params: dict[str, Any],
    kinds: list[str],
    intent_data: dict[str, Any],
) -> None:
    """The parameters of a new session go together."""
    if "customer" in params:
        world.need("customer", params["customer"], "customer")
        for other in ("customer_email", "customer_creation"):
            if other in params:
                raise MalformedError(
                    f"You may only specify one of these parameters: customer, {other}.", param="customer"
                )
    wallets = [kind for kind in kinds if kind != "card"]
    if "allowed_payment_method_types" in params and wallets and "setup_future_usage" in intent_data:
        raise MalformedError(
            f"`{wallets[0]}` cannot be used with `payment_intent_data[setup_future_usage]`: it cannot be "
            "kept for later payments.",
            param="payment_intent_data[setup_future_usage]",
        )
    if "currency" in params and params["currency"].lower() not in world.settings.currencies:
        check_amount(world, 1, params["currency"])


def expiry(world: World, params: dict[str, Any]) -> int:
    """When a new session closes: 30 minutes to 24 hours from now."""
    expires_at: int = params.get("expires_at", world.now + world.settings.session_open_s)
    if expires_at < world.now + OPEN_S_MIN:
        raise MalformedError(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
            param="expires_at",
        )
    if expires_at > world.now + OPEN_S_MAX:
        raise MalformedError(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    return expires_at


def options_shown(kinds: list[str], options: dict[str, Any]) -> Doc:
    """`payment_method_options` as a session answers them."""
    shown: Doc = {}
    for kind in kinds:
        if kind == "card":
            wanted = options.get(kind, {}).get("request_three_d_secure", "automatic")
            shown[kind] = {"request_three_d_secure": wanted}
        elif kind == "wechat_pay":
            shown[kind] = {"app_id": None, "client": options.get(kind, {}).get("client", "web")}
    return shown
