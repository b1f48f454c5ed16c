"""Days as people type them: read exactly, or refused with what is wrong."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ExplainedError
from backend.ledger.days import (
    AS_AT,
    FROM_DAY,
    Days,
    days_between,
    last_of_month,
    read_day,
    read_days,
    read_months,
)
from backend.ledger.errors import DaysBackwardsError

DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@given(DAYS, DAYS)
def test_two_days_are_read_as_written_and_both_count(one: date, other: date) -> None:
    first, last = sorted((one, other))
    found = read_days(str(first), f" {last:%Y/%m/%d} ")
    assert found == Days(first, last)
    assert found.to_on - last == timedelta(days=1)
    if first < last:
        with pytest.raises(DaysBackwardsError, match="早于开始"):
            days_between(last, first)


@given(DAYS)
def test_a_month_is_its_first_day_to_its_last(day: date) -> None:
    found = read_months(f"{day:%Y-%m}", f"{day:%Y-%m}")
    assert found == Days(day.replace(day=1), last_of_month(day))
    assert (found.to_on.day, found.to_on - found.last_on) == (1, timedelta(days=1))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "请填写开始日期。"),
        ("  ", "请填写开始日期。"),
        ("20226-01-01", "年份须是 2000 到 2099，您填的是 20226"),
        ("1999-12-31", "您填的是 1999"),
        ("2026-13-01", "月份须是 1 到 12，您填的是 13"),
        ("2026-00-10", "您填的是 0"),
        ("2026-02-29", "2026 年 2 月只有 1 到 28 日"),
        ("2026-04-31", "2026 年 4 月只有 1 到 30 日"),
        ("2026-01-00", "2026 年 1 月只有 1 到 31 日"),
        ("2026-11", "请写成 2026-11-30"),
        ("11月3日", "请写成 2026-11-30"),
        ("٢٠٢٦-٠١-٠١", "请写成 2026-11-30"),
        ("2026-11-1x", "请写成 2026-11-30"),
        ("-2026-11-01", "请写成 2026-11-30"),
        ("9" * 5_000, "请写成 2026-11-30"),
    ],
)
def test_what_is_no_day_is_named_with_its_field(typed: str, said: str) -> None:
    with pytest.raises(ExplainedError) as refused:
        read_day(typed, FROM_DAY)
    assert said in refused.value.zh
    assert "开始日期" in refused.value.zh
    assert len(refused.value.zh) < 100


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-13", "2026-11", "开始月份“2026-13”不对：月份须是 1 到 12"),
        ("2026-01", "20226-11", "结束月份“20226-11”不对：年份"),
        ("2026-01-01", "2026-11", "开始月份“2026-01-01”不对：请写成 2026-11"),
        ("2026-01", "", "请填写结束月份"),
        ("2026-02", "2026-01", "结束（2026-01-31）早于开始（2026-02-01）"),
    ],
)
def test_what_is_no_month_is_named_with_its_field(first: str, last: str, said: str) -> None:
    with pytest.raises(ExplainedError) as refused:
        read_months(first, last)
    assert said in refused.value.zh


@given(st.text(st.characters(exclude_characters="0123456789"), min_size=1, max_size=30))
def test_a_refusal_carries_nothing_unprintable(typed: str) -> None:
    with pytest.raises(ExplainedError) as refused:
        read_day(typed, AS_AT)
    assert refused.value.zh.isprintable()
