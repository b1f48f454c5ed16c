"""Refunds: accepted at once, decided later, one for each out_refund_no however often it is asked for."""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import msgspec

from simulators.wechat.errors import WechatRefusedError, invalid, no_refund, wrong_parameter
from simulators.wechat.orders import need
from simulators.wechat.state import Account, Order, Refund, rfc3339

_NUMBER = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
# What a refund comes to, by its reason; SUCCESS for any other.
OUTCOMES = {"simulate=abnormal": "ABNORMAL", "simulate=closed": "CLOSED"}
EVENTS = {
    "SUCCESS": ("REFUND.SUCCESS", "退款成功"),
    "ABNORMAL": ("REFUND.ABNORMAL", "退款异常"),
    "CLOSED": ("REFUND.CLOSED", "退款关闭"),
}


class _Amount(msgspec.Struct, frozen=True):
    refund: int
    total: int
    currency: str


class NewRefund(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of a refund request."""

    out_refund_no: str
    amount: _Amount
    transaction_id: str | None = None
    out_trade_no: str | None = None
    reason: str | None = None
    notify_url: str | None = None
    funds_account: str | None = None
    goods_detail: list[dict[str, Any]] | None = None


def ask(account: Account, wanted: NewRefund) -> tuple[Refund, bool]:
    """POST /v3/refund/domestic/refunds; also says whether it is a new one.

    Raises:
        WechatRefusedError: wrong parameters, not paid, too late, too often, more than is left, or more
            than the account holds.
    """
    order = _order_of(account, wanted)
    _check_parameters(order, wanted)
    known = account.refunds.get(wanted.out_refund_no)
    if known is not None:
        if (known.out_trade_no, known.amount_fen) != (order.out_trade_no, wanted.amount.refund):
            raise invalid("订单金额或退款金额与之前请求不一致，请核实后再试")
        return known, False
    _check_possible(account, order, wanted.amount.refund)
    after = order.refunded_fen + wanted.amount.refund
    # Of the fee comes back what keeps it in proportion; with the last fen of the order, its last fen.
    fee = order.fee_fen * after // order.total_fen - order.fee_returned_fen
    if wanted.amount.refund - fee > account.balance_fen:
        raise WechatRefusedError("NOT_ENOUGH", "基本账户余额不足，请充值后重新发起", HTTPStatus.FORBIDDEN)
    refund = Refund(
        wanted.out_refund_no,
        account.number("503", 29),
        order.out_trade_no,
        wanted.amount.refund,
        fee,
        wanted.reason,
        wanted.notify_url,
        account.now,
    )
    account.refunds[refund.out_refund_no] = refund
    account.change(order, state="REFUND", refunded_fen=after, fee_returned_fen=order.fee_returned_fen + fee)
    _book(account, refund, "退款", -1)
    return refund, True


def decide(account: Account, out_refund_no: str) -> Refund:
    """The last word on a refund; one that did not succeed puts the money back into the account."""
    refund = account.refunds[out_refund_no]
    status = OUTCOMES.get(refund.reason or "", "SUCCESS")
    done = replace(refund, status=status, done_at=account.now)
    account.refunds[out_refund_no] = done
    if status != "SUCCESS":
        order = account.orders[refund.out_trade_no]
        left = order.refunded_fen - refund.amount_fen
        account.change(
            order,
            refunded_fen=left,
            fee_returned_fen=order.fee_returned_fen - refund.fee_fen,
            state="REFUND" if left else "SUCCESS",
        )
        _book(account, done, "退款失败退回", 1)
    return done


def query(account: Account, out_refund_no: str) -> dict[str, Any]:
    """GET /v3/refund/domestic/refunds/:no."""
    refund = account.refunds.get(out_refund_no)
    if refund is None:
        raise no_refund()
    return shown(account, refund)


def shown(account: Account, refund: Refund) -> dict[str, Any]:
    """A refund as an answer tells it."""
    order = account.orders[refund.out_trade_no]
    facts: dict[str, Any] = {
        "refund_id": refund.refund_id,
        "out_refund_no": refund.out_refund_no,
        "transaction_id": order.transaction_id,
        "out_trade_no": order.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "create_time": rfc3339(refund.made_at),
        "status": refund.status,
        "funds_account": "AVAILABLE",
        "amount": {
            "total": order.total_fen,
            "refund": refund.amount_fen,
            "payer_total": order.total_fen,
            "payer_refund": refund.amount_fen,
            "settlement_refund": refund.amount_fen,
            "settlement_total": order.total_fen,
            "discount_refund": 0,
            "currency": "CNY",
        },
        "promotion_detail": [],
    }
    if refund.status == "SUCCESS" and refund.done_at is not None:
        facts["success_time"] = rfc3339(refund.done_at)
    return facts


def told(account: Account, refund: Refund, mchid: str) -> dict[str, Any]:
    """A refund as its notice tells it."""
    order = account.orders[refund.out_trade_no]
    facts: dict[str, Any] = {
        "mchid": mchid,
        "out_trade_no": order.out_trade_no,
        "transaction_id": order.transaction_id,
        "out_refund_no": refund.out_refund_no,
        "refund_id": refund.refund_id,
        "refund_status": refund.status,
        "user_received_account": "支付用户零钱",
        "amount": {
            "total": order.total_fen,
            "refund": refund.amount_fen,
            "payer_total": order.total_fen,
            "payer_refund": refund.amount_fen,
        },
    }
    if refund.status == "SUCCESS" and refund.done_at is not None:
        facts["success_time"] = rfc3339(refund.done_at)
    return facts


def _order_of(account: Account, wanted: NewRefund) -> Order:
    if wanted.transaction_id is not None:
        return need(account, account.by_transaction.get(wanted.transaction_id, ""))
    if wanted.out_trade_no is None:
        raise wrong_parameter("transaction_id, out_trade_no", "二选一，必填")
    return need(account, wanted.out_trade_no)


def _check_parameters(order: Order, wanted: NewRefund) -> None:
    if not _NUMBER.fullmatch(wanted.out_refund_no):
        raise wrong_parameter("out_refund_no", "应为 1 到 64 位数字、字母或 _-|*@")
    if wanted.amount.refund < 1:
        raise wrong_parameter("amount.refund", "应为不小于 1 的整数，单位为分")
    if wanted.amount.currency != "CNY":
        raise wrong_parameter("amount.currency", "只支持 CNY")
    if wanted.reason is not None and not 1 <= len(wanted.reason) <= 80:
        raise wrong_parameter("reason", "长度应为 1 到 80")
    if wanted.amount.total != order.total_fen:
        raise invalid("订单金额与原订单不一致")


def _check_possible(account: Account, order: Order, amount_fen: int) -> None:
    if order.paid_at is None:
        raise invalid("订单未支付，不能退款")
    if account.now > order.paid_at + account.settings.refund_window_s:
        raise invalid("交易时间超过一年，不能退款")
    made = sum(one.out_trade_no == order.out_trade_no for one in account.refunds.values())
    if made >= account.settings.refunds_max:
        raise invalid(f"部分退款次数不能超过 {account.settings.refunds_max} 次")
    if order.refunded_fen + amount_fen > order.total_fen:
        raise invalid("申请退款金额超过订单可退金额")


def _book(account: Account, refund: Refund, name: str, sign: int) -> None:
    note = f"退款总金额{yuan(refund.amount_fen)}元;含手续费{yuan(refund.fee_fen)}元"
    amount = sign * (refund.amount_fen - refund.fee_fen)
    account.book(refund.refund_id, name, "退款", amount, note, refund.out_refund_no, "API")


def yuan(amount_fen: int) -> str:
    """An amount of fen in yuan with two decimals."""
    sign = "-" if amount_fen < 0 else ""
    return f"{sign}{abs(amount_fen) // 100}.{abs(amount_fen) % 100:02d}"
