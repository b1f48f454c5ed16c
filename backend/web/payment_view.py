"""Where a payment stands, in words for the payer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid5

from backend.payments.checkouts import CheckoutView
from backend.payments.port import CheckoutState, Shown
from backend.web import words
from backend.web.qr import code_url
from backend.web.receipts import Receipt
from backend.web.rent_view import METHOD_BY_KEY

# Any number of ours: what attempts' ids are made from.
ATTEMPTS = UUID("5b1c2f0e-6a57-4c54-9a0e-1f6b7b0f2c11")

_WAITING = frozenset({CheckoutState.ASKED, CheckoutState.OPEN, CheckoutState.PROCESSING})


@dataclass(frozen=True, slots=True)
class Share:
    """What of a payment went where."""

    zh: str
    en: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """Everything the page says of one payment.

    Attributes:
        under_way: the payer may have paid already, so a second try has to be warned of.
        url: the provider's page while it can still be paid there; None otherwise.
        code: what is to be scanned, as a picture; None where there is a page instead.
        reference: short enough to say at the counter.
    """

    checkout_id: UUID
    state: Literal["waiting", "paid", "ended"]
    under_way: bool
    amount_fen: int
    method_zh: str
    method_en: str
    url: str | None
    code: str | None
    reference: str
    title_zh: str
    title_en: str
    next_zh: str
    next_en: str
    receipt_number: str | None
    paid_at: datetime | None
    shares: tuple[Share, ...]


def attempt_id(principal_id: UUID, household_id: UUID, seen: str, amount_fen: int, method: str) -> UUID:
    """The id of one wish to pay: the same wish is the same checkout, whichever way it is sent again.

    A double click, the back button and a second tab all carry the account's state that the page showed
    (`seen`, see `backend.web.account.Account`). After a payment has ended, that state is another one, and so
    a new wish is a new checkout.
    """
    return uuid5(ATTEMPTS, f"{principal_id}/{household_id}/{seen[:40]}/{amount_fen}/{method}")


def payment_page(view: CheckoutView, receipt: Receipt | None) -> PaymentPage:
    """Put a checkout and its receipt, if there is one, into words."""
    method = METHOD_BY_KEY[view.method]
    title_zh, title_en, next_zh, next_en = _words(view.state)
    return PaymentPage(
        checkout_id=view.checkout_id,
        state="waiting"
        if view.state in _WAITING
        else "paid"
        if view.state is CheckoutState.PAID
        else "ended",
        under_way=view.state in (CheckoutState.OPEN, CheckoutState.PROCESSING),
        amount_fen=view.amount_fen,
        method_zh=method.zh,
        method_en=method.en,
        # Whoever is in the middle of paying is not sent to pay a second time.
        url=view.url if view.state is CheckoutState.OPEN and view.shown is Shown.PAGE else None,
        code=code_url(view.url)
        if view.url and view.state is CheckoutState.OPEN and view.shown is Shown.CODE
        else None,
        reference=words.short_id(view.checkout_id),
        title_zh=title_zh,
        title_en=title_en,
        next_zh=next_zh,
        next_en=next_en,
        receipt_number=view.receipt_number,
        paid_at=receipt.paid_at if receipt else None,
        shares=_shares(receipt) if receipt else (),
    )


def _shares(receipt: Receipt) -> tuple[Share, ...]:
    shares = [
        Share(f"抵{words.month_zh(part.month)}房租", f"Rent of {words.month_en(part.month)}", part.amount_fen)
        for part in receipt.parts
    ]
    if receipt.in_advance_fen:
        shares.append(Share("留到下个月抵", "Kept for next month", receipt.in_advance_fen))
    return tuple(shares)


def _words(state: CheckoutState) -> tuple[str, str, str, str]:
    match state:
        case CheckoutState.PAID:
            return "钱收到了，谢谢您", "Received, thank you", "", ""
        case CheckoutState.ASKED:
            return (
                "付款页面还没打开",
                "The payment page did not open yet",
                "支付渠道还没有回应，没有扣钱。请过几分钟回到“我的房租”再试一次。",
                "The payment channel has not answered; nothing was charged. Try again in a few minutes.",
            )
        case CheckoutState.OPEN | CheckoutState.PROCESSING:
            return (
                "正在等支付结果",
                "Waiting for the result",
                "一般几秒钟就到，这一页会自己更新。关掉也没关系，钱不会丢。",
                "Usually a few seconds; this page updates by itself. You may close it, nothing is lost.",
            )
        case CheckoutState.FAILED:
            return (
                "这次没有付成",
                "This payment did not go through",
                "没有收到钱。可以换一种方式再付。如果您的手机显示扣了款，请带手机到服务窗口。",
                "No money arrived; you can pay another way. If your phone shows a charge, ask the counter.",
            )
        case CheckoutState.EXPIRED:
            return (
                "付款时间过了",
                "The time for this payment is over",
                "没有收到钱，请重新付款。如果您的手机显示扣了款，请带手机到服务窗口。",
                "No money arrived; please pay again. If your phone shows a charge, ask at the counter.",
            )
