"""What the stand-in holds to be true about money, for the other side's books to be compared with."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.stripe import ledger
from simulators.stripe.store import Doc
from simulators.stripe.world import World


def captured(world: World) -> Doc:
    """All captured money, payment by payment, and where it is now; in the smallest unit.

    `captured - refunded - disputed - fees = available + pending + paid_out` holds at each moment (in the
    settlement currency; equal to what customers paid where nothing was exchanged).
    """
    payments = list(_payments(world))
    available, pending = ledger.totals(world)
    return {
        "captured_fen": sum(payment["amount_fen"] for payment in payments),
        "refunded_fen": -_sum(world, "refund", "refund_failure"),
        "disputed_fen": -_sum(world, "dispute", "dispute_reversal"),
        "fees_fen": sum(entry["fee"] for entry in world.store.oldest_first("balance_transaction")),
        "paid_out_fen": -_sum(world, "payout", "payout_reversal"),
        "available_fen": available,
        "pending_fen": pending,
        "payments": payments,
    }


def _sum(world: World, *categories: str) -> int:
    entries = world.store.oldest_first("balance_transaction")
    return sum(entry["amount"] for entry in entries if entry["reporting_category"] in categories)


def _payments(world: World) -> Iterator[Doc]:
    for charge in world.store.oldest_first("charge"):
        if not charge["paid"] or not charge["captured"]:
            continue
        session_id = world.noted(charge["payment_intent"]).get("session")
        session = world.store.get("checkout.session", session_id) if session_id else None
        yield {
            "charge": charge["id"],
            "payment_intent": charge["payment_intent"],
            "session": session_id,
            "client_reference_id": session["client_reference_id"] if session else None,
            "metadata": (session or charge)["metadata"],
            "method": charge["payment_method_details"]["type"],
            "currency": charge["currency"],
            "amount_fen": charge["amount_captured"],
            "refunded_fen": charge["amount_refunded"],
            "disputed": charge["disputed"],
        }
