"""How amounts, dates and names are written for people. Pure; templates use these as filters."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from urllib.parse import urlsplit

# China has one time zone and has had no summer time since 1991, so a fixed offset is exact.
BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")

MONTHS_EN = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS_ZH = "一二三四五六日"

# What is charged, and what is handed on, by the word of docs/vouchers.md.
DUES = {
    "rent": ("租金", "Rent"),
    "late_fee": ("滞纳金", "Late fee"),
    "property_fee": ("物业费", "Property fee"),
    "utilities": ("水电燃气费", "Utilities"),
    "deposit": ("押金", "Deposit"),
    "damage": ("损坏赔偿", "Damage"),
    "interest": ("银行利息", "Bank interest"),
}


def yuan(amount_fen: int) -> str:
    """`123450` as `¥1,234.50`; a negative amount carries a true minus sign before the ¥."""
    return f"{'−' if amount_fen < 0 else ''}¥{plain_yuan(abs(amount_fen))}"


def plain_yuan(amount_fen: int) -> str:
    """`123450` as `1,234.50`, for columns of figures."""
    whole, fen = divmod(abs(amount_fen), 100)
    return f"{'−' if amount_fen < 0 else ''}{whole:,}.{fen:02d}"


def beijing(moment: datetime) -> datetime:
    """A UTC-aware moment on the wall clock of Jiangmen.

    Raises:
        ValueError: `moment` carries no time zone; guessing one would shift it silently.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone cannot be shown")
    return moment.astimezone(BEIJING)


def today(now: datetime) -> date:
    """The calendar day in Jiangmen at `now`."""
    return beijing(now).date()


def moment_zh(moment: datetime) -> str:
    """`2026年11月23日 17:56`."""
    local = beijing(moment)
    return f"{day_zh(local.date())} {local:%H:%M}"


def clock(moment: datetime) -> str:
    """`17:56:03`, where the day is known from the context."""
    return f"{beijing(moment):%H:%M:%S}"


def since_zh(moment: datetime, now: datetime) -> str:
    """The clock alone today, with the day before that: `17:56` or `11月22日 17:56`."""
    local = beijing(moment)
    if local.date() == today(now):
        return f"{local:%H:%M}"
    return f"{local.month}月{local.day}日 {local:%H:%M}"


def since_en(moment: datetime, now: datetime) -> str:
    """As `since_zh`: `17:56` or `22 Nov, 17:56`."""
    local = beijing(moment)
    if local.date() == today(now):
        return f"{local:%H:%M}"
    return f"{local.day} {MONTHS_EN[local.month - 1]}, {local:%H:%M}"


def iso(moment: datetime) -> str:
    """For the `datetime` attribute of a `<time>`."""
    return beijing(moment).isoformat(timespec="seconds")


def day_zh(day: date) -> str:
    """`2026年11月23日`."""
    return f"{day.year}年{day.month}月{day.day}日"


def day_en(day: date) -> str:
    """`23 Nov 2026`."""
    return f"{day.day} {MONTHS_EN[day.month - 1]} {day.year}"


def weekday_zh(day: date) -> str:
    """`星期一`."""
    return f"星期{WEEKDAYS_ZH[day.weekday()]}"


def month_zh(day: date) -> str:
    """`2026年11月`, of the month that `day` lies in."""
    return f"{day.year}年{day.month}月"


def month_en(day: date) -> str:
    """`Nov 2026`."""
    return f"{MONTHS_EN[day.month - 1]} {day.year}"


def short_id(identifier: object) -> str:
    """The first eight characters, upper case: enough to say over the telephone."""
    return str(identifier).replace("-", "")[:8].upper()


def origin(url: str) -> str:
    """Scheme and host of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
