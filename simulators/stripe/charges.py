"""Charges: one attempt each to take a customer's money, made by PaymentIntents."""

from __future__ import annotations

from typing import Any

from simulators.stripe import ledger
from simulators.stripe.listing import PAGE, matching, page
from simulators.stripe.outcomes import Outcome
from simulators.stripe.params import Spec, merged, metadata, string
from simulators.stripe.shapes import EXPAND
from simulators.stripe.store import Doc
from simulators.stripe.world import World, text_or_none

UPDATE = Spec(description=string(unset=True), receipt_email=string(unset=True), metadata=metadata, **EXPAND)
LIST = PAGE.plus(customer=string(), payment_intent=string())


def attempt(
    world: World, intent: Doc, method: Doc, status: str, *, captured: bool, error: Doc | None = None
) -> Doc:
    """One attempt: `status` is succeeded, pending or failed (then `error` is the PaymentIntent's)."""
    card = method["type"] == "card"
    paid = status == "succeeded"
    charge = world.add(
        "charge",
        {
            "id": world.new_id("ch_" if card else "py_"),
            "amount": intent["amount"],
            "amount_captured": intent["amount"] if captured and paid else 0,
            "amount_refunded": 0,
            "application": None,
            "application_fee": None,
            "application_fee_amount": None,
            "balance_transaction": None,
            "billing_details": method["billing_details"],
            "calculated_statement_descriptor": "SMART ESTATE" if card else None,
            "captured": captured and status != "failed",
            "currency": intent["currency"],
            "customer": intent["customer"],
            "disputed": False,
            "failure_balance_transaction": None,
            "failure_code": error["code"] if error else None,
            "failure_message": error["message"] if error else None,
            "fraud_details": {},
            "metadata": intent["metadata"],
            "on_behalf_of": None,
            "outcome": _outcome(status, error),
            "paid": paid,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": _details(world, intent, method),
            "receipt_number": None,
            "receipt_url": None,
            "refunded": False,
            "review": None,
            "shipping": None,
            "source_transfer": None,
            "status": status,
            "transfer_data": None,
            "transfer_group": None,
            **text_or_none(
                intent, "description", "receipt_email", "statement_descriptor", "statement_descriptor_suffix"
            ),
        },
    )
    if paid and captured:
        charge = _book(world, charge)
    world.emit(f"charge.{status}", charge)
    return charge


def confirm(world: World, charge_id: str) -> Doc:
    """A pending charge whose money came."""
    pending = world.get("charge", charge_id)
    charge = world.change(
        "charge",
        charge_id,
        status="succeeded",
        paid=True,
        amount_captured=pending["amount"],
        outcome=_outcome("succeeded", None),
    )
    charge = _book(world, charge)
    world.emit("charge.succeeded", charge, pending)
    return charge


def fail(world: World, charge_id: str, error: Doc) -> Doc:
    """A pending charge whose money will not come."""
    pending = world.get("charge", charge_id)
    charge = world.change(
        "charge",
        charge_id,
        status="failed",
        captured=False,
        failure_code=error["code"],
        failure_message=error["message"],
        outcome=_outcome("failed", error),
    )
    world.emit("charge.failed", charge, pending)
    return charge


def capture(world: World, charge_id: str, amount: int) -> Doc:
    """Take what was authorised, or a part of it; the rest is released."""
    before = world.get("charge", charge_id)
    charge = _book(world, world.change("charge", charge_id, captured=True, amount_captured=amount))
    world.emit("charge.captured", charge, before)
    return charge


def release(world: World, charge_id: str) -> Doc:
    """Give back an authorisation that was not captured."""
    before = world.get("charge", charge_id)
    charge = world.change("charge", charge_id, amount_refunded=before["amount"], refunded=True)
    world.emit("charge.refunded", charge, before)
    return charge


def outcome_noted(world: World, charge_id: str) -> Outcome:
    """How refunds and disputes of this charge go."""
    outcome = world.noted(charge_id).get("outcome", Outcome())
    assert isinstance(outcome, Outcome)  # noqa: S101 (narrows a note's type)
    return outcome


def retrieve(world: World, _: dict[str, Any], charge_id: str) -> Doc:
    """GET /v1/charges/:id."""
    return world.need("charge", charge_id, status=404)


def update(world: World, params: dict[str, Any], charge_id: str) -> Doc:
    """POST /v1/charges/:id."""
    before = world.need("charge", charge_id, status=404)
    changes: Doc = {name: params[name] for name in ("description", "receipt_email") if name in params}
    changes["metadata"] = merged(before["metadata"], params.get("metadata"))
    charge = world.change("charge", charge_id, **changes)
    world.emit("charge.updated", charge, before)
    return charge


def listed(world: World, params: dict[str, Any]) -> Doc:
    """GET /v1/charges."""
    wanted = matching(params, "customer", "payment_intent")
    return page(world, "charge", "/v1/charges", params, wanted)


def _book(world: World, charge: Doc) -> Doc:
    settings = world.settings
    kind = charge["payment_method_details"]["type"]
    at_once = outcome_noted(world, charge["payment_method"]).available_at_once
    entry = ledger.record(
        world,
        "charge" if kind == "card" else "payment",
        charge["amount_captured"],
        charge["currency"],
        charge["id"],
        fee_method=kind,
        description=charge["description"],
        available_after_s=0 if at_once else settings.available_after_s,
    )
    return world.change("charge", charge["id"], balance_transaction=entry["id"])


def _outcome(status: str, error: Doc | None) -> Doc | None:
    if status == "pending":
        return None
    failed = error is not None
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if failed else "approved_by_network",
        "reason": error.get("decline_code") if error else None,
        "risk_level": "normal",
        "seller_message": "The payment was declined." if failed else "Payment complete.",
        "type": "issuer_declined" if failed else "authorized",
    }


def _details(world: World, intent: Doc, method: Doc) -> Doc:
    kind = method["type"]
    if kind == "wechat_pay":
        facts: Doc = {"fingerprint": None, "transaction_id": "42" + world.digits(26)}
    elif kind == "alipay":
        facts = {"buyer_id": "2088" + world.digits(12), "fingerprint": None}
        facts["transaction_id"] = world.digits(28)
    else:
        facts = _card(intent, method["card"])
    return {"type": kind, kind: facts}


def _card(intent: Doc, card: Doc) -> Doc:
    kept = (
        "brand",
        "checks",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "last4",
        "wallet",
    )
    unavailable = {"status": "unavailable"}
    return {
        **{name: card[name] for name in kept},
        "amount_authorized": intent["amount"],
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": unavailable,
        "installments": None,
        "mandate": None,
        "multicapture": unavailable,
        "network": card["brand"],
        "network_token": {"used": False},
        "overcapture": {"maximum_amount_capturable": intent["amount"], **unavailable},
        "three_d_secure": None,
    }
