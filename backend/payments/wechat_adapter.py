"""WeChat Pay v3, contracted directly, behind the provider port; wechatpayv3 is at home here.

Native payment: the payer scans a code. The order's number is our checkout's id, a refund's number our
refund's, so that asking again is asking for the same thing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

import msgspec
import requests
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.utils import aes_decrypt

from backend.payments import wechat_bills
from backend.payments.lines import SettlementLine
from backend.payments.money_back import RefundOrder, RefundState, RefundStatus
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
    Shown,
)

NAME: Final = "wechat"
API: Final = "https://api.mch.weixin.qq.com"
TOLERANCE_S: Final = 300
ANSWER_S_MAX: Final = (5.0, 15.0)
PRODUCT_ZH: Final = "公租房费用"
REFUND_WINDOW: Final = timedelta(days=365)
PAID_EVENT: Final = "TRANSACTION.SUCCESS"
REFUND_EVENTS: Final = frozenset({"REFUND.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED"})
# What passes by itself: the system's own trouble, limits, and a signature while keys are being replaced.
PASSING: Final = frozenset({"SYSTEM_ERROR", "FREQUENCY_LIMITED", "SIGN_ERROR", "STATEMENT_CREATING"})
STATES: Final[Mapping[str, CheckoutState]] = {
    "SUCCESS": CheckoutState.PAID,
    "REFUND": CheckoutState.PAID,  # paid, and some of it went back since
    "NOTPAY": CheckoutState.OPEN,
    "USERPAYING": CheckoutState.PROCESSING,
    "CLOSED": CheckoutState.EXPIRED,
    "REVOKED": CheckoutState.EXPIRED,
    "PAYERROR": CheckoutState.FAILED,
}
REFUND_STATES: Final[Mapping[str, RefundState]] = {
    "PROCESSING": RefundState.PENDING,
    "SUCCESS": RefundState.DONE,
    "ABNORMAL": RefundState.FAILED,
    "CLOSED": RefundState.FAILED,
}


@dataclass(frozen=True, slots=True)
class WechatAccount:
    """One merchant. The platform is checked by its public key, or by certificates where there is none."""

    mchid: str
    appid: str
    serial: str  # of the merchant's API certificate
    notify_url: str
    private_key: str = field(repr=False)
    api_v3_key: str = field(repr=False)
    public_key: str | None = None
    public_key_id: str | None = None
    certificate_folder: str | None = None
    api_base: str = API


class _Amount(msgspec.Struct):
    total: int
    currency: str = "CNY"


class _Order(msgspec.Struct):
    out_trade_no: str
    trade_state: str
    amount: _Amount
    transaction_id: str | None = None
    success_time: datetime | None = None


class _RefundAmount(msgspec.Struct):
    refund: int
    currency: str = "CNY"


class _Refund(msgspec.Struct):
    out_refund_no: str
    transaction_id: str
    amount: _RefundAmount
    status: str = ""
    refund_status: str = ""  # the same in a notice


class _Resource(msgspec.Struct):
    algorithm: str
    ciphertext: str
    nonce: str
    associated_data: str = ""


class _Event(msgspec.Struct):
    id: str
    event_type: str
    resource_type: str
    resource: _Resource


# Made at import: msgspec 0.22 crashes where two threads are the first to use a Struct, both at once.
_EVENTS = msgspec.json.Decoder(_Event)
_ORDERS, _REFUNDS = msgspec.json.Decoder(_Order), msgspec.json.Decoder(_Refund)


class WechatProvider:
    """One merchant's account at WeChat Pay."""

    def __init__(self, account: WechatAccount) -> None:
        self._account = account
        self._made: WeChatPay | None = None

    @property
    def name(self) -> str:
        """One word, as it stands in the books."""
        return NAME

    @property
    def methods(self) -> frozenset[Method]:
        """How one can pay through it."""
        return frozenset({Method.WECHAT_PAY})

    def start_checkout(self, order: CheckoutOrder) -> ProviderCheckout:
        """Place a native order; its code is to be scanned. See the port."""
        placed = self._ask(
            lambda client: client.pay(
                description=PRODUCT_ZH,
                out_trade_no=order.checkout_id.hex,
                amount={"total": order.amount_fen, "currency": "CNY"},
                time_expire=order.expires_at.replace(microsecond=0).isoformat(),
                attach=order.book_id,
                pay_type=WeChatPayType.NATIVE,
            )
        )
        return ProviderCheckout(order.checkout_id.hex, json.loads(placed)["code_url"], Shown.CODE)

    def status(self, provider_ref: str) -> CheckoutStatus:
        """Query the order; see the port."""
        return _checkout(_ORDERS.decode(self._ask(lambda client: client.query(out_trade_no=provider_ref))))

    def refund_window(self, method: Method) -> timedelta | None:  # noqa: ARG002 (the port's)
        """A year."""
        return REFUND_WINDOW

    def refund(self, order: RefundOrder) -> RefundStatus:
        """Ask for a refund; the same number again is the same refund. See the port."""
        asked = self._ask(
            lambda client: client.refund(
                out_refund_no=order.refund_id.hex,
                transaction_id=order.payment_ref,
                amount={"refund": order.amount_fen, "total": order.payment_fen, "currency": "CNY"},
            )
        )
        return _refund(_REFUNDS.decode(asked))

    def refund_status(self, provider_ref: str) -> RefundStatus:
        """Query the refund; see the port."""
        return _refund(
            _REFUNDS.decode(self._ask(lambda client: client.query_refund(out_refund_no=provider_ref)))
        )

    def settlements(self, since: datetime, until: datetime) -> Sequence[SettlementLine]:
        """The fund flow (资金账单) of the days; see the port."""
        found: list[SettlementLine] = []
        for day in wechat_bills.days(since, until):
            found += wechat_bills.lines(self._fund_flow(day))
        return [line for line in found if since <= line.at < until]

    def parse_notice(self, raw: bytes, headers: Mapping[str, str], now: datetime) -> Notice:
        """Verify the platform's signature and its time, and read the notice; see the port."""
        given = {name.title(): value for name, value in headers.items()}
        stamp = given.get("Wechatpay-Timestamp", "")
        if not stamp.isdecimal() or len(stamp) > 15 or abs(now.timestamp() - int(stamp)) > TOLERANCE_S:
            raise NoticeRefusedError(NAME, "timestamp")
        if not self._is_signed(given, raw):
            raise NoticeRefusedError(NAME, "signature")
        return self.read_notice(raw)

    def read_notice(self, raw: bytes) -> Notice:
        """Open and read a notice; see the port."""
        try:
            event = _EVENTS.decode(raw)
        except msgspec.DecodeError:
            return Notice(f"sha256:{hashlib.sha256(raw).hexdigest()}", NoticeKind.UNREADABLE, "?")
        what = event.event_type
        sealed = event.resource
        if (event.resource_type, sealed.algorithm) != ("encrypt-resource", "AEAD_AES_256_GCM"):
            return Notice(event.id, NoticeKind.UNKNOWN_VERSION, f"{what} {sealed.algorithm}")
        if what != PAID_EVENT and what not in REFUND_EVENTS:
            return Notice(event.id, NoticeKind.UNKNOWN_KIND, what)
        opened = aes_decrypt(
            sealed.nonce, sealed.ciphertext, sealed.associated_data, self._account.api_v3_key
        )
        try:
            if what == PAID_EVENT:
                return Notice(event.id, NoticeKind.CHECKOUT, what, _checkout(_ORDERS.decode(opened or "")))
            return Notice(event.id, NoticeKind.REFUND, what, refund=_refund(_REFUNDS.decode(opened or "")))
        except (msgspec.DecodeError, KeyError):
            return Notice(event.id, NoticeKind.UNREADABLE, what)

    def _is_signed(self, headers: Mapping[str, str], raw: bytes) -> bool:
        try:
            # The library raises a plain Exception for an algorithm that it does not know.
            return bool(self._client()._core._verify_signature(headers, raw.decode()))
        except ProviderUnavailableError:
            raise
        except Exception:
            return False

    def _client(self) -> WeChatPay:
        """The library's client; it may fetch certificates, so it is made when it is first needed."""
        if self._made is None:
            account = self._account
            made = _calling(
                lambda: _Client(
                    account.api_base,
                    wechatpay_type=WeChatPayType.NATIVE,
                    mchid=account.mchid,
                    private_key=account.private_key,
                    cert_serial_no=account.serial,
                    appid=account.appid,
                    apiv3_key=account.api_v3_key,
                    notify_url=account.notify_url,
                    cert_dir=account.certificate_folder,
                    timeout=ANSWER_S_MAX,
                    public_key=account.public_key,
                    public_key_id=account.public_key_id,
                )
            )
            self._made = made
        return self._made

    def _ask(self, call: Callable[[WeChatPay], tuple[int, str]]) -> str:
        code, body = cast("tuple[int, str]", _calling(lambda: call(self._client())))
        if 200 <= code < 300:
            return body
        try:
            reason = str(json.loads(body)["code"])
        except (ValueError, KeyError, TypeError):
            reason = f"http_{code}"
        if reason in PASSING or code >= 500 or code == 429:
            raise ProviderUnavailableError(NAME, reason)
        raise ProviderRefusedError(NAME, reason)

    def _fund_flow(self, day: date) -> bytes:
        """A day's file; empty where nothing happened on that day."""
        try:
            offered = json.loads(self._ask(lambda client: client.fundflow_bill(day.isoformat())))
        except ProviderRefusedError as error:
            if error.reason == "NO_STATEMENT_EXIST":
                return b""
            raise
        _, packed = _calling(lambda: self._client().download_bill(offered["download_url"]))
        unpacked = wechat_bills.unpacked(packed)
        if hashlib.sha1(unpacked).hexdigest() != offered["hash_value"]:  # noqa: S324 (their check sum)
            raise ProviderUnavailableError(NAME, "bill_damaged")
        return unpacked


class _Client(WeChatPay):  # type: ignore[misc]
    """The library's client at another address; its own has WeChat's written into it."""

    def __init__(self, api_base: str, **facts: Any) -> None:
        if facts["public_key"] is None and api_base != API:
            raise ValueError("certificates are fetched from WeChat itself; elsewhere give the public key")
        super().__init__(**facts)
        self._core._gate_way = api_base


def _calling(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except requests.RequestException as error:
        raise ProviderUnavailableError(NAME, type(error).__name__) from error
    except Exception as error:
        # The library's one kind of error: an answer without the platform's signature, or no certificate.
        if type(error) is not Exception:
            raise
        raise ProviderUnavailableError(NAME, "answer_not_signed") from error


def _checkout(order: _Order) -> CheckoutStatus:
    state = STATES.get(order.trade_state, CheckoutState.PROCESSING)
    return CheckoutStatus(
        checkout_id=_uuid(order.out_trade_no),
        provider_ref=order.out_trade_no,
        state=state,
        payment_ref=order.transaction_id,
        amount_fen=order.amount.total,
        currency=order.amount.currency.lower(),
        paid_at=order.success_time if state is CheckoutState.PAID else None,
    )


def _refund(refund: _Refund) -> RefundStatus:
    return RefundStatus(
        refund_id=_uuid(refund.out_refund_no),
        provider_ref=refund.out_refund_no,
        payment_ref=refund.transaction_id,
        state=REFUND_STATES[refund.status or refund.refund_status],
        amount_fen=refund.amount.refund,
        currency=refund.amount.currency.lower(),
        reason=None,
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
