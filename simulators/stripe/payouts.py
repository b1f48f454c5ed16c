"""Payouts to the bank account: by themselves each day, or asked for, and their reconciliation."""

from __future__ import annotations

from typing import Any

from simulators.stripe import ledger
from simulators.stripe.errors import RefusedError
from simulators.stripe.listing import PAGE, matching, page
from simulators.stripe.params import Spec, integer, merged, metadata, moment_range, one_of, string, within
from simulators.stripe.settings import DAY_S
from simulators.stripe.shapes import EXPAND
from simulators.stripe.store import Doc
from simulators.stripe.world import World

CREATE = Spec(
    "amount",
    "currency",
    amount=integer(1),
    currency=string(3),
    description=string(),
    metadata=metadata,
    method=one_of("standard"),
    source_type=one_of("card", "bank_account"),
    statement_descriptor=string(22),
    **EXPAND,
)
UPDATE = Spec(metadata=metadata, **EXPAND)
CANCEL = Spec(**EXPAND)
LIST = PAGE.plus(
    arrival_date=moment_range, status=one_of("pending", "in_transit", "paid", "failed", "canceled")
)
ENTRIES = PAGE.plus(payout=string(), type=string(), currency=string(3), source=string())


def daily(world: World) -> None:
    """What the account does by itself at each midnight (UTC)."""
    pay_out_available(world)
    schedule_daily(world)


def schedule_daily(world: World) -> None:
    """Come back at the next midnight."""
    world.later(DAY_S - world.now % DAY_S, "daily_payout", "")


def pay_out_available(world: World) -> Doc | None:
    """An automatic payout of all that is available and not paid out yet; None if that is not positive."""
    entries = [
        entry
        for entry in world.store.oldest_first("balance_transaction")
        if entry["available_on"] <= world.now and world.store.get("_paid_out", entry["id"]) is None
    ]
    amount = sum(entry["net"] for entry in entries)
    if amount <= 0:
        return None
    payout = _new(world, amount, automatic=True, params={})
    for entry in entries:
        world.store.put("_paid_out", {"id": entry["id"], "payout": payout["id"]})
    return payout


def create(world: World, params: dict[str, Any]) -> Doc:
    """POST /v1/payouts: a manual one."""
    currency = world.settings.settlement_currency
    if params["currency"].lower() != currency:
        raise RefusedError(
            f"You don't have any external accounts in {params['currency'].lower()}.", param="currency"
        )
    available, _ = ledger.totals(world)
    if params["amount"] > available:
        raise RefusedError(
            "You have insufficient funds in your Stripe account for this transfer. Your card balance is too "
            "low. You can use the /v1/balance endpoint to view your Stripe balance (for more details, see "
            "stripe.com/docs/api#balance).",
            code="balance_insufficient",
        )
    return _new(world, params["amount"], automatic=False, params=params)


def retrieve(world: World, _: dict[str, Any], payout_id: str) -> Doc:
    """GET /v1/payouts/:id."""
    return world.need("payout", payout_id, "payout", 404)


def update(world: World, params: dict[str, Any], payout_id: str) -> Doc:
    """POST /v1/payouts/:id."""
    before = retrieve(world, {}, payout_id)
    payout = world.change("payout", payout_id, metadata=merged(before["metadata"], params.get("metadata")))
    world.emit("payout.updated", payout, before)
    return payout


def cancel(world: World, _: dict[str, Any], payout_id: str) -> Doc:
    """POST /v1/payouts/:id/cancel: only a manual one that has not left yet."""
    payout = retrieve(world, {}, payout_id)
    if payout["status"] != "pending":
        raise RefusedError(
            f"Payouts can only be canceled while they are pending; this one is {payout['status']}."
        )
    return _taken_back(world, payout, "payout_cancel", "canceled", {})


def arrive(world: World, payout_id: str) -> None:
    """The money reaches the bank, or comes back when the control API said it would."""
    payout = world.get("payout", payout_id)
    if payout["status"] not in ("pending", "in_transit"):
        return
    if world.noted(payout_id).get("will_fail"):
        _taken_back(
            world,
            payout,
            "payout_failure",
            "failed",
            {"failure_code": "account_closed", "failure_message": "The bank account has been closed."},
        )
        return
    trace = {"status": "supported", "value": world.digits(15)}
    world.emit("payout.paid", world.change("payout", payout_id, status="paid", trace_id=trace), payout)


def leave(world: World, payout_id: str) -> None:
    """A pending payout is handed to the bank."""
    payout = world.get("payout", payout_id)
    if payout["status"] == "pending":
        world.emit("payout.updated", world.change("payout", payout_id, status="in_transit"), payout)


def reconciled(world: World, payout_id: str) -> None:
    """Its balance transactions are all there now."""
    before = world.get("payout", payout_id)
    payout = world.change("payout", payout_id, reconciliation_status="completed")
    world.emit("payout.reconciliation_completed", payout, before)


def listed(world: World, params: dict[str, Any]) -> Doc:
    """GET /v1/payouts."""
    wanted = matching(params, "status")
    arrival = params.get("arrival_date")
    return page(
        world,
        "payout",
        "/v1/payouts",
        params,
        lambda doc: wanted(doc) and within(doc["arrival_date"], arrival),
    )


def entry(world: World, _: dict[str, Any], entry_id: str) -> Doc:
    """GET /v1/balance_transactions/:id."""
    return world.need("balance_transaction", entry_id, status=404)


def entries(world: World, params: dict[str, Any]) -> Doc:
    """GET /v1/balance_transactions; `payout` gives what one automatic payout consists of, and itself."""
    wanted = matching(params, "type", "currency", "source")
    if (payout_id := params.get("payout")) is None:
        return page(world, "balance_transaction", "/v1/balance_transactions", params, wanted)
    if not world.need("payout", payout_id, "payout")["automatic"]:
        raise RefusedError(
            "Balance transaction history can only be filtered on automatic transfers, not manual.",
            param="payout",
        )

    def of_payout(doc: Doc) -> bool:
        part = world.store.get("_paid_out", doc["id"])
        return part is not None and part["payout"] == payout_id and wanted(doc)

    return page(world, "balance_transaction", "/v1/balance_transactions", params, of_payout)


def _new(world: World, amount: int, automatic: bool, params: dict[str, Any]) -> Doc:
    settings = world.settings
    payout = world.add(
        "payout",
        {
            "id": world.new_id("po_"),
            "amount": amount,
            "application_fee": None,
            "application_fee_amount": None,
            "arrival_date": world.now + settings.payout_arrives_after_s,
            "automatic": automatic,
            "balance_transaction": None,
            "currency": settings.settlement_currency,
            "description": params.get("description", "STRIPE PAYOUT" if automatic else None),
            "destination": "ba_1SmartEstateTreasury",
            "failure_balance_transaction": None,
            "failure_code": None,
            "failure_message": None,
            "metadata": merged({}, params.get("metadata")),
            "method": "standard",
            "original_payout": None,
            "payout_method": None,
            "reconciliation_status": "in_progress" if automatic else "not_applicable",
            "reversed_by": None,
            "source_type": params.get("source_type", "card"),
            "statement_descriptor": params.get("statement_descriptor"),
            "status": "pending",
            "trace_id": {"status": "pending", "value": None},
            "type": "bank_account",
        },
    )
    booked = ledger.record(
        world, "payout", -amount, settings.settlement_currency, payout["id"], description="STRIPE PAYOUT"
    )
    if automatic:  # a manual one is part of what the next automatic one pays out, with its sign
        world.store.put("_paid_out", {"id": booked["id"], "payout": payout["id"]})
    payout = world.change("payout", payout["id"], balance_transaction=booked["id"])
    world.emit("payout.created", payout)
    world.later(settings.payout_arrives_after_s // 2, "payout_leaves", payout["id"])
    world.later(settings.payout_arrives_after_s, "payout_arrives", payout["id"])
    if automatic:
        world.later(settings.reconciled_after_s, "payout_reconciled", payout["id"])
    return payout


def _taken_back(world: World, before: Doc, kind: str, status: str, facts: Doc) -> Doc:
    booked = ledger.record(
        world, kind, before["amount"], before["currency"], before["id"], description="PAYOUT REVERSAL"
    )
    payout = world.change(
        "payout", before["id"], status=status, failure_balance_transaction=booked["id"], **facts
    )
    world.emit(f"payout.{status}", payout, before)
    return payout
