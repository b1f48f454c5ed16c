"""What a month costs: worked examples, and what holds for every month."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.rent.errors import MonthError
from backend.rent.rules import (
    LineKind,
    Term,
    TermKind,
    carried_out_fen,
    charge_lines,
    next_month,
    read_month,
    share_of_month,
)

NOVEMBER = date(2026, 11, 1)
ALWAYS = date(1990, 1, 1)
AMOUNTS = st.integers(0, 10_000_000)
MONTHS = st.dates(date(2000, 1, 1), date(2099, 12, 31)).map(lambda day: day.replace(day=1))


def term(
    kind: TermKind,
    fen: int | None,
    from_on: date = ALWAYS,
    to_on: date | None = None,
    share: int | None = None,
) -> Term:
    return Term(kind, from_on, to_on, fen, share, kind.value)


def rent(fen: int, from_on: date = ALWAYS, to_on: date | None = None) -> Term:
    return term(TermKind.RENT, fen, from_on, to_on)


def kinds(*terms: Term, carried: int = 0, from_on: date = ALWAYS, to_on: date | None = None) -> list[object]:
    lines = charge_lines(NOVEMBER, from_on, to_on, terms, carried)
    return [(line.kind.value, line.amount_fen, line.carried_fen) for line in lines]


def test_a_whole_month_is_the_rent() -> None:
    assert kinds(rent(60_000)) == [("rent", 60_000, 0)]


def test_a_part_of_a_month_is_paid_by_the_day() -> None:
    assert kinds(rent(30_000), from_on=date(2026, 11, 11)) == [("rent", 20_000, 0)]
    assert kinds(rent(30_000), to_on=date(2026, 11, 2)) == [("rent", 1_000, 0)]
    assert kinds(rent(30_000), to_on=NOVEMBER) == []
    assert kinds(rent(30_000), from_on=date(2026, 12, 1)) == []


def test_a_new_rent_holds_from_its_day_on_and_ends_the_old_one_for_good() -> None:
    old, new = rent(30_000), rent(60_000, date(2026, 11, 21), date(2026, 11, 26))
    assert kinds(old, new) == [("rent", 20_000, 0), ("rent", 10_000, 0)]


def test_relief_is_a_share_of_the_rent_of_its_days() -> None:
    relief = term(TermKind.RELIEF, None, date(2026, 11, 16), share=300)
    assert kinds(rent(60_000), relief) == [("rent", 60_000, 0), ("relief", -9_000, 0)]


def test_relief_and_subsidies_never_take_more_than_the_rent() -> None:
    given_terms = (
        rent(50_000),
        term(TermKind.RELIEF, None, share=700),
        term(TermKind.SUBSIDY, 20_000),
        term(TermKind.PROPERTY_FEE, 3_000),
    )
    assert kinds(*given_terms, carried=4_000) == [
        ("rent", 50_000, 0),
        ("relief", -35_000, 0),
        ("subsidy_carried", -4_000, 0),
        ("subsidy", -11_000, 9_000),
        ("property_fee", 3_000, 0),
    ]
    assert kinds(*given_terms, carried=30_000)[2:4] == [
        ("subsidy_carried", -15_000, 15_000),
        ("subsidy", 0, 20_000),
    ]


def test_a_relief_above_the_rent_lapses() -> None:
    assert kinds(rent(10_000), term(TermKind.RELIEF, 90_000)) == [("rent", 10_000, 0), ("relief", -10_000, 0)]


@given(amount=AMOUNTS, month=MONTHS, cuts=st.lists(st.integers(0, 31), max_size=8))
def test_the_parts_of_a_month_add_up_to_the_month(amount: int, month: date, cuts: list[int]) -> None:
    end = next_month(month)
    days = sorted({month, end, *(min(month + timedelta(days=cut), end) for cut in cuts)})
    parts = [share_of_month(amount, month, *pair) for pair in pairwise(days)]
    assert sum(parts) == amount
    assert min(parts) >= 0


@given(amount=AMOUNTS, month=MONTHS, at=st.integers(1, 30))
def test_when_a_unit_changes_hands_both_households_together_pay_the_month(
    amount: int, month: date, at: int
) -> None:
    day = min(month + timedelta(days=at), next_month(month))
    leaves = charge_lines(month, ALWAYS, day, [rent(amount)])
    comes = charge_lines(month, day, None, [rent(amount)])
    assert sum(line.amount_fen for line in (*leaves, *comes)) == amount


TERMS = st.lists(
    st.builds(
        lambda kind, start, length, fen, share: term(
            kind,
            None if kind is TermKind.RELIEF and share % 2 else fen,
            NOVEMBER + timedelta(days=start),
            NOVEMBER + timedelta(days=start + length) if length else None,
            share if kind is TermKind.RELIEF and share % 2 else None,
        ),
        st.sampled_from(TermKind),
        st.integers(-40, 35),
        st.integers(0, 60),
        AMOUNTS,
        st.integers(1, 1000),
    ),
    max_size=10,
)


@given(terms=TERMS, carried=AMOUNTS, start=st.integers(-5, 31), length=st.integers(0, 60))
def test_a_charge_is_never_below_zero_and_no_subsidy_is_lost(
    terms: list[Term], carried: int, start: int, length: int
) -> None:
    from_on = NOVEMBER + timedelta(days=start)
    lines = charge_lines(NOVEMBER, from_on, from_on + timedelta(days=length), terms, carried)
    by_kind = {kind: [line for line in lines if line.kind is kind] for kind in LineKind}
    rent_fen = sum(line.amount_fen for line in lines if line.kind is not LineKind.PROPERTY_FEE)
    assert rent_fen >= 0
    offsets = (*by_kind[LineKind.RELIEF], *by_kind[LineKind.SUBSIDY], *by_kind[LineKind.SUBSIDY_CARRIED])
    assert all(line.amount_fen <= 0 for line in offsets)
    if lines and carried:
        (line,) = by_kind[LineKind.SUBSIDY_CARRIED]
        assert line.carried_fen - line.amount_fen == carried
    if rent_fen > 0:
        assert carried_out_fen(lines) == 0


@given(terms=TERMS)
def test_the_order_in_which_terms_are_given_does_not_matter(terms: list[Term]) -> None:
    distinct = {(one.kind, one.from_on): one for one in terms}
    given_terms = list(distinct.values())
    assert charge_lines(NOVEMBER, ALWAYS, None, given_terms) == charge_lines(
        NOVEMBER, ALWAYS, None, given_terms[::-1]
    )


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "11/2026", "", "2026-00", "２０２６-11", "2026-11-01"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(MonthError, match="2026-11"):
        read_month(text)


def test_a_month_is_its_first_day() -> None:
    assert read_month("2026-11") == NOVEMBER
    assert next_month(date(2026, 12, 1)) == date(2027, 1, 1)
    assert next_month(date(2027, 1, 1)) == date(2027, 2, 1)
