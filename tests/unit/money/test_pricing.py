"""Plans by area, tiers by version: worked examples, and what holds for every month."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.rent.errors import AreaUnknownError, TariffMissingError
from backend.rent.pricing import Agreed, Area, PriceBook, Tariff, Tier, amount_of, priced
from backend.rent.rules import LineKind, TermKind, charge_lines, next_month

NOVEMBER, DECEMBER, ALWAYS = date(2026, 11, 1), date(2026, 12, 1), date(2020, 1, 1)
HOME = [Area(ALWAYS, 5_230)]  # 52.30 square metres


def plan(kind: TermKind = TermKind.RENT, from_on: date = ALWAYS, to_on: date | None = None) -> Agreed:
    return Agreed(kind, from_on, to_on, kind.value, plan_id="standard")


def fixed(fen: int, from_on: date = ALWAYS, to_on: date | None = None) -> Agreed:
    return Agreed(TermKind.RENT, from_on, to_on, "合同租金", monthly_fen=fen)


def book(*tariffs: Tariff, tiers: tuple[Tier, ...] = ()) -> PriceBook:
    by_plan: dict[tuple[str, str], list[Tariff]] = {}
    for one in tariffs:
        by_plan.setdefault((one.plan_id, one.kind), []).append(one)
    return PriceBook(by_plan, {"low": tiers} if tiers else {})


def tariff(price: int, from_on: date = ALWAYS, to_on: date | None = None, kind: str = "rent") -> Tariff:
    return Tariff("standard", kind, from_on, to_on, price)


def lines(agreed: list[Agreed], prices: PriceBook, areas: list[Area] = HOME) -> list[tuple[str, int]]:
    terms = priced(agreed, prices, areas, NOVEMBER, DECEMBER)
    return [(line.kind.value, line.amount_fen) for line in charge_lines(NOVEMBER, ALWAYS, None, terms)]


def test_a_plan_costs_area_times_price() -> None:
    # 52.30 m² at 6.50 yuan: 339.95
    assert lines([plan()], book(tariff(65_000))) == [("rent", 33_995)]


def test_a_price_finer_than_a_fen_is_rounded_once() -> None:
    # 52.30 m² at 6.5432 yuan: 342.20936
    assert lines([plan()], book(tariff(65_432))) == [("rent", 34_221)]


def test_a_new_version_of_a_tariff_holds_from_its_day() -> None:
    prices = book(tariff(60_000, to_on=date(2026, 11, 16)), tariff(66_000, date(2026, 11, 16)))
    assert lines([plan()], prices) == [("rent", 15_690), ("rent", 17_259)]


def test_a_new_measurement_holds_from_its_day() -> None:
    areas = [Area(ALWAYS, 5_000), Area(date(2026, 11, 16), 6_000)]
    assert lines([plan()], book(tariff(60_000)), areas) == [("rent", 15_000), ("rent", 18_000)]


def test_a_fixed_rent_ends_the_plan_also_where_the_plan_has_a_later_version() -> None:
    prices = book(tariff(60_000, to_on=date(2026, 11, 21)), tariff(90_000, date(2026, 11, 21)))
    assert lines([plan(), fixed(30_000, date(2026, 11, 11))], prices) == [("rent", 10_460), ("rent", 20_000)]


def test_a_tier_by_share_and_then_by_amount() -> None:
    tiers = (
        Tier("low", ALWAYS, date(2026, 11, 16), None, 700),
        Tier("low", date(2026, 11, 16), None, 10_000, None),
    )
    relief = Agreed(TermKind.RELIEF, ALWAYS, None, "低收入减免", tier_id="low")
    assert lines([fixed(60_000), relief], book(tiers=tiers)) == [
        ("rent", 60_000),
        ("relief", -21_000),
        ("relief", -5_000),
    ]


def test_a_term_that_ended_on_its_first_day_never_was() -> None:
    assert lines([fixed(60_000), fixed(1, NOVEMBER, NOVEMBER)], book()) == [("rent", 60_000)]


def test_a_day_without_a_version_is_named() -> None:
    with pytest.raises(TariffMissingError, match="2026-11-16"):
        lines([plan()], book(tariff(60_000, to_on=date(2026, 11, 16))))
    with pytest.raises(TariffMissingError, match="2026-11-01"):
        lines([plan()], book())


def test_a_plan_by_area_needs_the_area() -> None:
    with pytest.raises(AreaUnknownError):
        lines([plan()], book(tariff(60_000)), [])


DAYS = st.dates(date(2026, 10, 1), date(2026, 12, 31))


@given(st.lists(DAYS, min_size=1, max_size=5, unique=True), st.integers(0, 10**6), st.integers(1, 20_000))
def test_versions_with_the_same_price_cost_the_same_as_one(cuts: list[date], price: int, area: int) -> None:
    ends = sorted(cuts)
    versions = [tariff(price, ALWAYS, ends[0])]
    versions += [tariff(price, begin, end) for begin, end in pairwise([*ends, None]) if begin]  # type: ignore[list-item]
    areas = [Area(ALWAYS, area)]
    whole = lines([plan()], book(tariff(price)), areas)
    parts = lines([plan()], book(*versions), areas)
    assert sum(fen for _, fen in parts) == sum(fen for _, fen in whole)


@given(st.integers(0, 10**9), st.integers(0, 10**7))
def test_an_amount_is_the_nearest_fen(hundredths: int, price: int) -> None:
    found = amount_of(hundredths, price)
    assert 2 * abs(found * 10_000 - hundredths * price) <= 10_000


@given(st.lists(DAYS, max_size=6, unique=True), st.integers(1, 10**6))
def test_terms_of_one_kind_hold_on_every_day_once(starts: list[date], fen: int) -> None:
    agreed = [fixed(fen + place, start) for place, start in enumerate([ALWAYS, *sorted(starts)])]
    terms = priced(agreed, book(), HOME, NOVEMBER, DECEMBER)
    days = sorted(
        term.from_on + timedelta(days=passed)
        for term in terms
        for passed in range(((term.to_on or DECEMBER) - term.from_on).days)
    )
    assert days == [NOVEMBER + timedelta(days=passed) for passed in range(30)]
    assert next_month(NOVEMBER) == DECEMBER
    assert {line.kind for line in charge_lines(NOVEMBER, ALWAYS, None, terms)} == {LineKind.RENT}
