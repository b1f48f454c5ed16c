"""What a payment provider is to us, in our words. An adapter is one file that speaks them.

Amounts are integer fen of CNY; what a payer's money settles to, in which currency and less which fee, is
the provider's later word and no matter of a checkout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from backend.errors import ExplainedError


class Method(StrEnum):
    """How somebody pays."""

    WECHAT_PAY = "wechat_pay"
    ALIPAY = "alipay"
    CARD = "card"


class CheckoutState(StrEnum):
    """Where a checkout stands. `asked` is ours alone: written down, and the provider's answer unknown."""

    ASKED = "asked"
    OPEN = "open"
    PROCESSING = "processing"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"


class NoticeKind(StrEnum):
    """What a notice is about; only the first moves money, only the last is left alone without a look."""

    CHECKOUT = "checkout"
    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_VERSION = "unknown_version"
    UNREADABLE = "unreadable"
    IRRELEVANT = "irrelevant"


@dataclass(frozen=True, slots=True)
class CheckoutOrder:
    """What the provider is asked to take.

    Attributes:
        idempotency_key: of this attempt; the same one again is the same checkout, not a second.
        book_id: an opaque reference for the provider's reports. No unit and no name goes there.
    """

    checkout_id: UUID
    idempotency_key: str
    book_id: str
    amount_fen: int
    method: Method
    return_url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ProviderCheckout:
    """The provider's side of a checkout: its own id, and the page on which the payer pays."""

    provider_ref: str
    url: str


@dataclass(frozen=True, slots=True)
class CheckoutStatus:
    """What the provider says of a checkout.

    Attributes:
        checkout_id: ours, as we gave it; None if the provider has no such reference.
        payment_ref: the provider's id of the payment, once there is one.
        amount_fen, currency: what was paid, or is to be.
        paid_at: when, UTC; None unless paid.
    """

    checkout_id: UUID | None
    provider_ref: str
    state: CheckoutState
    payment_ref: str | None
    amount_fen: int
    currency: str
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice of the provider, read.

    Attributes:
        event_id: the provider's id of it; the same one again is the same notice.
        what: its type and version in the provider's words, for the list of parked ones.
        status: of kind CHECKOUT only.
    """

    event_id: str
    kind: NoticeKind
    what: str
    status: CheckoutStatus | None = None


class Provider(Protocol):
    """A payment provider."""

    @property
    def name(self) -> str:
        """One word, as it stands in the books."""

    def start_checkout(self, order: CheckoutOrder) -> ProviderCheckout:
        """Open a checkout; safe to repeat with the same order.

        Raises:
            ProviderUnavailableError: no answer, or not now; whether it was opened is unknown.
            ProviderRefusedError: it will not be opened, also not later.
        """

    def status(self, provider_ref: str) -> CheckoutStatus:
        """What has become of a checkout.

        Raises:
            ProviderUnavailableError: no answer, or not now.
            ProviderRefusedError: the provider does not know it.
        """

    def parse_notice(self, raw: bytes, headers: Mapping[str, str], now: datetime) -> Notice:
        """Verify who sent it and when, and read it.

        Raises:
            NoticeRefusedError: not signed by the provider, or not around `now`.
        """

    def read_notice(self, raw: bytes) -> Notice:
        """Read a notice that was verified when it came and has been kept since."""


class ProviderUnavailableError(ExplainedError):
    """A passing fault; the reason is the provider's code, never its message."""

    code = "provider_unavailable"

    def __init__(self, provider: str, reason: str) -> None:
        self.provider, self.reason = provider, reason
        super().__init__(
            "支付渠道暂时没有回应，未扣款。请过几分钟再试，或到小区服务窗口缴费。",
            "The payment channel does not answer right now and nothing was charged. Try again in a few"
            " minutes, or pay at the service counter.",
        )


class ProviderRefusedError(ExplainedError):
    """The provider says no, and will say it again."""

    code = "provider_refused"

    def __init__(self, provider: str, reason: str) -> None:
        self.provider, self.reason = provider, reason
        super().__init__(
            "支付渠道没有受理，未扣款。请换一种支付方式，或到小区服务窗口缴费。",
            "The payment channel did not accept this and nothing was charged. Choose another way to pay, or"
            " pay at the service counter.",
        )


class NoticeRefusedError(ExplainedError):
    """A notice that nobody can prove to be the provider's; nothing of it is kept."""

    code = "notice_refused"

    def __init__(self, provider: str, reason: str) -> None:
        self.provider, self.reason = provider, reason
        super().__init__(
            f"通知签名无效，未受理（{reason}）。",
            f"Not accepted: the notice's signature is not valid ({reason}).",
        )
