"""The days that somebody asks for, from … to …, both inclusive; what cannot be read is refused by name."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta

from backend.ledger.errors import DayMissingError, DaysBackwardsError, DayUnreadableError

YEAR_MIN, YEAR_MAX = 2000, 2099
_NUMBERS = re.compile(r"\d{1,9}(-\d{1,9}){1,2}", re.ASCII)
# People also write 2026/11/30 and 2026.11.30.
_AS_WRITTEN = str.maketrans("/.．／－", "-----")


@dataclass(frozen=True, slots=True)
class Days:
    """Days that follow each other: [from_on, to_on), of which `last_on` is the last."""

    from_on: date
    last_on: date

    @property
    def to_on(self) -> date:
        """The first day after them."""
        return self.last_on + timedelta(days=1)

    def __str__(self) -> str:
        return f"{self.from_on} 至 {self.last_on}"


@dataclass(frozen=True, slots=True)
class FieldName:
    """What a field is called where it is filled in."""

    zh: str
    en: str


FROM_DAY, TO_DAY = FieldName("开始日期", "the first day"), FieldName("结束日期", "the last day")
AS_AT = FieldName("截至日期", "the day")
FROM_MONTH, TO_MONTH = FieldName("开始月份", "the first month"), FieldName("结束月份", "the last month")
MONTH_FIELD = FieldName("月份", "the month")


def read_day(typed: str, field: FieldName) -> date:
    """`2026-11-30` as a day.

    Raises:
        DayMissingError, DayUnreadableError
    """
    year, month, day = _numbers(typed, field, 3)
    days = calendar.monthrange(year, month)[1]
    if not 1 <= day <= days:
        raise DayUnreadableError(
            field.zh,
            field.en,
            typed,
            f"{year} 年 {month} 月只有 1 到 {days} 日",
            f"that month has the days 1 to {days}",
        )
    return date(year, month, day)


def read_first_of_month(typed: str, field: FieldName) -> date:
    """`2026-11` as its first day.

    Raises:
        DayMissingError, DayUnreadableError
    """
    year, month = _numbers(typed, field, 2)
    return date(year, month, 1)


def read_days(from_typed: str, to_typed: str) -> Days:
    """Two days as they were typed, both inclusive.

    Raises:
        DayMissingError, DayUnreadableError, DaysBackwardsError
    """
    return days_between(read_day(from_typed, FROM_DAY), read_day(to_typed, TO_DAY))


def read_months(from_typed: str, to_typed: str) -> Days:
    """The days of whole months, both inclusive.

    Raises:
        DayMissingError, DayUnreadableError, DaysBackwardsError
    """
    first, last = read_first_of_month(from_typed, FROM_MONTH), read_first_of_month(to_typed, TO_MONTH)
    return days_between(first, last_of_month(last))


def days_between(from_on: date, last_on: date) -> Days:
    """These two days and those between them.

    Raises:
        DaysBackwardsError: the last is before the first.
    """
    if last_on < from_on:
        raise DaysBackwardsError(from_on, last_on)
    return Days(from_on, last_on)


def last_of_month(day: date) -> date:
    """The last day of its month."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def _numbers(typed: str, field: FieldName, parts: int) -> list[int]:
    """Year, month and perhaps day; year and month are good ones."""
    text = typed.strip().translate(_AS_WRITTEN)
    if not text:
        raise DayMissingError(field.zh, field.en)
    example = "2026-11-30" if parts == 3 else "2026-11"
    if not _NUMBERS.fullmatch(text) or text.count("-") != parts - 1:
        raise DayUnreadableError(field.zh, field.en, typed, f"请写成 {example}", f"write it like {example}")
    found = [int(number) for number in text.split("-")]
    if not YEAR_MIN <= found[0] <= YEAR_MAX:
        raise DayUnreadableError(
            field.zh,
            field.en,
            typed,
            f"年份须是 {YEAR_MIN} 到 {YEAR_MAX}，您填的是 {found[0]}",
            f"the year is {YEAR_MIN} to {YEAR_MAX}, not {found[0]}",
        )
    if not 1 <= found[1] <= 12:
        raise DayUnreadableError(
            field.zh,
            field.en,
            typed,
            f"月份须是 1 到 12，您填的是 {found[1]}",
            f"the month is 1 to 12, not {found[1]}",
        )
    return found
