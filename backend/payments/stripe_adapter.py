"""Stripe behind the provider port; the one home of stripe-python."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
import stripe

from backend.payments.port import (
    CheckoutOrder,
    CheckoutState,
    CheckoutStatus,
    Method,
    Notice,
    NoticeKind,
    NoticeRefusedError,
    ProviderCheckout,
    ProviderRefusedError,
    ProviderUnavailableError,
)

T = TypeVar("T")
API_VERSION: Final = "2026-10-28.endive"
NAME: Final = "stripe"
# StripeClient tries once unless it is told otherwise; the idempotency key is the same on each attempt.
RETRIES: Final = 2
# Both directions: Stripe's own check looks only back, and a notice of the future would live for ever.
TOLERANCE_S: Final = 300
ANSWER_S_MAX: Final = 15.0
SIGNATURE: Final = "stripe-signature"
PRODUCT_ZH: Final = "公租房费用"

CHECKOUT_EVENTS: Final = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    }
)
# They tell of a checkout's payment what the checkout's own notice says better. Everything else that Stripe
# may send is parked: refunds, disputes and payouts move money, and nothing of that kind is passed over.
IRRELEVANT_EVENTS: Final = frozenset(
    {
        "charge.pending",
        "charge.succeeded",
        "charge.failed",
        "charge.updated",
        "payment_intent.canceled",
        "payment_intent.created",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
        "payment_method.attached",
    }
)


class _Session(msgspec.Struct):
    """The fields of a Checkout Session that a notice carries and we read."""

    id: str
    status: str | None
    payment_status: str
    amount_total: int | None
    currency: str | None
    payment_intent: str | None = None
    metadata: dict[str, str] | None = None


class _Data(msgspec.Struct):
    object: msgspec.Raw


class _Event(msgspec.Struct):
    id: str
    type: str
    created: int
    data: _Data
    api_version: str | None = None


# Made at import: msgspec 0.22 crashes where two threads are the first to use a Struct, both at once.
_SESSION_DECODER, _EVENT_DECODER = msgspec.json.Decoder(_Session), msgspec.json.Decoder(_Event)


class StripeProvider:
    """One Stripe account.

    Args:
        api_key: of the account.
        webhook_secrets: of the endpoint; two while one is being replaced.
        api_base: where the API is; None for Stripe itself.
    """

    def __init__(
        self,
        api_key: str,
        webhook_secrets: Sequence[str],
        api_base: str | None = None,
        retries: int = RETRIES,
    ) -> None:
        self._secrets = tuple(webhook_secrets)
        self._client = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            max_network_retries=retries,
            base_addresses={"api": api_base} if api_base else {},
            http_client=stripe.RequestsClient(timeout=ANSWER_S_MAX),
        )

    @property
    def name(self) -> str:
        """One word, as it stands in the books."""
        return NAME

    def start_checkout(self, order: CheckoutOrder) -> ProviderCheckout:
        """Open a Checkout Session; see the port."""
        references = {"checkout": str(order.checkout_id), "book": order.book_id}
        params: stripe.params.checkout.SessionCreateParams = {
            "mode": "payment",
            # The way to ask for one method in the pinned version; `payment_method_types` is gone from it.
            "allowed_payment_method_types": [order.method.value],
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": "cny",
                        "unit_amount": order.amount_fen,
                        "product_data": {"name": PRODUCT_ZH},
                    },
                }
            ],
            "client_reference_id": str(order.checkout_id),
            "metadata": references,
            # On the payment as well, so that Stripe's reports can be asked for it.
            "payment_intent_data": {"metadata": references},
            "expires_at": int(order.expires_at.timestamp()),
            "success_url": order.return_url,
            "cancel_url": order.return_url,
            "locale": "zh",
        }
        if order.method is Method.WECHAT_PAY:
            params["payment_method_options"] = {"wechat_pay": {"client": "web"}}
        session = _asked(
            lambda: self._client.v1.checkout.sessions.create(
                params, {"idempotency_key": order.idempotency_key}
            )
        )
        if session.url is None:
            raise ProviderRefusedError(NAME, "no_url")
        return ProviderCheckout(session.id, session.url)

    def status(self, provider_ref: str) -> CheckoutStatus:
        """Ask Stripe for the Checkout Session as it is now; see the port."""
        found = _asked(
            lambda: self._client.v1.checkout.sessions.retrieve(
                provider_ref, {"expand": ["payment_intent.latest_charge"]}
            )
        ).to_dict()
        intent: dict[str, Any] = found["payment_intent"] or {}
        charge: dict[str, Any] = intent.get("latest_charge") or {}
        session = msgspec.convert({**found, "payment_intent": intent.get("id")}, _Session)
        return _status(session, intent.get("status"), charge.get("created"))

    def parse_notice(self, raw: bytes, headers: Mapping[str, str], now: datetime) -> Notice:
        """Verify Stripe's signature and its time, and read the event; see the port."""
        header = next((value for name, value in headers.items() if name.lower() == SIGNATURE), "")
        self._check_signature(raw, header)
        # The signature covers the first timestamp, which is the one that is checked.
        signed_at = re.search(r"(?:^|,)t=(\d{1,15})", header)
        if signed_at is None or abs(now.timestamp() - int(signed_at[1])) > TOLERANCE_S:
            raise NoticeRefusedError(NAME, "timestamp")
        return self.read_notice(raw)

    def read_notice(self, raw: bytes) -> Notice:
        """Read an event; see the port."""
        try:
            event = _EVENT_DECODER.decode(raw)
        except msgspec.DecodeError:
            return Notice(f"sha256:{hashlib.sha256(raw).hexdigest()}", NoticeKind.UNREADABLE, "?")
        what = f"{event.type} {event.api_version}"
        if event.type in IRRELEVANT_EVENTS:
            return Notice(event.id, NoticeKind.IRRELEVANT, what)
        if event.api_version != API_VERSION:
            return Notice(event.id, NoticeKind.UNKNOWN_VERSION, what)
        if event.type not in CHECKOUT_EVENTS:
            return Notice(event.id, NoticeKind.UNKNOWN_KIND, what)
        try:
            session = _SESSION_DECODER.decode(event.data.object)
        except msgspec.DecodeError:
            return Notice(event.id, NoticeKind.UNREADABLE, what)
        return Notice(event.id, NoticeKind.CHECKOUT, what, _status(session, None, event.created))

    def _check_signature(self, raw: bytes, header: str) -> None:
        for secret in self._secrets:
            try:
                # Without a tolerance: it would compare with this machine's clock instead of `now`.
                stripe.WebhookSignature.verify_header(raw, header, secret, tolerance=None)
            except (stripe.SignatureVerificationError, UnicodeDecodeError):
                continue
            return
        raise NoticeRefusedError(NAME, "signature")


def _asked(call: Callable[[], T]) -> T:
    """The answer, or our own error; a fault of our key or of a limit passes, a wrong request does not."""
    try:
        return call()
    except (stripe.InvalidRequestError, stripe.IdempotencyError, stripe.CardError) as error:
        if error.http_status == 409:  # another request holds the key right now
            raise ProviderUnavailableError(NAME, error.code or "conflict") from error
        raise ProviderRefusedError(NAME, error.code or type(error).__name__) from error
    except stripe.StripeError as error:
        raise ProviderUnavailableError(NAME, error.code or type(error).__name__) from error


def _status(session: _Session, intent_status: str | None, paid_at: int | None) -> CheckoutStatus:
    state = _state(session, intent_status)
    return CheckoutStatus(
        checkout_id=_uuid((session.metadata or {}).get("checkout")),
        provider_ref=session.id,
        state=state,
        payment_ref=session.payment_intent,
        amount_fen=session.amount_total or 0,
        currency=session.currency or "",
        paid_at=datetime.fromtimestamp(paid_at, UTC)
        if state is CheckoutState.PAID and paid_at is not None
        else None,
    )


def _state(session: _Session, intent_status: str | None) -> CheckoutState:
    if session.payment_status == "paid":
        return CheckoutState.PAID
    if session.status == "expired":
        return CheckoutState.EXPIRED
    if session.status == "complete":
        # A wallet's payment that fails after the page was left: the session stays complete and unpaid.
        failed = intent_status in {"requires_payment_method", "canceled"}
        return CheckoutState.FAILED if failed else CheckoutState.PROCESSING
    return CheckoutState.OPEN


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
