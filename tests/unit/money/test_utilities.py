"""Utilities by reading: whole intervals, shares by days, meters that roll over."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from backend.rent.pricing import PriceBook, Tariff, amount_of
from backend.rent.rules import LineKind
from backend.rent.utilities import Meter, Reading, utility_lines, window_of

ALWAYS, SEPTEMBER_30, OCTOBER_31 = date(2020, 1, 1), date(2026, 9, 30), date(2026, 10, 31)
NOVEMBER, DECEMBER = date(2026, 11, 1), date(2026, 12, 1)
PRICE = 28_300  # 2.83 yuan a ton


def book(*versions: tuple[int, date, date | None]) -> PriceBook:
    given_versions = versions or ((PRICE, ALWAYS, None),)
    tariffs = [Tariff("tap", "water", from_on, to_on, price) for price, from_on, to_on in given_versions]
    return PriceBook({("tap", "water"): tariffs})


def meter(*readings: tuple[date, int, bool]) -> Meter:
    return Meter(LineKind.WATER, "tap", 10_000_000, [Reading(*one) for one in readings])


def fen(*lines: object) -> list[int]:
    return [line.amount_fen for line in lines]  # type: ignore[attr-defined]


def test_last_months_use_is_on_this_months_charge() -> None:
    mine = meter((SEPTEMBER_30, 10_000, False), (OCTOBER_31, 11_250, False))
    (line,) = utility_lines([mine], book(), NOVEMBER, ALWAYS, None)
    # 12.5 tons at 2.83 yuan: 35.375
    assert (line.kind, line.amount_fen, line.label_zh) == (LineKind.WATER, 3_538, "水费 100→112.5（12.5吨）")
    assert utility_lines([mine], book(), DECEMBER, ALWAYS, None) == ()


def test_a_meter_that_rolled_over_has_used_what_went_through_it() -> None:
    mine = meter((SEPTEMBER_30, 9_999_000, False), (OCTOBER_31, 250, True))
    assert fen(*utility_lines([mine], book(), NOVEMBER, ALWAYS, None)) == [amount_of(1_250, PRICE)]


def test_who_moves_in_between_two_readings_pays_the_days_from_then_on() -> None:
    mine = meter((SEPTEMBER_30, 0, False), (OCTOBER_31, 3_100, False))
    assert fen(*utility_lines([mine], book((10_000, ALWAYS, None)), NOVEMBER, date(2026, 10, 22), None)) == [
        1_000
    ]


def test_the_last_month_also_bills_the_reading_of_the_hand_over() -> None:
    left_on = date(2026, 11, 11)
    mine = meter((SEPTEMBER_30, 0, False), (OCTOBER_31, 1_000, False), (date(2026, 11, 10), 1_400, False))
    assert window_of(NOVEMBER, left_on) == (date(2026, 10, 1), date(2026, 11, 12))
    assert fen(*utility_lines([mine], book((10_000, ALWAYS, None)), NOVEMBER, ALWAYS, left_on)) == [
        1_000,
        400,
    ]


def test_a_new_price_holds_for_the_days_from_then_on() -> None:
    mine = meter((SEPTEMBER_30, 0, False), (OCTOBER_31, 3_100, False))
    prices = book((10_000, ALWAYS, date(2026, 10, 11)), (20_000, date(2026, 10, 11), None))
    assert fen(*utility_lines([mine], prices, NOVEMBER, ALWAYS, None)) == [1_000, 4_200]


@given(
    st.lists(st.integers(0, 10**6), min_size=7, max_size=7),
    st.lists(st.dates(date(2026, 9, 5), date(2026, 11, 25)), max_size=5, unique=True),
    st.integers(1, 10**5),
)
def test_with_a_reading_at_every_hand_over_all_that_was_used_is_billed_once(
    used: list[int], moves: list[date], price: int
) -> None:
    days = sorted({date(2026, 8, 31), *(day - timedelta(days=1) for day in moves), date(2026, 11, 30)})
    figures = [sum(used[:place]) for place in range(len(days))]
    mine = meter(*((day, figure, False) for day, figure in zip(days, figures, strict=True)))
    borders = [date(2026, 9, 1), *sorted(moves), None]
    billed = 0
    for begin, end in pairwise(borders):
        for month in (date(2026, 9, 1), date(2026, 10, 1), NOVEMBER, DECEMBER):
            if begin is not None and (end is None or month < end):
                billed += sum(fen(*utility_lines([mine], book((price, ALWAYS, None)), month, begin, end)))
    assert billed == sum(amount_of(later - one, price) for one, later in pairwise(figures))
