"""The entry of each business event, as `docs/vouchers.md` lists them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

from backend.ledger.chart import Chart, Role
from backend.ledger.rules import Dimensions, Line, NewEntry, credit, debit
from backend.ledger.vouchers import DUES, HELD_BY, Occasion, dropped, entry_of, paid
from backend.rent.allocation import DUE_OF, Part
from backend.rent.rules import ChargeLine, LineKind

RENT_CHARGED = "rent_charge"
RECEIPT = "payment"
PREPAID_USED = "prepaid_use"
WAIVED = "waiver"

CHANNELS_ZH = {
    "wechat_pay": "微信支付",
    "alipay": "支付宝",
    "card": "银行卡",
    "cash": "现金",
    "bank_transfer": "银行转账",
    "take_over": "期初接管",
}
_SUBSIDIES = frozenset({LineKind.SUBSIDY, LineKind.SUBSIDY_CARRIED})


def charge_entry(
    chart: Chart,
    occasion: Occasion,
    key: str,
    summary_zh: str,
    about: Dimensions,
    lines: Iterable[ChargeLine],
) -> NewEntry | None:
    """应收: each line by its own pair of postings; None when every line is nil."""
    postings: list[Line] = []
    for line in lines:
        if line.amount_fen:
            postings += charge_line(chart, about, line)
    return entry_of(occasion, RENT_CHARGED, key, summary_zh, postings) if postings else None


def charge_line(chart: Chart, about: Dimensions, line: ChargeLine) -> tuple[Line, Line]:
    """The pair of postings of a line that is not nil; one below zero takes from both accounts.

    A subsidy moves what the household owes to the subsidy fund, so the fund stands where other lines have
    the one whom the money is owed on to.
    """
    roles = DUES[DUE_OF[line.kind]]
    owes = chart.code(roles.receivable)
    owed_to = chart.code(Role.SUBSIDY_RECEIVABLE if line.kind in _SUBSIDIES else roles.uncollected)
    if line.amount_fen > 0:
        return debit(owes, line.amount_fen, about), credit(owed_to, line.amount_fen, about)
    return debit(owed_to, -line.amount_fen, about), credit(owes, -line.amount_fen, about)


def waiver_entry(
    chart: Chart, occasion: Occasion, proposal_id: UUID, dues: Iterable[tuple[Dimensions, str, int]]
) -> NewEntry:
    """减免: what is still owed is let off; `dues` are (about, word of the due, fen)."""
    lines = (line for about, due, fen in dues for line in dropped(chart, about, due, fen))
    return entry_of(occasion, WAIVED, str(proposal_id), "减免", lines)


def charge_summary(month: date) -> str:
    """The words of a month's charge."""
    return f"应收{month:%Y年%m月}租金及费用"


def correction_summary(month: date) -> str:
    """The words of a correction."""
    return f"更正{month:%Y年%m月}租金及费用"


def receipt_entry(
    chart: Chart,
    occasion: Occasion,
    key: str,
    provider: str,
    receipt_number: str,
    about: Dimensions,
    parts: Sequence[Part],
    prepaid_fen: int,
) -> NewEntry:
    """收款: the provider holds the money; charges are paid; what is over is prepaid rent.

    Args:
        about: estate, household and channel; units come from the charges.
    """
    amount_fen = sum(part.amount_fen for part in parts) + prepaid_fen
    postings = [
        debit(chart.code(HELD_BY[provider]), amount_fen, about),
        *(line for part in parts for line in _paid(chart, about, part)),
        credit(chart.code(Role.PREPAID_RENT), prepaid_fen, about),
    ]
    channel = CHANNELS_ZH.get(about.channel or "", about.channel)
    return entry_of(occasion, RECEIPT, key, f"收款 {receipt_number}（{channel}）", postings)


def prepaid_entry(chart: Chart, occasion: Occasion, key: str, about: Dimensions, part: Part) -> NewEntry:
    """预收租金转入: money paid in advance pays a charge."""
    postings = [debit(chart.code(Role.PREPAID_RENT), part.amount_fen, about), *_paid(chart, about, part)]
    return entry_of(occasion, PREPAID_USED, key, f"预收租金抵付{part.charge.month:%Y年%m月}费用", postings)


def _paid(chart: Chart, about: Dimensions, part: Part) -> Iterable[Line]:
    here = replace(about, unit_id=part.charge.unit_id)
    for due, fen in part.split.items():
        yield from paid(chart, here, due, fen)
