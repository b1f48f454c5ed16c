"""Checkout Sessions in payment mode, hosted page."""

from __future__ import annotations

from typing import Any

from simulators.stripe import attempts
from simulators.stripe.checkout_rules import (
    CREATE,
    LINE_ITEMS,
    LIST,
    UPDATE,
    check,
    expiry,
    lines_of,
    options_shown,
)
from simulators.stripe.errors import RefusedError
from simulators.stripe.intent_rules import check_amount, kinds_of
from simulators.stripe.listing import matching, page
from simulators.stripe.params import merged
from simulators.stripe.store import Doc
from simulators.stripe.world import World, text_or_none

__all__ = [
    "CREATE",
    "KIND",
    "LINE_ITEMS",
    "LIST",
    "UPDATE",
    "close",
    "create",
    "expire",
    "line_items",
    "listed",
    "retrieve",
    "update",
]
KIND = "checkout.session"


def create(world: World, params: dict[str, Any]) -> Doc:
    """POST /v1/checkout/sessions."""
    lines, currency, total = lines_of(world, params)
    check_amount(world, total, currency, "line_items[0][price_data][unit_amount]")
    kinds = kinds_of(params)
    options = params.get("payment_method_options", {})
    intent_data = params.get("payment_intent_data", {})
    check(world, params, kinds, intent_data)
    session_id = world.new_id("cs_test_a1", 58)
    world.note(session_id, lines=lines, intent_data=intent_data, options=options)
    session = world.add(
        KIND,
        {
            "id": session_id,
            "adaptive_pricing": {"enabled": False},
            "after_expiration": None,
            "allow_promotion_codes": None,
            "amount_subtotal": total,
            "amount_total": total,
            "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
            "billing_address_collection": None,
            "client_secret": None,
            "collected_information": None,
            "consent": None,
            "consent_collection": None,
            "currency": currency,
            "currency_conversion": None,
            "custom_fields": [],
            "custom_text": dict.fromkeys(
                ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
            ),
            "customer_creation": None
            if "customer" in params
            else params.get("customer_creation", "if_required"),
            "customer_details": None,
            "discounts": [],
            "expires_at": expiry(world, params),
            "invoice": None,
            "invoice_creation": None,
            "locale": params.get("locale"),
            "metadata": merged({}, params.get("metadata")),
            "mode": "payment",
            "origin_context": None,
            "payment_intent": None,
            "payment_link": None,
            "payment_method_collection": "if_required",
            "payment_method_configuration_details": None,
            "payment_method_options": options_shown(kinds, options),
            "allowed_payment_method_types": params.get("allowed_payment_method_types"),
            "excluded_payment_method_types": params.get("excluded_payment_method_types"),
            "payment_method_types": kinds,
            "payment_status": "unpaid",
            "permissions": None,
            "phone_number_collection": {"enabled": False},
            "recovered_from": None,
            "saved_payment_method_options": None,
            "setup_intent": None,
            "shipping_address_collection": None,
            "shipping_cost": None,
            "shipping_options": [],
            "status": "open",
            "submit_type": params.get("submit_type"),
            "subscription": None,
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            "ui_mode": "hosted_page",
            "url": f"{world.settings.public_url}/c/pay/{session_id}",
            "wallet_options": None,
            **text_or_none(
                params, "cancel_url", "client_reference_id", "customer", "customer_email", "success_url"
            ),
        },
    )
    world.later(session["expires_at"] - world.now, "session_expires", session_id)
    return session


def retrieve(world: World, _: dict[str, Any], session_id: str) -> Doc:
    """GET /v1/checkout/sessions/:id."""
    return world.need(KIND, session_id, "session", 404)


def update(world: World, params: dict[str, Any], session_id: str) -> Doc:
    """POST /v1/checkout/sessions/:id."""
    session = retrieve(world, {}, session_id)
    return world.change(KIND, session_id, metadata=merged(session["metadata"], params.get("metadata")))


def expire(world: World, _: dict[str, Any], session_id: str) -> Doc:
    """POST /v1/checkout/sessions/:id/expire."""
    session = retrieve(world, {}, session_id)
    if session["status"] != "open":
        raise RefusedError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a '
            f'status of "{session["status"]}".'
        )
    return close(world, session_id)


def close(world: World, session_id: str) -> Doc:
    """An open session's time is over; the PaymentIntent it made is given up."""
    before = world.get(KIND, session_id)
    if before["payment_intent"] is not None:
        attempts.cancel(world, before["payment_intent"], "automatic")
    session = world.change(KIND, session_id, status="expired", url=None)
    world.emit("checkout.session.expired", session)
    return session


def listed(world: World, params: dict[str, Any]) -> Doc:
    """GET /v1/checkout/sessions."""
    wanted = matching(params, "customer", "payment_intent", "status")
    return page(world, KIND, "/v1/checkout/sessions", params, wanted)


def line_items(world: World, params: dict[str, Any], session_id: str) -> Doc:
    """GET /v1/checkout/sessions/:id/line_items; all of them fit on a page of `limit`."""
    retrieve(world, {}, session_id)
    items: list[Doc] = world.noted(session_id)["lines"]
    ids = [item["id"] for item in items]
    start, limit = 0, params.get("limit", 10)
    if (after := params.get("starting_after")) is not None:
        start = ids.index(after) + 1 if after in ids else len(ids)
    if (before := params.get("ending_before")) is not None:
        end = ids.index(before) if before in ids else 0
        chosen, more = items[max(0, end - limit) : end], end > limit
    else:
        chosen, more = items[start : start + limit], len(items) > start + limit
    url_of = f"/v1/checkout/sessions/{session_id}/line_items"
    return {"object": "list", "data": chosen, "has_more": more, "url": url_of}
