"""Refunds: cards at once, wallets asynchronously; one that fails puts the money back."""

from __future__ import annotations

from typing import Any

from simulators.stripe import charges, ledger
from simulators.stripe.errors import MalformedError, RefusedError, money
from simulators.stripe.listing import PAGE, matching, page
from simulators.stripe.params import Spec, integer, merged, metadata, one_of, string
from simulators.stripe.shapes import EXPAND
from simulators.stripe.store import Doc
from simulators.stripe.world import World

CREATE = Spec(
    amount=integer(1),
    charge=string(),
    currency=string(3),
    instructions_email=string(),
    metadata=metadata,
    payment_intent=string(),
    reason=one_of("duplicate", "fraudulent", "requested_by_customer"),
    **EXPAND,
)
UPDATE = Spec(metadata=metadata, **EXPAND)
CANCEL = Spec(**EXPAND)
LIST = PAGE.plus(charge=string(), payment_intent=string())


def create(world: World, params: dict[str, Any]) -> Doc:
    """POST /v1/refunds.

    Raises:
        RefusedError: nothing to refund, more than is left, disputed, or too late for the channel.
    """
    charge = _charge_of(world, params)
    amount = _amount_of(world, charge, params)
    card = charge["payment_method_details"]["type"] == "card"
    plan = charges.outcome_noted(world, charge["id"]).refund
    pending = plan == "late" or not card
    refund = world.add(
        "refund",
        {
            "id": world.new_id("re_" if card else "pyr_"),
            "amount": amount,
            "balance_transaction": None,
            "charge": charge["id"],
            "currency": charge["currency"],
            "customer": charge["customer"],
            "destination_details": _destination(charge, pending),
            "metadata": merged({}, params.get("metadata")),
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "reason": params.get("reason"),
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "pending" if pending else "succeeded",
            "transfer_reversal": None,
        }
        | ({"pending_reason": "processing"} if pending else {}),
    )
    entry = ledger.record(
        world,
        "refund" if card else "payment_refund",
        -amount,
        charge["currency"],
        refund["id"],
        description=f"REFUND FOR {'CHARGE' if card else 'PAYMENT'}",
    )
    refund = world.change("refund", refund["id"], balance_transaction=entry["id"])
    returned = charge["amount_refunded"] + amount
    after = world.change(
        "charge", charge["id"], amount_refunded=returned, refunded=returned == charge["amount_captured"]
    )
    world.emit("refund.created", refund)
    world.emit("charge.refunded", after, charge)
    if pending or plan == "fail":
        world.later(world.settings.refund_confirmed_after_s, "refund_confirmed", refund["id"])
    return refund


def confirmed(world: World, refund_id: str) -> None:
    """The channel's last word on a refund."""
    before = world.get("refund", refund_id)
    if charges.outcome_noted(world, before["charge"]).refund == "fail":
        _failed(world, before)
        return
    settled = {name: value for name, value in before.items() if name != "pending_reason"}
    refund = world.store.put("refund", settled | {"status": "succeeded"})
    world.emit("refund.updated", refund, before)
    world.emit("charge.refund.updated", refund, before)


def retrieve(world: World, _: dict[str, Any], refund_id: str) -> Doc:
    """GET /v1/refunds/:id."""
    return world.need("refund", refund_id, status=404)


def update(world: World, params: dict[str, Any], refund_id: str) -> Doc:
    """POST /v1/refunds/:id."""
    before = retrieve(world, {}, refund_id)
    refund = world.change("refund", refund_id, metadata=merged(before["metadata"], params.get("metadata")))
    world.emit("refund.updated", refund, before)
    world.emit("charge.refund.updated", refund, before)
    return refund


def cancel(world: World, _: dict[str, Any], refund_id: str) -> Doc:
    """POST /v1/refunds/:id/cancel: only one that waits for account details, and none here does."""
    refund = retrieve(world, {}, refund_id)
    raise RefusedError(
        f"This refund cannot be canceled because it has a status of {refund['status']}. Only refunds with a "
        "status of requires_action can be canceled."
    )


def listed(world: World, params: dict[str, Any]) -> Doc:
    """GET /v1/refunds."""
    return page(world, "refund", "/v1/refunds", params, matching(params, "charge", "payment_intent"))


def _charge_of(world: World, params: dict[str, Any]) -> Doc:
    if "charge" in params and "payment_intent" in params:
        raise RefusedError(
            "You may only specify one of these parameters: charge, payment_intent.", param="charge"
        )
    if "charge" in params:
        return world.need("charge", params["charge"], "charge")
    if "payment_intent" not in params:
        raise MalformedError(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
        )
    intent = world.need("payment_intent", params["payment_intent"], "payment_intent")
    if intent["status"] not in ("succeeded", "requires_capture"):
        raise RefusedError(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
            param="payment_intent",
        )
    return world.get("charge", intent["latest_charge"])


def _amount_of(world: World, charge: Doc, params: dict[str, Any]) -> int:
    if not charge["paid"] or not charge["captured"]:
        raise RefusedError(f"Charge {charge['id']} has not been paid and cannot be refunded.", param="charge")
    if charge["disputed"] and not world.noted(charge["id"]).get("refundable", False):
        raise RefusedError(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
            param="charge",
        )
    left = charge["amount_captured"] - charge["amount_refunded"]
    if left == 0:
        raise RefusedError(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    amount: int = params.get("amount", left)
    if amount > left:
        raise RefusedError(
            f"Refund amount ({money(amount, charge['currency'])}) is greater than unrefunded amount on "
            f"charge ({money(left, charge['currency'])})",
            param="amount",
        )
    kind = charge["payment_method_details"]["type"]
    window_s = world.settings.refund_window_s.get(kind)
    if window_s is not None and world.now > charge["created"] + window_s:
        raise RefusedError(
            f"This charge can no longer be refunded: {kind} payments can be refunded for "
            f"{window_s // 86_400} days."
        )
    if "currency" in params and params["currency"].lower() != charge["currency"]:
        raise RefusedError(
            f"The currency must be that of the charge: {charge['currency']}.", param="currency"
        )
    return amount


def _destination(charge: Doc, pending: bool) -> Doc:
    kind = charge["payment_method_details"]["type"]
    if kind == "card":
        return {
            "type": "card",
            "card": {
                "reference_status": "pending" if pending else "available",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
        }
    return {"type": kind, kind: {}}


def _failed(world: World, before: Doc) -> None:
    entry = ledger.record(
        world,
        "refund_failure",
        before["amount"],
        before["currency"],
        before["id"],
        description="REFUND FAILURE",
    )
    settled = {name: value for name, value in before.items() if name != "pending_reason"}
    refund = world.store.put(
        "refund",
        settled
        | {
            "status": "failed",
            "failure_reason": "declined",
            "failure_balance_transaction": entry["id"],
        },
    )
    charge = world.get("charge", before["charge"])
    world.change(
        "charge", charge["id"], amount_refunded=charge["amount_refunded"] - before["amount"], refunded=False
    )
    world.emit("refund.updated", refund, before)
    world.emit("charge.refund.updated", refund, before)
    world.emit("refund.failed", refund, before)
