"""Stripe behind the provider port; stripe-python is at home here and in `stripe_lines`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, cast

import msgspec
import stripe

from backend.payments.lines import SettlementLine
from backend.payments.money_back import DisputeStatus, RefundOrder, RefundStatus
from backend.payments.port import (
    ONLINE,
    CheckoutOrder,
    CheckoutState,
    CheckoutStatus,
    Method,
    Notice,
    NoticeRefusedError,
    ProviderCheckout,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from backend.payments.stripe_events import (
    API_VERSION,
    DISPUTE_EVENTS,
    REFUND_EVENTS,
    Dispute,
    Refund,
    Session,
    checkout_status,
    dispute_status,
    intent_status,
    read_event,
    refund_status,
    uuid_of,
)
from backend.payments.stripe_lines import balance_before, lines_between

T = TypeVar("T")
NAME: Final = "stripe"
# StripeClient tries once unless it is told otherwise; the idempotency key is the same on each attempt.
RETRIES: Final = 2
# Both directions: Stripe's own check looks only back, and a notice of the future would live for ever.
TOLERANCE_S: Final = 300
ANSWER_S_MAX: Final = 15.0
SIGNATURE: Final = "stripe-signature"
PRODUCT_ZH: Final = "公租房费用"
REFUND_WINDOWS: Final = {Method.WECHAT_PAY: timedelta(days=180), Method.ALIPAY: timedelta(days=90)}


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

    @property
    def methods(self) -> frozenset[Method]:
        """How one can pay through it."""
        return frozenset(ONLINE)

    def start_checkout(self, order: CheckoutOrder) -> ProviderCheckout:
        """Open a Checkout Session; see the port."""
        references = _references(order)
        params: stripe.params.checkout.SessionCreateParams = {
            "mode": "payment",
            # The way to ask for one method in the pinned version; `payment_method_types` is gone from it.
            "allowed_payment_method_types": [cast(Any, order.method.value)],
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
        if order.keep_card:
            params["customer_creation"] = "always"
            params["payment_intent_data"] = {"metadata": references, "setup_future_usage": "off_session"}
        session = _asked(
            lambda: self._client.v1.checkout.sessions.create(
                params, {"idempotency_key": order.idempotency_key}
            )
        )
        if session.url is None:
            raise ProviderRefusedError(NAME, "no_url")
        return ProviderCheckout(session.id, session.url)

    def status(self, provider_ref: str) -> CheckoutStatus:
        """Ask Stripe for the Checkout Session, or the charge of a kept card, as it is now; see the port."""
        if provider_ref.startswith("pi_"):
            return intent_status(self._intent(provider_ref))
        found = _asked(
            lambda: self._client.v1.checkout.sessions.retrieve(
                provider_ref, {"expand": ["payment_intent.latest_charge"]}
            )
        ).to_dict()
        intent: dict[str, Any] | None = found["payment_intent"]
        charge: dict[str, Any] = (intent or {}).get("latest_charge") or {}
        session = msgspec.convert({**found, "payment_intent": intent["id"] if intent else None}, Session)
        return checkout_status(session, intent, charge.get("created"))

    def charge_card(self, order: CheckoutOrder, card_ref: str) -> CheckoutStatus:
        """Confirm a PaymentIntent with a kept card; see `CardKeeper`."""
        customer, _, method = card_ref.partition("/")
        params: stripe.params.PaymentIntentCreateParams = {
            "amount": order.amount_fen,
            "currency": "cny",
            "customer": customer,
            "payment_method": method,
            "allowed_payment_method_types": ["card"],
            "off_session": True,
            "confirm": True,
            "description": PRODUCT_ZH,
            "metadata": _references(order),
        }
        try:
            made = self._client.v1.payment_intents.create(params, {"idempotency_key": order.idempotency_key})
        except stripe.CardError as error:
            told = error.error.payment_intent if error.error is not None else None
            return _declined(order, told.id if told is not None else "")
        except stripe.StripeError as error:
            raise _ours(error) from error
        return intent_status(self._intent(made.id))

    def refund_window(self, method: Method) -> timedelta | None:
        """180 days for WeChat Pay, 90 for Alipay; cards have none."""
        return REFUND_WINDOWS.get(method)

    def refund(self, order: RefundOrder) -> RefundStatus:
        """Create a refund, or find it: a key is kept for a day only, and an answer may be lost for longer."""
        made = _asked(lambda: list(self._refunds_of(order.payment_ref)))
        for one in made:
            if uuid_of(one.to_dict().get("metadata"), "refund") == order.refund_id:
                return _refund(one)
        params: stripe.params.RefundCreateParams = {
            "payment_intent": order.payment_ref,
            "amount": order.amount_fen,
            "metadata": {"refund": str(order.refund_id)},
        }
        return _refund(
            _asked(lambda: self._client.v1.refunds.create(params, {"idempotency_key": order.idempotency_key}))
        )

    def refund_status(self, provider_ref: str) -> RefundStatus:
        """Ask Stripe for the refund as it is now; see the port."""
        return _refund(_asked(lambda: self._client.v1.refunds.retrieve(provider_ref)))

    def dispute_status(self, provider_ref: str) -> DisputeStatus:
        """Ask Stripe for the dispute as it is now; see `DisputeDesk`."""
        return _dispute(_asked(lambda: self._client.v1.disputes.retrieve(provider_ref)))

    def answer_dispute(self, provider_ref: str, evidence: str, idempotency_key: str) -> DisputeStatus:
        """Hand in evidence as text; see `DisputeDesk`."""
        params: stripe.params.DisputeUpdateParams = {
            "evidence": {"uncategorized_text": evidence},
            "submit": True,
        }
        return _dispute(
            _asked(
                lambda: self._client.v1.disputes.update(
                    provider_ref, params, {"idempotency_key": idempotency_key}
                )
            )
        )

    def accept_dispute(self, provider_ref: str, idempotency_key: str) -> DisputeStatus:
        """Close the dispute as lost; see `DisputeDesk`."""
        return _dispute(
            _asked(
                lambda: self._client.v1.disputes.close(provider_ref, {}, {"idempotency_key": idempotency_key})
            )
        )

    def settlements(self, since: datetime, until: datetime) -> Sequence[SettlementLine]:
        """The account's balance transactions, each with the payout that it is part of; see the port."""
        return _asked(lambda: lines_between(self._client, since, until))

    def balance_before(self, moment: datetime) -> int:
        """What the account held just before a moment; see `BalanceDesk`."""
        found = _asked(lambda: balance_before(self._client, moment))
        if found is None:
            raise ProviderUnavailableError(NAME, "balance")
        return found

    def notices_since(self, since: datetime) -> Iterable[tuple[str, bytes]]:
        """Stripe's events of refunds and disputes, which it keeps for 30 days; see `NoticeLog`."""

        def listed() -> list[tuple[str, bytes]]:
            found = self._client.v1.events.list(
                {"types": sorted(REFUND_EVENTS | DISPUTE_EVENTS), "created": {"gte": int(since.timestamp())},
                 "limit": 100}
            )  # fmt: skip
            return [(one.id, msgspec.json.encode(one.to_dict())) for one in found.auto_paging_iter()]

        return _asked(listed)

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
        return read_event(raw)

    def _refunds_of(self, payment_ref: str) -> Iterable[stripe.Refund]:
        found = self._client.v1.refunds.list({"payment_intent": payment_ref, "limit": 100})
        return found.auto_paging_iter()

    def _intent(self, intent_id: str) -> dict[str, Any]:
        found = _asked(
            lambda: self._client.v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]})
        )
        return found.to_dict()

    def _check_signature(self, raw: bytes, header: str) -> None:
        for secret in self._secrets:
            try:
                # Without a tolerance: it would compare with this machine's clock instead of `now`.
                stripe.WebhookSignature.verify_header(raw, header, secret, tolerance=None)
            except (stripe.SignatureVerificationError, UnicodeDecodeError):
                continue
            return
        raise NoticeRefusedError(NAME, "signature")


def _references(order: CheckoutOrder) -> dict[str, str]:
    return {"checkout": str(order.checkout_id), "book": order.book_id}


def _refund(refund: stripe.Refund) -> RefundStatus:
    return refund_status(msgspec.convert(refund.to_dict(), Refund))


def _dispute(dispute: stripe.Dispute) -> DisputeStatus:
    return dispute_status(msgspec.convert(dispute.to_dict(), Dispute))


def _declined(order: CheckoutOrder, intent_id: str) -> CheckoutStatus:
    return CheckoutStatus(
        checkout_id=order.checkout_id,
        provider_ref=intent_id,
        state=CheckoutState.FAILED,
        payment_ref=None,
        amount_fen=order.amount_fen,
        currency="cny",
        paid_at=None,
    )


def _asked(call: Callable[[], T]) -> T:
    try:
        return call()
    except stripe.StripeError as error:
        raise _ours(error) from error


def _ours(error: stripe.StripeError) -> ProviderRefusedError | ProviderUnavailableError:
    """Our own error; a fault of our key or of a limit passes, a wrong request does not."""
    reason = error.code or type(error).__name__
    wrong = isinstance(error, (stripe.InvalidRequestError, stripe.IdempotencyError, stripe.CardError))
    if wrong and error.http_status != 409:  # 409: another request holds the key right now
        return ProviderRefusedError(NAME, reason)
    return ProviderUnavailableError(NAME, reason)
