"""Disputes: a card holder's bank takes the money back until the case is decided. Only cards have them."""

from __future__ import annotations

from typing import Any

from simulators.stripe import ledger
from simulators.stripe.errors import RefusedError
from simulators.stripe.listing import PAGE, matching, page
from simulators.stripe.params import Spec, boolean, hash_of, merged, metadata, string
from simulators.stripe.shapes import EXPAND
from simulators.stripe.store import Doc
from simulators.stripe.world import World

REASONS = {"fraudulent": "10.4", "product_not_received": "13.1", "duplicate": "12.6", "general": "13.5"}
EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
_WORDS = string(20_000, unset=True)
UPDATE = Spec(
    evidence=hash_of(Spec(**dict.fromkeys(EVIDENCE, _WORDS))), metadata=metadata, submit=boolean, **EXPAND
)
CLOSE = Spec(**EXPAND)
LIST = PAGE.plus(charge=string(), payment_intent=string())
OPEN = ("needs_response", "warning_needs_response")
WINNING, LOSING = "winning_evidence", "losing_evidence"


def open_on(world: World, charge_id: str, reason: str, amount: int | None = None) -> Doc:
    """The card holder disputes a charge, or a part of it; "inquiry" asks without taking the money.

    Raises:
        RefusedError: not a card, not paid, disputed already, or nothing left of it.
    """
    charge = world.need("charge", charge_id, "charge", 404)
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount = left if amount is None else amount
    if charge["payment_method_details"]["type"] != "card" or not charge["paid"]:
        raise RefusedError("Only a paid card charge can be disputed.", param="charge")
    if charge["disputed"] or not 0 < amount <= left:
        raise RefusedError(f"Charge {charge_id} has nothing left that can be disputed.", param="charge")
    inquiry = reason == "inquiry"
    dispute = world.add("dispute", _document(world, charge, reason, amount))
    world.change("charge", charge_id, disputed=True)
    if inquiry:
        world.note(charge_id, refundable=True)
    else:
        dispute = _withdraw(world, dispute)
    _emit(world, "created", dispute)
    if not inquiry:
        _emit(world, "funds_withdrawn", dispute)
    world.later(world.settings.dispute_due_after_s, "dispute_due", dispute["id"])
    return dispute


def retrieve(world: World, _: dict[str, Any], dispute_id: str) -> Doc:
    """GET /v1/disputes/:id."""
    return world.need("dispute", dispute_id, "dispute", 404)


def update(world: World, params: dict[str, Any], dispute_id: str) -> Doc:
    """POST /v1/disputes/:id: hand in evidence, unless `submit` is false only stage it.

    `uncategorized_text` "winning_evidence" wins the case, anything else loses it, as in test mode.
    """
    before = retrieve(world, {}, dispute_id)
    if "evidence" in params and before["status"] not in OPEN:
        raise RefusedError(
            f"This dispute is {before['status']}: evidence can no longer be handed in.", param="evidence"
        )
    evidence = before["evidence"] | params.get("evidence", {})
    has_any = any(evidence[name] for name in EVIDENCE)
    details = before["evidence_details"] | {"has_evidence": has_any}
    changes: Doc = {"metadata": merged(before["metadata"], params.get("metadata"))}
    submitted = "evidence" in params and params.get("submit", True)
    if submitted:
        details |= {"submission_count": details["submission_count"] + 1, "submission_method": "manual"}
        warning = before["status"].startswith("warning")
        changes["status"] = "warning_under_review" if warning else "under_review"
        world.later(world.settings.dispute_closed_after_s, "dispute_decided", dispute_id)
    dispute = world.change("dispute", dispute_id, evidence=evidence, evidence_details=details, **changes)
    _emit(world, "updated", dispute, before)
    return dispute


def close(world: World, _: dict[str, Any], dispute_id: str) -> Doc:
    """POST /v1/disputes/:id/close: accept that it is lost."""
    dispute = retrieve(world, {}, dispute_id)
    if dispute["status"] not in OPEN:
        raise RefusedError(f"This dispute is already {dispute['status']} and cannot be closed.")
    return _end(world, dispute, won=False)


def decided(world: World, dispute_id: str) -> None:
    """The bank's decision on the evidence."""
    dispute = world.get("dispute", dispute_id)
    _end(world, dispute, won=dispute["evidence"]["uncategorized_text"] == WINNING)


def due(world: World, dispute_id: str) -> None:
    """The time for evidence is over; who was silent has lost."""
    dispute = world.get("dispute", dispute_id)
    if dispute["status"] in OPEN:
        details = dispute["evidence_details"] | {"past_due": True}
        _end(world, world.change("dispute", dispute_id, evidence_details=details), won=False)


def listed(world: World, params: dict[str, Any]) -> Doc:
    """GET /v1/disputes."""
    return page(world, "dispute", "/v1/disputes", params, matching(params, "charge", "payment_intent"))


def shown(world: World, dispute: Doc) -> Doc:
    """A dispute as answered now, its balance transactions in full."""
    entries = [world.get("balance_transaction", entry) for entry in dispute["balance_transactions"]]
    return dispute | {"balance_transactions": [ledger.shown(world, entry) for entry in entries]}


def _emit(world: World, what: str, dispute: Doc, before: Doc | None = None) -> None:
    was = shown(world, before) if before is not None else None
    world.emit(f"charge.dispute.{what}", shown(world, dispute), was)


def _end(world: World, before: Doc, won: bool) -> Doc:
    warning = before["status"].startswith("warning")
    status = "warning_closed" if warning else ("won" if won else "lost")
    dispute = world.change("dispute", before["id"], status=status, is_charge_refundable=warning)
    if warning:
        world.change("charge", dispute["charge"], disputed=False)
    elif won:
        dispute = _book(world, dispute, dispute["amount"], "dispute_reversal", 0)
        world.change("charge", dispute["charge"], disputed=False)
        _emit(world, "funds_reinstated", dispute)
    _emit(world, "closed", dispute, before)
    return dispute


def _withdraw(world: World, dispute: Doc) -> Doc:
    return _book(world, dispute, -dispute["amount"], "dispute", world.settings.dispute_fee_fen)


def _book(world: World, dispute: Doc, amount: int, category: str, fee_fen: int) -> Doc:
    entry = ledger.record(
        world,
        "adjustment",
        amount,
        dispute["currency"],
        dispute["id"],
        fee_fen=fee_fen,
        category=category,
        description=f"Chargeback {'withdrawal' if amount < 0 else 'reversal'} for {dispute['charge']}",
    )
    entries = [*dispute["balance_transactions"], entry["id"]]
    return world.change("dispute", dispute["id"], balance_transactions=entries)


def _document(world: World, charge: Doc, reason: str, amount: int) -> Doc:
    inquiry = reason == "inquiry"
    brand = charge["payment_method_details"]["card"]["brand"]
    network_code = REASONS.get(reason, REASONS["general"])
    return {
        "id": world.new_id("du_"),
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": world.now + world.settings.dispute_due_after_s,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": inquiry,
        "metadata": {},
        "network_reason_code": network_code,
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "type": "card",
            "card": {
                "brand": brand,
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": brand,
                "network_reason_code": network_code,
            },
        },
        "reason": "general" if inquiry else reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
