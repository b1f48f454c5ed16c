"""The late fee: by days, never twice, never above its cap."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from backend.rent.late_fees import Overdue, fee_until, late_fee_lines
from backend.rent.settings import LateFeeRule

RULE = LateFeeRule(grace_days=5, daily_ppm=500, cap_permille=1000)
SEPTEMBER, OCTOBER, NOVEMBER = date(2026, 9, 1), date(2026, 10, 1), date(2026, 11, 1)


def overdue(fen: int = 100_000, paid: tuple[tuple[date, int], ...] = ()) -> Overdue:
    return Overdue(SEPTEMBER, date(2026, 9, 15), fen, paid)


def test_half_a_per_mille_a_day_behind_the_days_of_grace() -> None:
    # 21 to 30 September are 10 days, 0.50 a day
    (line,) = late_fee_lines([overdue()], SEPTEMBER, OCTOBER, RULE)
    assert (line.from_on, line.to_on, line.amount_fen) == (date(2026, 9, 21), OCTOBER, 500)
    assert line.label_zh == "2026年09月租金滞纳金"


def test_what_is_paid_costs_nothing_from_its_day_on() -> None:
    paid = ((date(2026, 9, 26), 60_000),)
    # 5 days of 1,000.00 and 5 of 400.00
    assert fee_until(overdue(paid=paid), OCTOBER, RULE) == 350
    assert late_fee_lines([overdue(paid=((date(2026, 9, 20), 100_000),))], SEPTEMBER, OCTOBER, RULE) == ()


def test_nothing_is_charged_within_the_grace_or_without_a_rule() -> None:
    assert late_fee_lines([overdue()], SEPTEMBER, date(2026, 9, 21), RULE) == ()
    assert late_fee_lines([overdue()], SEPTEMBER, NOVEMBER, LateFeeRule()) == ()


def test_the_cap_ends_it() -> None:
    rule = LateFeeRule(daily_ppm=10_000, cap_permille=100)
    assert fee_until(overdue(), date(2030, 1, 1), rule) == 10_000
    assert late_fee_lines([overdue()], NOVEMBER, date(2030, 1, 1), rule) == ()


PAID = st.lists(st.tuples(st.dates(date(2026, 9, 1), date(2026, 12, 31)), st.integers(1, 50_000)), max_size=5)


@given(
    st.integers(0, 200_000),
    PAID,
    st.lists(st.integers(0, 200), min_size=2, max_size=8),
    st.integers(0, 10_000),
    st.integers(0, 1000),
)
def test_the_fees_of_all_spans_are_the_fee_of_the_whole_and_below_the_cap(
    fen: int, paid: list[tuple[date, int]], cuts: list[int], ppm: int, cap: int
) -> None:
    rule = LateFeeRule(grace_days=3, daily_ppm=ppm, cap_permille=cap)
    one = Overdue(SEPTEMBER, date(2026, 9, 15), fen, tuple(paid))
    days = [SEPTEMBER + timedelta(days=cut) for cut in sorted(cuts)]
    parts = sum(line.amount_fen for a, b in pairwise(days) for line in late_fee_lines([one], a, b, rule))
    assert parts == fee_until(one, days[-1], rule) - fee_until(one, days[0], rule)
    assert 0 <= fee_until(one, days[-1], rule) <= fen * cap // 1000
