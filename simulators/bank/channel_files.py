"""What channels write: Stripe's itemised report, WeChat's two bills of a day, Alipay's zip of a period."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random

from simulators.bank.month import ChannelMonth, Item, Payout
from simulators.wechat import bills
from simulators.wechat.settings import BEIJING, MerchantSettings
from simulators.wechat.state import Account, Flow, Order, Refund

REPORT = (
    "balance_transaction_id",
    "created_utc",
    "created",
    "available_on_utc",
    "available_on",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
    "description",
    "automatic_payout_id",
    "automatic_payout_effective_at_utc",
    "automatic_payout_effective_at",
    "charge_id",
    "payment_intent_id",
    "payment_method_type",
    "payment_metadata[book]",
    "payment_metadata[checkout]",
)
ALIPAY = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,"
    "交易渠道,业务类型,备注"
)


def yuan(fen: int) -> str:
    """Two decimals."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def stripe_report(month: ChannelMonth) -> bytes:
    """`payout_reconciliation.itemized.5` of all payouts of the month."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(REPORT)
    for payout in month.payouts:
        for item in payout.items:
            writer.writerow(_report_row(payout, item))
    return out.getvalue().encode()


def _report_row(payout: Payout, item: Item) -> tuple[str, ...]:
    made, left = (at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") for at in (item.at, payout.at))
    refund = item.amount_fen < 0
    return (
        item.number,
        made,
        made,
        left,
        left,
        "cny",
        yuan(item.amount_fen),
        yuan(item.fee_fen),
        yuan(item.amount_fen - item.fee_fen),
        "refund" if refund else "charge",
        item.ref if refund else f"py_{item.ref[3:]}",
        "",
        payout.ref,
        left,
        left,
        f"py_{item.ref[3:]}",
        item.ref,
        item.method,
        item.book,
        item.our_ref,
    )


def wechat_trade_bills(month: ChannelMonth, mchid: str) -> dict[date, bytes]:
    """The 交易账单 of each day on which there was something."""
    found = {}
    for day, items in _by_day(month.bill).items():
        account = Account(MerchantSettings(), Random(0))
        for item in items:
            order = _order(item)
            if item.amount_fen > 0:
                account.orders[item.number] = order
            else:
                account.orders[order.out_trade_no] = order
                account.refunds[item.number] = _refund(item, order)
        found[day] = bills.trade_bill(account, day, "ALL", mchid).encode()
    return found


def wechat_flow_bills(month: ChannelMonth, opening_fen: int = 0) -> dict[date, bytes]:
    """The 资金账单 of each day on which there was something; balances run through the month."""
    moves: list[tuple[datetime, str, str, str, int, str]] = []
    for item in month.flow:
        if item.amount_fen > 0:
            moves.append((item.at, item.ref, "交易", "交易", item.amount_fen, item.our_ref))
            if item.fee_fen:
                moves.append((item.at, item.ref, "扣除交易手续费", "交易", -item.fee_fen, item.our_ref))
        else:
            moves.append((item.at, item.ref, "退款", "退款", item.amount_fen - item.fee_fen, item.our_ref))
    moves += [(one.at, one.ref, "提现", "提现", -one.amount_fen, one.ref) for one in month.payouts]
    moves.sort(key=lambda move: move[0])
    account = Account(MerchantSettings(opening_balance_fen=opening_fen), Random(1))
    by_day: dict[date, Account] = {}
    balance = opening_fen
    for number, (at, ref, name, kind, amount_fen, voucher) in enumerate(moves):
        balance += amount_fen
        day = at.astimezone(BEIJING).date()
        account = by_day.setdefault(day, Account(MerchantSettings(), Random(1)))
        account.flows.append(
            Flow(
                int(at.timestamp()),
                ref,
                f"{day:%Y%m%d}{number:020d}",
                name,
                kind,
                amount_fen,
                balance,
                "system",
                "",
                voucher,
            )
        )
    return {day: bills.fund_flow(account, day).encode() for day, account in by_day.items()}


def _order(item: Item) -> Order:
    at = int(item.at.timestamp())
    paid = item.amount_fen > 0
    return Order(
        out_trade_no=item.our_ref if paid else f"o{item.our_ref}",
        trade_type="NATIVE",
        appid="wx0000000000000000",
        description="公租房费用",
        total_fen=abs(item.amount_fen),
        notify_url="",
        attach=item.book,
        openid="",
        prepay_id="",
        expires_at=at,
        state="SUCCESS",
        transaction_id=item.number if paid else f"t{item.number}",
        # The order of a refund was paid on another day.
        paid_at=at if paid else None,
        fee_fen=item.fee_fen if paid else 0,
    )


def _refund(item: Item, order: Order) -> Refund:
    at = int(item.at.timestamp())
    return Refund(
        item.our_ref,
        item.number,
        order.out_trade_no,
        -item.amount_fen,
        -item.fee_fen,
        None,
        None,
        at,
        "SUCCESS",
        at,
    )


def alipay_zip(
    month: ChannelMonth, account_no: str, from_on: date, to_on: date, opening_fen: int = 0
) -> bytes:
    """The 账务明细 of [from_on, to_on), GBK, zipped beside its summary."""
    rows, balance = [], opening_fen
    came: list[int] = []
    went: list[int] = []
    for number, (at, ref, our_ref, amount_fen, kind, line_no) in enumerate(_alipay_moves(month)):
        day = at.astimezone(BEIJING).date()
        if not from_on <= day < to_on:
            continue
        balance += amount_fen
        (came if amount_fen > 0 else went).append(amount_fen)
        cells = (
            line_no or f"{day:%Y%m%d}{number:016d}",
            ref,
            our_ref,
            "公租房费用",
            at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S"),
            "",
            yuan(amount_fen) if amount_fen > 0 else "0.00",
            yuan(amount_fen) if amount_fen <= 0 else "0.00",
            yuan(balance),
            "",
            kind,
            "",
        )
        rows.append(",".join(f"{cell}\t" for cell in cells))
    text = "\r\n".join(
        [
            "#支付宝账务明细查询",
            f"#账号：[{account_no}]",
            f"#起始日期：[{_zh(from_on)} 00:00:00]   终止日期：[{_zh(to_on)} 00:00:00]",
            "#-----------------------------------------账务明细列表----------------------------------------",
            ALIPAY,
            *rows,
            "#-----------------------------------------账务明细列表结束------------------------------------",
            f"#支出合计：{len(went)}笔，共{yuan(sum(went))}元",
            f"#收入合计：{len(came)}笔，共{yuan(sum(came))}元",
            f"#导出时间：[{_zh(to_on)} 10:00:00]",
            "",
        ]
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        stamp = (to_on.year, to_on.month, to_on.day, 10, 0, 0)
        for name, content in (
            (f"{account_no}_账务明细.csv", text),
            (f"{account_no}_账务明细(汇总).csv", "#汇总\r\n"),
        ):
            archive.writestr(zipfile.ZipInfo(name, stamp), content.encode("gbk"))
    return out.getvalue()


def _alipay_moves(month: ChannelMonth) -> list[tuple[datetime, str, str, int, str, str]]:
    moves = []
    for item in month.bill:
        kind = "在线支付" if item.amount_fen > 0 else "交易退款"
        moves.append((item.at, item.ref, item.our_ref, item.amount_fen, kind, item.number))
        if item.fee_fen:
            moves.append((item.at, item.ref, item.our_ref, -item.fee_fen, "收费", f"{item.number}9"))
    moves += [(one.at, "", "", -one.amount_fen, "提现", one.ref) for one in month.payouts]
    return sorted(moves, key=lambda move: move[0])


def _by_day(items: Sequence[Item]) -> dict[date, list[Item]]:
    found: dict[date, list[Item]] = {}
    for item in items:
        found.setdefault(item.day, []).append(item)
    return found


def _zh(day: date) -> str:
    return f"{day:%Y年%m月%d日}"


def days(from_on: date, to_on: date) -> Iterable[date]:
    """Each day of [from_on, to_on)."""
    return (from_on + timedelta(days=number) for number in range((to_on - from_on).days))
