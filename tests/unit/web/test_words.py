"""Amounts, dates and names as people read them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.web import words


@pytest.mark.parametrize(
    ("fen", "written"),
    [
        (0, "¥0.00"),
        (1, "¥0.01"),
        (99, "¥0.99"),
        (100, "¥1.00"),
        (123450, "¥1,234.50"),
        (123456789012, "¥1,234,567,890.12"),
        (-5, "−¥0.05"),
        (-123450, "−¥1,234.50"),
    ],
)
def test_an_amount_is_written_with_two_decimals_and_commas(fen: int, written: str) -> None:
    assert words.yuan(fen) == written


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_a_written_amount_still_says_every_fen(fen: int) -> None:
    digits = words.plain_yuan(fen).replace(",", "").replace("−", "-")
    whole, _, part = digits.partition(".")
    assert len(part) == 2
    assert int(whole + part) == fen


def test_a_moment_is_shown_on_the_clock_of_jiangmen() -> None:
    late = datetime(2026, 11, 30, 16, 5, 9, tzinfo=UTC)
    assert words.moment_zh(late) == "2026年12月1日 00:05"
    assert words.clock(late) == "00:05:09"
    assert words.iso(late) == "2026-12-01T00:05:09+08:00"
    assert words.today(late) == date(2026, 12, 1)


def test_a_moment_without_a_time_zone_is_not_shown() -> None:
    with pytest.raises(ValueError, match="time zone"):
        words.moment_zh(datetime(2026, 11, 30, 16, 5))  # noqa: DTZ001


def test_a_moment_of_another_day_carries_its_day() -> None:
    now = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
    assert words.since_zh(datetime(2026, 11, 23, 1, 2, tzinfo=UTC), now) == "09:02"
    assert words.since_zh(datetime(2026, 11, 22, 1, 2, tzinfo=UTC), now) == "11月22日 09:02"
    assert words.since_en(datetime(2026, 11, 22, 1, 2, tzinfo=UTC), now) == "22 Nov, 09:02"


def test_days_and_months_have_chinese_and_english_words() -> None:
    day = date(2026, 11, 23)
    assert (words.day_zh(day), words.day_en(day)) == ("2026年11月23日", "23 Nov 2026")
    assert (words.month_zh(day), words.month_en(day)) == ("2026年11月", "Nov 2026")
    assert words.weekday_zh(day) == "星期一"
