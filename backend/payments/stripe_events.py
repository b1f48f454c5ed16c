"""What Stripe says, read into our words: events as they came, objects as they were answered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from backend.payments.money_back import DisputeState, DisputeStatus, RefundState, RefundStatus
from backend.payments.port import CheckoutState, CheckoutStatus, Notice, NoticeKind

API_VERSION: Final = "2026-10-28.endive"
CHECKOUT_EVENTS: Final = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    }
)
REFUND_EVENTS: Final = frozenset({"refund.created", "refund.updated", "refund.failed"})
DISPUTE_EVENTS: Final = frozenset(
    {
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    }
)
# They tell of a payment, a refund or a payout what its own notice, or the account's lines, say better.
# Everything else that Stripe may send is parked: nothing that moves money is passed over.
IRRELEVANT_EVENTS: Final = frozenset(
    {
        "charge.pending",
        "charge.succeeded",
        "charge.failed",
        "charge.updated",
        "charge.refunded",
        "charge.refund.updated",
        "customer.created",
        "customer.updated",
        "payment_intent.canceled",
        "payment_intent.created",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
        "payment_method.attached",
        "payout.canceled",
        "payout.created",
        "payout.failed",
        "payout.paid",
        "payout.reconciliation_completed",
        "payout.updated",
    }
)
DISPUTE_STATES: Final[Mapping[str, DisputeState]] = {
    "needs_response": DisputeState.OPEN,
    "warning_needs_response": DisputeState.OPEN,
    "under_review": DisputeState.ANSWERED,
    "warning_under_review": DisputeState.ANSWERED,
    "won": DisputeState.WON,
    "warning_closed": DisputeState.WON,
    "prevented": DisputeState.WON,
    "lost": DisputeState.LOST,
}
REFUND_STATES: Final[Mapping[str, RefundState]] = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "succeeded": RefundState.DONE,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}


class Session(msgspec.Struct):
    """The fields of a Checkout Session that a notice carries and we read."""

    id: str
    status: str | None
    payment_status: str
    amount_total: int | None
    currency: str | None
    payment_intent: str | None = None
    metadata: dict[str, str] | None = None


class Refund(msgspec.Struct):
    """Of a refund."""

    id: str
    status: str
    amount: int
    currency: str
    payment_intent: str | None = None
    metadata: dict[str, str] | None = None
    failure_reason: str | None = None


class _EvidenceDetails(msgspec.Struct):
    due_by: int | None = None


class _Booked(msgspec.Struct):
    amount: int


class Dispute(msgspec.Struct):
    """Of a dispute."""

    id: str
    status: str
    amount: int
    currency: str
    reason: str
    evidence_details: _EvidenceDetails
    balance_transactions: list[_Booked]
    payment_intent: str | None = None


class _Data(msgspec.Struct):
    object: msgspec.Raw


class _Event(msgspec.Struct):
    id: str
    type: str
    created: int
    data: _Data
    api_version: str | None = None


# Made at import: msgspec 0.22 crashes where two threads are the first to use a Struct, both at once.
_EVENTS, _SESSIONS = msgspec.json.Decoder(_Event), msgspec.json.Decoder(Session)
_REFUNDS, _DISPUTES = msgspec.json.Decoder(Refund), msgspec.json.Decoder(Dispute)


def read_event(raw: bytes) -> Notice:
    """An event as a notice; what cannot be read is named by its hash, so that it is kept once."""
    try:
        event = _EVENTS.decode(raw)
    except msgspec.DecodeError:
        return Notice(f"sha256:{hashlib.sha256(raw).hexdigest()}", NoticeKind.UNREADABLE, "?")
    what = f"{event.type} {event.api_version}"
    if event.type in IRRELEVANT_EVENTS:
        return Notice(event.id, NoticeKind.IRRELEVANT, what)
    if event.api_version != API_VERSION:
        return Notice(event.id, NoticeKind.UNKNOWN_VERSION, what)
    try:
        return _read(event, what)
    except (msgspec.DecodeError, KeyError):
        return Notice(event.id, NoticeKind.UNREADABLE, what)


def _read(event: _Event, what: str) -> Notice:
    raw = event.data.object
    if event.type in CHECKOUT_EVENTS:
        status = checkout_status(_SESSIONS.decode(raw), None, event.created)
        return Notice(event.id, NoticeKind.CHECKOUT, what, status)
    if event.type in REFUND_EVENTS:
        return Notice(event.id, NoticeKind.REFUND, what, refund=refund_status(_REFUNDS.decode(raw)))
    if event.type in DISPUTE_EVENTS:
        return Notice(event.id, NoticeKind.DISPUTE, what, dispute=dispute_status(_DISPUTES.decode(raw)))
    return Notice(event.id, NoticeKind.UNKNOWN_KIND, what)


def checkout_status(
    session: Session, intent: Mapping[str, Any] | None, paid_at: int | None
) -> CheckoutStatus:
    """A Checkout Session in our words.

    Args:
        intent: its PaymentIntent where that was asked for as well.
        paid_at: seconds since 1970, if it is paid.
    """
    state = _state(session, intent["status"] if intent else None)
    return CheckoutStatus(
        checkout_id=uuid_of(session.metadata, "checkout"),
        provider_ref=session.id,
        state=state,
        payment_ref=session.payment_intent,
        amount_fen=session.amount_total or 0,
        currency=session.currency or "",
        paid_at=moment(paid_at) if state is CheckoutState.PAID else None,
        card_ref=card_ref(intent) if intent else None,
    )


def intent_status(intent: Mapping[str, Any]) -> CheckoutStatus:
    """A PaymentIntent of a kept card in our words; its `latest_charge` is there in full."""
    paid = intent["status"] == "succeeded"
    ended = intent["status"] in {"requires_payment_method", "requires_action", "canceled"}
    state = CheckoutState.PAID if paid else CheckoutState.FAILED if ended else CheckoutState.PROCESSING
    charge: Mapping[str, Any] = intent["latest_charge"] or {}
    return CheckoutStatus(
        checkout_id=uuid_of(intent["metadata"], "checkout"),
        provider_ref=intent["id"],
        state=state,
        payment_ref=intent["id"],
        amount_fen=intent["amount"],
        currency=intent["currency"],
        paid_at=moment(charge.get("created")) if paid else None,
    )


def refund_status(refund: Refund) -> RefundStatus:
    """A refund in our words; KeyError for a status that is not known here."""
    return RefundStatus(
        refund_id=uuid_of(refund.metadata, "refund"),
        provider_ref=refund.id,
        payment_ref=refund.payment_intent or "",
        state=REFUND_STATES[refund.status],
        amount_fen=refund.amount,
        currency=refund.currency,
        reason=refund.failure_reason,
    )


def dispute_status(dispute: Dispute) -> DisputeStatus:
    """A dispute in our words; KeyError for a status that is not known here."""
    return DisputeStatus(
        provider_ref=dispute.id,
        payment_ref=dispute.payment_intent or "",
        state=DISPUTE_STATES[dispute.status],
        amount_fen=dispute.amount,
        currency=dispute.currency,
        reason=dispute.reason,
        taken=sum(booked.amount for booked in dispute.balance_transactions) < 0,
        answer_by=moment(dispute.evidence_details.due_by),
    )


def card_ref(intent: Mapping[str, Any]) -> str | None:
    """The kept card of a PaymentIntent, if it was to be kept."""
    kept = intent.get("setup_future_usage") and intent.get("customer") and intent.get("payment_method")
    return f"{intent['customer']}/{intent['payment_method']}" if kept else None


def moment(seconds: int | None) -> datetime | None:
    """Seconds since 1970 as a moment."""
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None


def uuid_of(metadata: Mapping[str, str] | None, name: str) -> UUID | None:
    """Our own reference out of the metadata; None where somebody else's is there, or nothing."""
    try:
        return UUID((metadata or {})[name])
    except (KeyError, ValueError):
        return None


def _state(session: Session, intent_status: str | None) -> CheckoutState:
    if session.payment_status == "paid":
        return CheckoutState.PAID
    if session.status == "expired":
        return CheckoutState.EXPIRED
    if session.status == "complete":
        # A wallet's payment that fails after the page was left: the session stays complete and unpaid.
        failed = intent_status in {"requires_payment_method", "canceled"}
        return CheckoutState.FAILED if failed else CheckoutState.PROCESSING
    return CheckoutState.OPEN
