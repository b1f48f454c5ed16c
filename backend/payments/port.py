"""What a payment provider is to us, in our words. An adapter is one file that speaks them.

Amounts are integer fen of CNY; what a payer's money settles to, in which currency and less which fee, is
the provider's later word and no matter of a checkout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable
from uuid import UUID

from backend.errors import ExplainedError
from backend.payments.lines import SettlementLine
from backend.payments.money_back import DisputeStatus, RefundOrder, RefundStatus


class Method(StrEnum):
    """How somebody pays."""

    WECHAT_PAY = "wechat_pay"
    ALIPAY = "alipay"
    CARD = "card"
    CASH = "cash"
    BANK_TRANSFER = "bank_transfer"


ONLINE = (Method.WECHAT_PAY, Method.ALIPAY, Method.CARD)
AT_THE_COUNTER = (Method.CASH, Method.BANK_TRANSFER)


class Shown(StrEnum):
    """How the payer gets to pay: a page to go to, a code to scan, or a person at the counter."""

    PAGE = "page"
    CODE = "code"
    COUNTER = "counter"


class CheckoutState(StrEnum):
    """Where a checkout stands. `asked` is ours alone: written down, and the provider's answer unknown."""

    ASKED = "asked"
    OPEN = "open"
    PROCESSING = "processing"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"


class NoticeKind(StrEnum):
    """What a notice is about; the first three move money, only the last is left alone without a look."""

    CHECKOUT = "checkout"
    REFUND = "refund"
    DISPUTE = "dispute"
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
        keep_card: the payer agreed that later charges are taken from the same card.
    """

    checkout_id: UUID
    idempotency_key: str
    book_id: str
    amount_fen: int
    method: Method
    return_url: str
    expires_at: datetime
    keep_card: bool = False


@dataclass(frozen=True, slots=True)
class ProviderCheckout:
    """The provider's side of a checkout: its own id, and where or with what the payer pays.

    Attributes:
        url: the page, or what the code says; empty at the counter.
    """

    provider_ref: str
    url: str
    shown: Shown = Shown.PAGE


@dataclass(frozen=True, slots=True)
class CheckoutStatus:
    """What the provider says of a checkout.

    Attributes:
        checkout_id: ours, as we gave it; None if the provider has no such reference.
        payment_ref: the provider's id of the payment, once there is one.
        amount_fen, currency: what was paid, or is to be.
        paid_at: when, UTC; None unless paid.
        card_ref: the provider's reference of a card that was kept, for `CardKeeper.charge_card`.
    """

    checkout_id: UUID | None
    provider_ref: str
    state: CheckoutState
    payment_ref: str | None
    amount_fen: int
    currency: str
    paid_at: datetime | None
    card_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice of the provider, read.

    Attributes:
        event_id: the provider's id of it; the same one again is the same notice.
        what: its type and version in the provider's words, for the list of parked ones.
        status, refund, dispute: what it says, of the kind of that name only.
    """

    event_id: str
    kind: NoticeKind
    what: str
    status: CheckoutStatus | None = None
    refund: RefundStatus | None = None
    dispute: DisputeStatus | None = None


class Provider(Protocol):
    """A payment provider. Money and its return are asked for with an idempotency key that we stored first."""

    @property
    def name(self) -> str:
        """One word, as it stands in the books."""

    @property
    def methods(self) -> frozenset[Method]:
        """How one can pay through it."""

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

    def refund_window(self, method: Method) -> timedelta | None:
        """How long after a payment its money can go back the way it came; None for ever."""

    def refund(self, order: RefundOrder) -> RefundStatus:
        """Give money of a payment back; safe to repeat with the same order.

        Raises:
            ProviderUnavailableError: no answer, or not now; whether it was taken up is unknown.
            ProviderRefusedError: it will not be given back this way.
        """

    def refund_status(self, provider_ref: str) -> RefundStatus:
        """What has become of a refund; raises as `status`."""

    def settlements(self, since: datetime, until: datetime) -> Sequence[SettlementLine]:
        """What the provider booked on our account in [since, until), oldest first.

        Raises:
            ProviderUnavailableError: no answer, or the account of these days is not made up yet.
            ProviderRefusedError: the provider no longer tells.
        """

    def parse_notice(self, raw: bytes, headers: Mapping[str, str], now: datetime) -> Notice:
        """Verify who sent it and when, and read it.

        Raises:
            NoticeRefusedError: not signed by the provider, or not around `now`.
        """

    def read_notice(self, raw: bytes) -> Notice:
        """Read a notice that was verified when it came and has been kept since."""


@runtime_checkable
class DisputeDesk(Protocol):
    """A provider whose payers can have their bank take money back until the case is decided."""

    def dispute_status(self, provider_ref: str) -> DisputeStatus:
        """Where the case stands; raises as `Provider.status`."""

    def answer_dispute(self, provider_ref: str, evidence: str, idempotency_key: str) -> DisputeStatus:
        """Hand in what speaks for us, once and for all; raises as `Provider.refund`."""

    def accept_dispute(self, provider_ref: str, idempotency_key: str) -> DisputeStatus:
        """Say that the payer is right; raises as `Provider.refund`."""


@runtime_checkable
class BalanceDesk(Protocol):
    """A provider that says what our account with it holds."""

    def balance_before(self, moment: datetime) -> int:
        """What the account held just before a recent moment, in fen; raises as `Provider.settlements`."""


@runtime_checkable
class NoticeLog(Protocol):
    """A provider that keeps the notices it has sent and tells them again."""

    def notices_since(self, since: datetime) -> Iterable[tuple[str, bytes]]:
        """Event id and body of every notice of refunds and disputes since then; raises as `status`."""


@runtime_checkable
class CardKeeper(Protocol):
    """A provider that can charge a card again without its holder being there."""

    def charge_card(self, order: CheckoutOrder, card_ref: str) -> CheckoutStatus:
        """Take an amount from a card that was kept; safe to repeat with the same order.

        A card that says no is no error: the state is FAILED. Raises as `Provider.start_checkout`.
        """


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
