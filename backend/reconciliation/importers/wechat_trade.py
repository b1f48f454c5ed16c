"""WeChat 交易账单: payments and refunds by order, with the fee of each."""

from __future__ import annotations

from datetime import timedelta

from backend.reconciliation.errors import FileEmptyError, LineError, OtherAccountError, TotalError, yuan
from backend.reconciliation.importers.wechat import Bill, take_apart
from backend.reconciliation.lines import Format, Kind, ReadFile, Side, StatementLine
from backend.reconciliation.reading import (
    Limits,
    check_currency,
    check_numbers,
    day_of,
    fen_and_rest,
    fen_of,
    moment_of,
    rounded,
)

WANTED = (
    "交易时间",
    "商户号",
    "微信订单号",
    "商户订单号",
    "交易类型",
    "交易状态",
    "货币种类",
    "应结订单金额",
    "微信退款单号",
    "商户退款单号",
    "退款金额",
    "退款状态",
    "商户数据包",
    "手续费",
)
# A refund that was asked for and did not happen moves nothing.
HAPPENED = ("SUCCESS", "PROCESSING")


def read(raw: bytes, account_ref: str, limits: Limits) -> ReadFile:
    """Read a bill of one merchant; the fee's five decimals become fen, half up, as the flow has them.

    Raises:
        FileRefusedError: see `backend.reconciliation.errors`.
    """
    bill = take_apart(raw, WANTED, "总交易单数", limits)
    lines: list[StatementLine] = []
    fees = 0  # in millionths of a fen, as the total counts them
    for line_no, row in bill.rows:
        line, fee = _line(bill, line_no, row, account_ref)
        lines.append(line)
        fees += fee
    if not lines:
        raise FileEmptyError
    check_numbers(lines)
    _check_totals(bill, lines, fees)
    days = [line.value_on for line in lines]
    return ReadFile(Format.WECHAT_TRADE, tuple(lines), min(days), max(days) + timedelta(days=1))


def _line(bill: Bill, line_no: int, row: list[str], account_ref: str) -> tuple[StatementLine, int]:
    def value(name: str) -> str:
        return row[bill.columns[name]]

    if value("商户号") != account_ref:
        raise OtherAccountError(line_no, value("商户号"), account_ref)
    check_currency(value("货币种类"), line_no)
    at = moment_of(value("交易时间"), line_no, "交易时间")
    fee, rest = fen_and_rest(value("手续费"), line_no, "手续费")
    refund = value("交易状态") == "REFUND"
    if not refund and value("交易状态") != "SUCCESS":
        raise LineError(line_no, "交易状态", value("交易状态"))
    amount_fen = (
        -fen_of(value("退款金额"), line_no, "退款金额")
        if refund
        else fen_of(value("应结订单金额"), line_no, "应结订单金额")
    )
    happened = not refund or value("退款状态") in HAPPENED
    number = value("微信退款单号" if refund else "微信订单号")
    line = StatementLine(
        line_no=line_no,
        side=Side.BILL,
        kind=(Kind.REFUND if happened else Kind.OTHER) if refund else Kind.PAYMENT,
        external_id=number,
        amount_fen=amount_fen,
        fee_fen=rounded(fee, rest),
        at=at,
        value_on=day_of(at),
        method="wechat_pay",
        pay_ref=number,
        our_ref=value("商户退款单号" if refund else "商户订单号"),
        book_ref=value("商户数据包"),
        note=value("交易类型"),
    )
    return line, fee * 1_000_000 + rest


def _check_totals(bill: Bill, lines: list[StatementLine], fees: int) -> None:
    bill.check_total("总交易单数", len(lines))
    paid = sum(line.amount_fen for line in lines if line.kind is Kind.PAYMENT)
    back = -sum(line.amount_fen for line in lines if line.kind is not Kind.PAYMENT)
    for name, counted in (("应结订单总金额", paid), ("退款总金额", back)):
        said = fen_of(bill.totals.get(name, ""), bill.totals_no, name)
        if said != counted:
            raise TotalError(bill.totals_no, name, bill.totals.get(name, "—"), yuan(counted))
    whole, rest = fen_and_rest(bill.totals.get("手续费总金额", ""), bill.totals_no, "手续费总金额")
    if whole * 1_000_000 + rest != fees:
        counted_zh = f"{fees // 1_000_000} 分"
        raise TotalError(bill.totals_no, "手续费总金额", bill.totals.get("手续费总金额", "—"), counted_zh)
