"""Orders: native (a code to scan), JSAPI (inside WeChat), H5 (a phone's browser)."""

from __future__ import annotations

import re
from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec

from simulators.wechat.errors import WechatRefusedError, invalid, no_order, wrong_parameter
from simulators.wechat.state import Account, Order, rfc3339

TYPES = {"native": "NATIVE", "jsapi": "JSAPI", "h5": "MWEB"}
STATE_WORDS = {"SUCCESS": "支付成功", "REFUND": "转入退款", "NOTPAY": "订单未支付", "CLOSED": "订单已关闭"}
_NUMBER = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")


class _Amount(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    total: int
    currency: str = "CNY"


class _Payer(msgspec.Struct, frozen=True):
    openid: str


class NewOrder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of an order request."""

    appid: str
    mchid: str
    description: str
    out_trade_no: str
    notify_url: str
    amount: _Amount
    attach: str | None = None
    goods_tag: str | None = None
    time_expire: str | None = None
    support_fapiao: bool = False
    payer: _Payer | None = None
    scene_info: dict[str, Any] | None = None
    settle_info: dict[str, Any] | None = None
    detail: dict[str, Any] | None = None


def place(account: Account, kind: str, wanted: NewOrder, appid: str) -> dict[str, str]:
    """POST /v3/pay/transactions/{native,jsapi,h5}; an unpaid order asked for again is the same order.

    Raises:
        WechatRefusedError: wrong parameters; the number was used, is paid or closed.
    """
    expires_at = _checked(account, kind, wanted, appid)
    known = account.orders.get(wanted.out_trade_no)
    if known is not None:
        _check_same(known, kind, wanted)
        return _answer(account, account.change(known, expires_at=expires_at))
    order = Order(
        wanted.out_trade_no,
        TYPES[kind],
        wanted.appid,
        wanted.description,
        wanted.amount.total,
        wanted.notify_url,
        wanted.attach,
        wanted.payer.openid if wanted.payer else "o" + account.word(27),
        "wx" + account.word(34),
        expires_at,
    )
    account.orders[order.out_trade_no] = order
    return _answer(account, order)


def query(account: Account, out_trade_no: str) -> dict[str, Any]:
    """GET /v3/pay/transactions/out-trade-no/:no."""
    return shown(_settled(account, need(account, out_trade_no)))


def query_by_transaction(account: Account, transaction_id: str) -> dict[str, Any]:
    """GET /v3/pay/transactions/id/:id."""
    return query(account, account.by_transaction.get(transaction_id, ""))


def close(account: Account, out_trade_no: str) -> None:
    """POST /v3/pay/transactions/out-trade-no/:no/close.

    Raises:
        WechatRefusedError: it is paid already; or there is none.
    """
    order = need(account, out_trade_no)
    if order.state in ("SUCCESS", "REFUND"):
        raise WechatRefusedError("ORDERPAID", "该订单已支付，不能关单", HTTPStatus.BAD_REQUEST)
    account.change(order, state="CLOSED")


def pay(account: Account, out_trade_no: str) -> Order:
    """Somebody pays an order with their phone.

    Raises:
        WechatRefusedError: it is paid, closed or out of date.
    """
    order = need(account, out_trade_no)
    if order.state != "NOTPAY":
        raise invalid(f"{STATE_WORDS[order.state]}，不能再付款")
    if account.now >= order.expires_at:
        raise invalid("订单已过期，不能再付款")
    fee = account.settings.fee_of(order.total_fen)
    transaction_id = account.number("4200", 28)
    account.by_transaction[transaction_id] = out_trade_no
    paid = account.change(
        order, state="SUCCESS", transaction_id=transaction_id, paid_at=account.now, fee_fen=fee
    )
    voucher = order.out_trade_no
    account.book(transaction_id, "交易", "交易", order.total_fen, "结算总金额", voucher, "system")
    if fee:
        account.book(transaction_id, "交易", "扣除交易手续费", -fee, "交易手续费", voucher, "system")
    return paid


def need(account: Account, out_trade_no: str) -> Order:
    """An order that was named; raises where there is none."""
    order = account.orders.get(out_trade_no)
    if order is None:
        raise no_order()
    return order


def shown(order: Order) -> dict[str, Any]:
    """An order as a query or a notice tells it."""
    facts: dict[str, Any] = {
        "appid": order.appid,
        "out_trade_no": order.out_trade_no,
        "trade_state": order.state,
        "trade_state_desc": STATE_WORDS[order.state],
        "attach": order.attach or "",
        "payer": {},
        "promotion_detail": [],
    }
    if order.paid_at is None:
        facts["amount"] = {"total": order.total_fen, "currency": "CNY"}
        return facts
    return facts | {
        "transaction_id": order.transaction_id,
        "trade_type": order.trade_type,
        "bank_type": "OTHERS",
        "success_time": rfc3339(order.paid_at),
        "payer": {"openid": order.openid},
        "amount": {
            "total": order.total_fen,
            "payer_total": order.total_fen,
            "currency": "CNY",
            "payer_currency": "CNY",
        },
    }


def _settled(account: Account, order: Order) -> Order:
    """An order nobody paid is closed by itself, long after its time."""
    late = order.expires_at + account.settings.expired_order_closed_after_s
    if order.state == "NOTPAY" and account.now >= late:
        return account.change(order, state="CLOSED")
    return order


def _checked(account: Account, kind: str, wanted: NewOrder, appid: str) -> int:
    if wanted.appid != appid:
        raise WechatRefusedError("APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配")
    if not 1 <= len(wanted.description) <= 127:
        raise wrong_parameter("description", "长度应为 1 到 127")
    if not _NUMBER.fullmatch(wanted.out_trade_no):
        raise wrong_parameter("out_trade_no", "应为 6 到 32 位数字、字母或 _-|*")
    if wanted.amount.total < 1:
        raise wrong_parameter("amount.total", "应为不小于 1 的整数，单位为分")
    if wanted.amount.currency != "CNY":
        raise wrong_parameter("amount.currency", "只支持 CNY")
    if not wanted.notify_url.startswith(("https://", "http://")) or "?" in wanted.notify_url:
        raise wrong_parameter("notify_url", "应为不带参数的地址")
    if wanted.attach is not None and len(wanted.attach) > 128:
        raise wrong_parameter("attach", "不能超过 128 个字符")
    if kind == "jsapi" and (wanted.payer is None or not wanted.payer.openid):
        raise wrong_parameter("payer.openid", "必填")
    if kind == "h5" and not (wanted.scene_info or {}).get("payer_client_ip"):
        raise wrong_parameter("scene_info.payer_client_ip", "必填")
    return _expiry(account, wanted.time_expire)


def _expiry(account: Account, time_expire: str | None) -> int:
    settings = account.settings
    if time_expire is None:
        return account.now + settings.order_open_s
    try:
        moment = datetime.fromisoformat(time_expire)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise wrong_parameter("time_expire", "应为 RFC 3339 时间，例如 2026-11-02T16:00:00+08:00")
    expires_at = int(moment.timestamp())
    if not account.now < expires_at <= account.now + settings.order_open_s_max:
        raise wrong_parameter("time_expire", "应晚于现在，且不超过 7 天")
    return expires_at


def _check_same(known: Order, kind: str, wanted: NewOrder) -> None:
    if known.state in ("SUCCESS", "REFUND"):
        raise invalid("该订单已支付")
    if known.state == "CLOSED":
        raise WechatRefusedError("ORDER_CLOSED", "该订单已关闭，请重新下单")
    same = (known.total_fen, known.description, known.attach, known.notify_url, known.trade_type)
    asked = (wanted.amount.total, wanted.description, wanted.attach, wanted.notify_url, TYPES[kind])
    if same != asked:
        raise WechatRefusedError("OUT_TRADE_NO_USED", "201 商户订单号重复", HTTPStatus.FORBIDDEN)


def _answer(account: Account, order: Order) -> dict[str, str]:
    page = account.settings.public_url
    address = (
        f"{page}/c/wechat-pay/{order.prepay_id}"
        if page
        else f"weixin://wxpay/bizpayurl?pr={order.prepay_id[-10:]}"
    )
    if order.trade_type == "NATIVE":
        return {"code_url": address}
    return {"h5_url": address} if order.trade_type == "MWEB" else {"prepay_id": order.prepay_id}
