"""The late fee on rent that is overdue, by rule. Pure, in fen.

The fee runs on by days and is rounded only where it is read, so the fee of two spans is the fee of the
whole, and no span is charged twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from backend.rent.rules import ChargeLine, LineKind
from backend.rent.settings import LateFeeRule

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Overdue:
    """The rent of one month's charge, and what was paid of it when.

    Attributes:
        rent_fen: what was due, after corrections.
        paid: day and amount of each payment towards it.
        since_on: the first day whose fee is ours; None for all of them. What ran up before was taken over.
    """

    month: date
    due_on: date
    rent_fen: int
    paid: Sequence[tuple[date, int]]
    since_on: date | None = None


def late_fee_lines(
    overdue: Sequence[Overdue], start: date, end: date, rule: LateFeeRule
) -> tuple[ChargeLine, ...]:
    """The late fee of the days in [start, end), a line for each month that is overdue."""
    lines = []
    for one in overdue:
        fen = fee_until(one, end, rule) - fee_until(one, start, rule)
        if fen > 0:
            begin = max(start, _begin(one, rule))
            lines.append(ChargeLine(LineKind.LATE_FEE, begin, end, fen, 0, f"{one.month:%Y年%m月}租金滞纳金"))
    return tuple(lines)


def fee_until(one: Overdue, day: date, rule: LateFeeRule) -> int:
    """The whole late fee of a month's rent for the days before `day`; never above the cap."""
    begin = _begin(one, rule)
    if day <= begin or one.rent_fen <= 0:
        return 0
    # A payment ends the fee from its own day on.
    steps = sorted((max(begin, paid_on), fen) for paid_on, fen in one.paid if paid_on < day)
    left, since, fen_days = one.rent_fen, begin, 0
    for paid_on, fen in steps:
        fen_days += max(0, left) * (paid_on - since).days
        left, since = left - fen, paid_on
    fen_days += max(0, left) * (day - since).days
    fee = (2 * fen_days * rule.daily_ppm + MILLION) // (2 * MILLION)
    return min(fee, one.rent_fen * rule.cap_permille // 1000)


def first_late_day(due_on: date, rule: LateFeeRule) -> date:
    """The first day that costs something."""
    return due_on + timedelta(days=rule.grace_days + 1)


def _begin(one: Overdue, rule: LateFeeRule) -> date:
    return max(first_late_day(one.due_on, rule), one.since_on or date.min)
