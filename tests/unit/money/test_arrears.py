"""Both counters of arrears, and the ladder."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.rent.arrears import Counters, MonthOwed, Taken, arrears_counters, next_rung
from backend.rent.dunning_settings import DunningRules
from backend.settings import load

TODAY = date(2026, 11, 30)
RULES = DunningRules()


def owed(*months: str, fen: int = 100) -> list[MonthOwed]:
    days = [date.fromisoformat(f"{month}-01") for month in months]
    return [MonthOwed(day, day.replace(day=15), fen) for day in days]


@pytest.mark.parametrize(
    ("months", "in_a_row", "cumulative"),
    [
        ((), 0, 0),
        (("2026-11",), 1, 1),
        (("2026-10", "2026-11"), 2, 2),
        (("2026-08", "2026-10"), 1, 2),
        (("2025-12", "2026-01"), 2, 2),
        (("2026-01", "2026-03", "2026-05", "2026-07", "2026-09", "2026-11"), 1, 6),
        (("2026-01", "2026-02", "2026-03", "2026-06", "2026-07"), 3, 5),
        (("2026-12",), 0, 0),  # not due yet
    ],
)
def test_two_in_a_row_and_six_in_all(months: tuple[str, ...], in_a_row: int, cumulative: int) -> None:
    found = arrears_counters(owed(*months), TODAY)
    assert found == Counters(in_a_row, cumulative)
    assert found.reached(RULES) == (in_a_row >= 2 or cumulative >= 6)


def test_a_month_that_is_paid_or_due_today_does_not_count() -> None:
    assert arrears_counters(owed("2026-10", fen=0), TODAY) == Counters(0, 0)
    assert arrears_counters(owed("2026-11"), date(2026, 11, 15)) == Counters(0, 0)
    assert arrears_counters(owed("2026-11"), date(2026, 11, 16)) == Counters(1, 1)


MONTHS = st.lists(
    st.builds(
        lambda number, fen: MonthOwed(
            date(2024 + number // 12, number % 12 + 1, 1), date(2024 + number // 12, number % 12 + 1, 15), fen
        ),
        st.integers(0, 34),
        st.integers(0, 2),
    ),
    max_size=20,
)


@given(MONTHS, st.randoms(use_true_random=False))
def test_the_counters_are_those_of_a_plain_count_in_any_order(
    months: list[MonthOwed], order: random.Random
) -> None:
    found = arrears_counters(months, TODAY)
    shuffled = list(months)
    order.shuffle(shuffled)
    assert arrears_counters(shuffled, TODAY) == found
    late = {one.month.year * 12 + one.month.month for one in months if one.owed_fen and one.due_on < TODAY}
    runs = [next(n for n in range(40) if start + n not in late) for start in late]
    assert found == Counters(max(runs, default=0), len(late))
    assert found.in_a_row <= found.cumulative


@given(MONTHS, MONTHS)
def test_more_months_never_count_less(months: list[MonthOwed], more: list[MonthOwed]) -> None:
    few, many = arrears_counters(months, TODAY), arrears_counters([*months, *more], TODAY)
    assert many.in_a_row >= few.in_a_row
    assert many.cumulative >= few.cumulative


def climb(days: int, counters: Counters, rules: DunningRules = RULES) -> list[tuple[int, str]]:
    """Which rung is taken how many days behind the due day."""
    due_on = date(2026, 1, 15)
    taken: list[Taken] = []
    found = []
    for passed in range(days):
        today = due_on + timedelta(days=passed)
        rung = next_rung(rules, due_on, counters, taken, today)
        if rung is not None:
            deadline = today + timedelta(days=rung.deadline_days) if rung.deadline_days else None
            taken.append(Taken(rung.name, today, deadline))
            found.append((passed, rung.name))
    return found


def test_the_ladder_goes_by_the_clock_and_waits_for_the_demands_deadline() -> None:
    assert climb(120, Counters(2, 2)) == [
        (3, "reminder"),
        (15, "second_reminder"),
        (30, "demand"),
        (61, "visit"),
        (75, "review"),
    ]


def test_nobody_is_reviewed_before_one_of_the_counters_is_reached() -> None:
    assert climb(400, Counters(1, 5))[-1] == (61, "visit")
    assert climb(400, Counters(1, 6))[-1] == (75, "review")


def test_who_is_found_late_climbs_one_rung_at_a_time() -> None:
    due_on, taken = date(2026, 1, 15), [Taken("reminder", date(2026, 6, 1), None)]
    assert next_rung(RULES, due_on, Counters(5, 5), taken, date(2026, 6, 7)) is None
    rung = next_rung(RULES, due_on, Counters(5, 5), taken, date(2026, 6, 8))
    assert rung is not None
    assert rung.name == "second_reminder"


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.booleans())
def test_however_seldom_the_clock_is_looked_at_a_demand_and_its_deadline_come_first(
    steps: list[int], reached: bool
) -> None:
    today = due_on = date(2026, 1, 15)
    counters = Counters(2, 2) if reached else Counters(1, 1)
    taken: list[Taken] = []
    for step in steps:
        today += timedelta(days=step)
        rung = next_rung(RULES, due_on, counters, taken, today)
        if rung is None:
            continue
        if rung.kind in {"visit", "review"}:
            assert any(one.deadline_on is not None and one.deadline_on < today for one in taken)
        deadline = today + timedelta(days=rung.deadline_days) if rung.deadline_days else None
        taken.append(Taken(rung.name, today, deadline))
    assert [one.rung for one in taken] == [one.name for one in RULES.rungs][: len(taken)]


def rung(kind: str, days: int, deadline: int | None = None, name: str | None = None) -> dict[str, object]:
    return {
        "name": name or kind,
        "name_zh": kind,
        "kind": kind,
        "after_days": days,
        "deadline_days": deadline,
    }


@pytest.mark.parametrize(
    "rungs",
    [
        [rung("visit", 1)],
        [rung("reminder", 1), rung("review", 2), rung("demand", 3, 30)],
        [rung("demand", 3)],
        [rung("reminder", 3, 30)],
        [rung("demand", 3, 1)],
        [rung("reminder", 5), rung("demand", 3, 30)],
        [rung("reminder", 1), rung("reminder", 2)],
        [rung("lock_the_door", 1)],
        [],
    ],
)
def test_a_ladder_without_the_demand_first_is_refused(rungs: list[dict[str, object]]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"rungs": rungs}, DunningRules)


def test_the_sample_ladder_is_the_one_of_the_file() -> None:
    assert load(Path("config/backend.toml"), {}).dunning.rungs == RULES.rungs
