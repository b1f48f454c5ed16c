"""Alipay 账务明细: GBK, usually zipped, comments around the rows, columns that differ by account."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from backend.reconciliation.errors import (
    HeaderError,
    LineError,
    OtherAccountError,
    RunningBalanceError,
    TotalError,
    TruncatedError,
    yuan,
)
from backend.reconciliation.lines import Format, Kind, ReadFile, Side, StatementLine
from backend.reconciliation.reading import (
    Limits,
    check_balances,
    check_numbers,
    check_width,
    columns_of,
    day_ends,
    day_of,
    fen_of,
    moment_of,
    normal,
    rows_of,
    text_of,
    unpacked,
)

WANTED = ("账务流水号", "业务流水号", "商户订单号", "发生时间", "收入", "支出", "账户余额", "业务类型")
# What accounts call the same column, once brackets and their content are gone.
ALIASES: Mapping[str, str] = {
    "收入金额": "收入",
    "支出金额": "支出",
    "余额": "账户余额",
    "支付宝交易号": "业务流水号",
    "支付宝流水号": "业务流水号",
    "入账时间": "发生时间",
    "账务类型": "业务类型",
}
KINDS: Mapping[str, tuple[Side, Kind]] = {
    "在线支付": (Side.BILL, Kind.PAYMENT),
    "交易付款": (Side.BILL, Kind.PAYMENT),
    "收费": (Side.FEE, Kind.FEE),
    "退费": (Side.FEE, Kind.FEE),
    "交易退款": (Side.BILL, Kind.REFUND),
    "退款": (Side.BILL, Kind.REFUND),
    "提现": (Side.PAYOUT, Kind.PAYOUT),
    "转账": (Side.PAYOUT, Kind.PAYOUT),
}
SUMMARY_FILE = "汇总"
END = "账务明细列表结束"
_ACCOUNT = re.compile(r"#账号[:：]\[(.+?)\]")
_PERIOD = re.compile(r"#起始日期[:：]\[(.+?)\].*?终止日期[:：]\[(.+?)\]")
_SUM = re.compile(r"#(支出|收入)合计[:：](\d+)笔[,，]共([+-]?[\d.]+)元")
_DAY = re.compile(r"(\d{4})年(\d{2})月(\d{2})日")


def read(raw: bytes, account_ref: str, limits: Limits) -> ReadFile:
    """Read the movements of one account.

    Raises:
        FileRefusedError: see `backend.reconciliation.errors`.
    """
    text = text_of(unpacked(raw, limits, SUMMARY_FILE), "gb18030")
    comments = [
        (number, normal(line))
        for number, line in enumerate(text.splitlines(), start=1)
        if line.lstrip().startswith("#")
    ]
    _check_account(comments, account_ref)
    from_on, to_on = _period(comments)
    if not any(END in line for _, line in comments):
        raise TruncatedError(text.count("\n"))
    lines = list(_lines(text, limits))
    check_numbers(lines)
    _check_sums(comments, lines)
    if not lines:
        return ReadFile(Format.ALIPAY, (), from_on, to_on)
    lines = _in_order(lines)
    opening, closing = check_balances(lines)
    for line in lines:
        if not from_on <= line.value_on < to_on:
            raise LineError(line.line_no, "发生时间", str(line.value_on))
    return ReadFile(Format.ALIPAY, tuple(lines), from_on, to_on, opening, closing, day_ends(lines, opening))


def _check_account(comments: Sequence[tuple[int, str]], account_ref: str) -> None:
    for number, line in comments:
        if found := _ACCOUNT.search(line):
            # The account may be written with its user's number behind it.
            if account_ref not in (found[1], found[1].removesuffix("0156")):
                raise OtherAccountError(number, found[1], account_ref)
            return
    raise HeaderError(1, "#账号")


def _period(comments: Sequence[tuple[int, str]]) -> tuple[date, date]:
    for number, line in comments:
        if found := _PERIOD.search(line):
            first, last = (_DAY.match(value) for value in found.groups())
            if first is None or last is None:
                raise LineError(number, "起始日期", line)
            from_on = date(int(first[1]), int(first[2]), int(first[3]))
            to_on = date(int(last[1]), int(last[2]), int(last[3]))
            # The end is the first moment after the bill, or its last second.
            whole = found[2].endswith("00:00:00") and to_on > from_on
            return from_on, to_on if whole else to_on + timedelta(days=1)
    raise HeaderError(1, "#起始日期")


def _lines(text: str, limits: Limits) -> Iterator[StatementLine]:
    columns: dict[str, int] | None = None
    header: list[str] = []
    for line_no, row in rows_of(text, limits):
        if not row or not "".join(row).strip() or row[0].lstrip().startswith("#"):
            continue
        if columns is None:
            header = [_heading(name) for name in row]
            columns = columns_of(header, WANTED, line_no)
            continue
        # Some accounts end each row with a comma.
        cells = row[:-1] if len(row) == len(header) + 1 and not row[-1].strip() else row
        check_width(cells, header, line_no)
        yield _line(columns, line_no, [cell.strip() for cell in cells])
    if columns is None:
        raise HeaderError(1, "、".join(WANTED))


def _heading(name: str) -> str:
    plain = re.sub(r"\(.*?\)", "", normal(name))
    return ALIASES.get(plain, plain)


def _line(columns: Mapping[str, int], line_no: int, row: Sequence[str]) -> StatementLine:
    def value(name: str) -> str:
        return row[columns[name]] if name in columns else ""

    came, went = fen_of(value("收入"), line_no, "收入"), fen_of(value("支出"), line_no, "支出")
    if came < 0 or (came and went):
        raise LineError(line_no, "收入/支出", f"{value('收入')} {value('支出')}")
    at: datetime = moment_of(value("发生时间"), line_no, "发生时间")
    side, kind = KINDS.get(value("业务类型"), (Side.BILL, Kind.OTHER))
    number = value("账务流水号")
    return StatementLine(
        line_no=line_no,
        side=side,
        kind=kind,
        external_id=number,
        amount_fen=came - abs(went),
        at=at,
        value_on=day_of(at),
        method="alipay",
        pay_ref=value("业务流水号"),
        our_ref=value("商户订单号"),
        payout_ref=number if side is Side.PAYOUT else "",
        note=f"{value('业务类型')} {value('备注')}".strip(),
        balance_fen=fen_of(value("账户余额"), line_no, "账户余额"),
    )


def _check_sums(comments: Sequence[tuple[int, str]], lines: Sequence[StatementLine]) -> None:
    for number, comment in comments:
        for name, count, amount in _SUM.findall(comment):
            some = [line.amount_fen for line in lines if (line.amount_fen > 0) == (name == "收入")]
            said_fen = abs(fen_of(amount, number, name))
            if (int(count), said_fen) != (len(some), abs(sum(some))):
                raise TotalError(
                    number, f"{name}合计", f"{count}/{amount}", f"{len(some)}/{yuan(abs(sum(some)))}"
                )


def _in_order(lines: list[StatementLine]) -> list[StatementLine]:
    """Oldest first: some accounts list the newest first, which only the balances tell."""
    try:
        check_balances(lines)
    except RunningBalanceError:
        backwards = lines[::-1]
        check_balances(backwards)
        return backwards
    return lines
