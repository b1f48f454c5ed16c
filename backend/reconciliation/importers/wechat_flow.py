"""WeChat 资金账单: every movement of the merchant's account, with the balance after it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from backend.reconciliation.errors import FileEmptyError, LineError, TotalError, yuan
from backend.reconciliation.importers.wechat import Bill, take_apart
from backend.reconciliation.lines import Format, Kind, ReadFile, Side, StatementLine
from backend.reconciliation.reading import (
    Limits,
    check_balances,
    check_numbers,
    day_ends,
    day_of,
    fen_of,
    moment_of,
)

WANTED = (
    "记账时间",
    "微信支付业务单号",
    "资金流水单号",
    "业务名称",
    "业务类型",
    "收支类型",
    "收支金额(元)",
    "账户结余(元)",
    "备注",
    "业务凭证号",
)
# What a movement is, by its 业务名称.
KINDS: Mapping[str, tuple[Side, Kind]] = {
    "交易": (Side.FLOW, Kind.PAYMENT),
    "扣除交易手续费": (Side.FEE, Kind.FEE),
    "退款": (Side.FLOW, Kind.REFUND),
    "退款失败退回": (Side.FLOW, Kind.REFUND_RETURNED),
    "提现": (Side.PAYOUT, Kind.PAYOUT),
    "提现失败退回": (Side.PAYOUT, Kind.PAYOUT_RETURNED),
}


def read(raw: bytes, _: str, limits: Limits) -> ReadFile:
    """Read the flow of an account; the file does not say whose it is, its running balance does.

    Raises:
        FileRefusedError: see `backend.reconciliation.errors`.
    """
    bill = take_apart(raw, WANTED, "资金流水总笔数", limits)
    lines = [_line(bill, line_no, row) for line_no, row in bill.rows]
    if not lines:
        raise FileEmptyError
    check_numbers(lines)
    _check_totals(bill, lines)
    opening, closing = check_balances(lines)
    days = [line.value_on for line in lines]
    return ReadFile(
        Format.WECHAT_FLOW,
        tuple(lines),
        min(days),
        max(days) + timedelta(days=1),
        opening,
        closing,
        day_ends(lines, opening),
    )


def _line(bill: Bill, line_no: int, row: list[str]) -> StatementLine:
    def value(name: str) -> str:
        return row[bill.columns[name]]

    if value("收支类型") not in ("收入", "支出"):
        raise LineError(line_no, "收支类型", value("收支类型"))
    amount_fen = fen_of(value("收支金额(元)"), line_no, "收支金额(元)")
    side, kind = KINDS.get(value("业务名称"), (Side.FLOW, Kind.OTHER))
    at = moment_of(value("记账时间"), line_no, "记账时间")
    business_no = value("微信支付业务单号")
    return StatementLine(
        line_no=line_no,
        side=side,
        kind=kind,
        external_id=business_no if kind is Kind.PAYOUT else value("资金流水单号"),
        amount_fen=amount_fen if value("收支类型") == "收入" else -amount_fen,
        at=at,
        value_on=day_of(at),
        method="wechat_pay",
        pay_ref=business_no,
        our_ref=value("业务凭证号"),
        payout_ref=business_no if side is Side.PAYOUT else "",
        note=f"{value('业务名称')} {value('备注')}".strip(),
        balance_fen=fen_of(value("账户结余(元)"), line_no, "账户结余(元)"),
    )


def _check_totals(bill: Bill, lines: list[StatementLine]) -> None:
    came = [line.amount_fen for line in lines if line.amount_fen > 0]
    went = [-line.amount_fen for line in lines if line.amount_fen <= 0]
    bill.check_total("资金流水总笔数", len(lines))
    bill.check_total("收入笔数", len(came))
    bill.check_total("支出笔数", len(went))
    for name, counted in (("收入金额", sum(came)), ("支出金额", sum(went))):
        said = fen_of(bill.totals.get(name, ""), bill.totals_no, name)
        if said != counted:
            raise TotalError(bill.totals_no, name, bill.totals.get(name, "—"), yuan(counted))
