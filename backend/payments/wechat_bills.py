"""WeChat Pay's fund flow (资金账单) as settlement lines: columns by name, amounts exact, days of Beijing."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from backend.payments.lines import LineKind, SettlementLine
from backend.registry.rules import BEIJING, local_day

KINDS: Final[Mapping[str, LineKind]] = {
    "交易": LineKind.PAYMENT,
    "扣除交易手续费": LineKind.FEE,
    "退款": LineKind.REFUND,
    "提现": LineKind.PAYOUT,
}
RETURNED: Final = "退款失败退回"
_YUAN = re.compile(r"(-?)(\d+)\.(\d{2})0*")
_TWO_REFUND = re.compile(r"含手续费(\d+\.\d{2})元")


def days(since: datetime, until: datetime) -> list[date]:
    """The days in Beijing that [since, until) touches."""
    first, last = local_day(since), local_day(until - timedelta(microseconds=1))
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def unpacked(file: bytes) -> bytes:
    """A bill as text, whether it was packed or not."""
    return gzip.decompress(file) if file.startswith(b"\x1f\x8b") else file


def lines(file: bytes) -> list[SettlementLine]:
    """The lines of a fund flow file, in its order; the two lines of totals at its end are held against them.

    Raises:
        ValueError: not a fund flow, a line that cannot be read, or lines that do not make up its totals.
    """
    if not file:
        return []
    rows = list(csv.reader(io.StringIO(file.decode("utf-8-sig"))))
    heads = rows[0]
    found = [dict(zip(heads, (cell.lstrip("`") for cell in row), strict=True)) for row in rows[1:-2]]
    totals = dict(zip(rows[-2], (cell.lstrip("`") for cell in rows[-1]), strict=True))
    came = sum(fen(row["收支金额(元)"]) for row in found if row["收支类型"] == "收入")
    went = sum(fen(row["收支金额(元)"]) for row in found if row["收支类型"] == "支出")
    if (len(found), came, went) != (
        int(totals["资金流水总笔数"]),
        fen(totals["收入金额"]),
        fen(totals["支出金额"]),
    ):
        raise ValueError("the lines do not make up the totals")
    return [_line(row) for row in found]


def fen(yuan: str) -> int:
    """`12.30` as 1230; no float is involved.

    Raises:
        ValueError: no amount of whole fen.
    """
    found = _YUAN.fullmatch(yuan)
    if found is None:
        raise ValueError(f"{yuan!r} is no amount of whole fen")
    amount = int(found[2]) * 100 + int(found[3])
    return -amount if found[1] else amount


def _line(row: Mapping[str, str]) -> SettlementLine:
    kind = KINDS.get(row["业务类型"], LineKind.OTHER)
    if row["业务名称"] == RETURNED:
        kind = LineKind.REFUND_RETURNED
    sign = 1 if row["收支类型"] == "收入" else -1
    of_payment = kind in (LineKind.PAYMENT, LineKind.FEE)
    of_refund = kind in (LineKind.REFUND, LineKind.REFUND_RETURNED)
    # What goes back of the fee with a refund is netted into its one line, and named in its note.
    returned = _TWO_REFUND.search(row["备注"]) if of_refund else None
    fee_fen = sign * fen(returned[1]) if returned else 0
    return SettlementLine(
        line_ref=row["资金流水单号"],
        kind=kind,
        at=datetime.strptime(row["记账时间"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING).astimezone(UTC),
        amount_minor=sign * fen(row["收支金额(元)"]) + fee_fen,
        fee_minor=fee_fen,
        currency="cny",
        what=f"{row['业务名称']}/{row['业务类型']}",
        payment_ref=row["微信支付业务单号"] if of_payment else None,
        refund_ref=row["业务凭证号"] if of_refund else None,
        payout_ref=row["微信支付业务单号"] if kind is LineKind.PAYOUT else None,
        balance_minor=fen(row["账户结余(元)"]),
    )
