"""Customers."""

from __future__ import annotations

from typing import Any

from simulators.stripe.listing import PAGE, TIMELESS, matching, page
from simulators.stripe.params import Spec, array, hash_of, merged, metadata, string
from simulators.stripe.payment_methods import attach_to, usable
from simulators.stripe.shapes import ADDRESS, EXPAND, address_or_none
from simulators.stripe.store import Doc
from simulators.stripe.world import World, text_or_none

_TEXTS = ("name", "email", "phone", "description")
CREATE = Spec(
    name=string(256, unset=True),
    email=string(512, unset=True),
    phone=string(20, unset=True),
    description=string(unset=True),
    address=hash_of(ADDRESS),
    payment_method=string(),
    preferred_locales=array(string(10)),
    invoice_settings=hash_of(Spec(default_payment_method=string(unset=True))),
    metadata=metadata,
    **EXPAND,
)
UPDATE = Spec(**{name: parser for name, parser in CREATE.fields.items() if name != "payment_method"})
LIST = PAGE.plus(email=string(512))
PAYMENT_METHODS = TIMELESS.plus(type=string())


def create(world: World, params: dict[str, Any]) -> Doc:
    """POST /v1/customers."""
    method = usable(world, params["payment_method"]) if "payment_method" in params else None
    customer = world.add(
        "customer",
        {
            "id": world.new_id("cus_", 14),
            "address": address_or_none(params.get("address")),
            "balance": 0,
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "discount": None,
            "invoice_prefix": world.new_id("", 8).upper(),
            "invoice_settings": _invoice_settings(None, params),
            "metadata": merged({}, params.get("metadata")),
            "next_invoice_sequence": 1,
            "preferred_locales": params.get("preferred_locales", []),
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": None,
            **text_or_none(params, *_TEXTS),
        },
    )
    world.emit("customer.created", customer)
    if method is not None:
        attach_to(world, method, customer["id"])
    return customer


def update(world: World, params: dict[str, Any], customer_id: str) -> Doc:
    """POST /v1/customers/:id."""
    before = world.need("customer", customer_id, status=404)
    changes: Doc = {name: params[name] for name in (*_TEXTS, "preferred_locales") if name in params}
    if "address" in params:
        changes["address"] = address_or_none(params["address"])
    changes["metadata"] = merged(before["metadata"], params.get("metadata"))
    changes["invoice_settings"] = _invoice_settings(before, params)
    customer = world.change("customer", customer_id, **changes)
    world.emit("customer.updated", customer, before)
    return customer


def retrieve(world: World, _: dict[str, Any], customer_id: str) -> Doc:
    """GET /v1/customers/:id; a deleted one answers only that."""
    return world.need("customer", customer_id, status=404, living=False)


def delete(world: World, _: dict[str, Any], customer_id: str) -> Doc:
    """DELETE /v1/customers/:id."""
    customer = world.need("customer", customer_id, status=404)
    world.emit("customer.deleted", customer)
    return world.store.put("customer", {"id": customer_id, "object": "customer", "deleted": True})


def listed(world: World, params: dict[str, Any]) -> Doc:
    """GET /v1/customers."""
    return page(world, "customer", "/v1/customers", params, matching(params, "email"))


def payment_methods(world: World, params: dict[str, Any], customer_id: str) -> Doc:
    """GET /v1/customers/:id/payment_methods."""
    world.need("customer", customer_id, status=404)
    wanted = matching({**params, "customer": customer_id}, "customer", "type")
    return page(world, "payment_method", f"/v1/customers/{customer_id}/payment_methods", params, wanted)


def _invoice_settings(before: Doc | None, params: dict[str, Any]) -> Doc:
    old = before["invoice_settings"]["default_payment_method"] if before else None
    given = params.get("invoice_settings", {})
    return {
        "custom_fields": None,
        "default_payment_method": given.get("default_payment_method", old),
        "footer": None,
        "rendering_options": None,
    }
