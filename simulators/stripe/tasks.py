"""What falls due by itself as time goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simulators.stripe import (
    attempts,
    charges,
    checkout_sessions,
    disputes,
    payouts,
    people,
    refunds,
)
from simulators.stripe.store import Doc
from simulators.stripe.world import World


def _session_expires(world: World, session_id: str) -> None:
    if world.get(checkout_sessions.KIND, session_id)["status"] == "open":
        checkout_sessions.close(world, session_id)


def _authorisation_expires(world: World, intent_id: str) -> None:
    if world.get("payment_intent", intent_id)["status"] == "requires_capture":
        attempts.cancel(world, intent_id, "automatic")


def _dispute(world: World, charge_id: str) -> None:
    reason = charges.outcome_noted(world, charge_id).dispute
    if reason is not None:
        disputes.open_on(world, charge_id, reason)


ACTIONS: Mapping[str, Callable[[World, str], object]] = {
    "authorisation_expires": _authorisation_expires,
    "daily_payout": lambda world, _: payouts.daily(world),
    "dispute": _dispute,
    "dispute_decided": disputes.decided,
    "dispute_due": disputes.due,
    "payment_confirmed": people.confirmed_late,
    "payout_arrives": payouts.arrive,
    "payout_leaves": payouts.leave,
    "payout_reconciled": payouts.reconciled,
    "refund_confirmed": refunds.confirmed,
    "session_expires": _session_expires,
}


def do(world: World, task: Doc) -> None:
    """One task whose time has come."""
    ACTIONS[task["action"]](world, task["target"])
