"""Rules of the registry that need no database."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone

# China has one time zone and no summer time, so a fixed offset is exact.
BEIJING = timezone(timedelta(hours=8))
CONSENT_AGE_YEARS = 14  # below it a guardian consents (Order 19 art. 7; PIPL art. 31)
ADULT_AGE_YEARS = 18
ASSESSMENT_VALID_YEARS = 3  # as long as it has to be kept (PIPL art. 56)
# A right that ended stays in the roster for a while, so that the door can say "ended" and not "unknown".
ENDED_RIGHT_SHOWN = timedelta(days=30)


def start_of_day(on: date) -> datetime:
    """The moment at which a calendar day begins in Jiangmen, in UTC."""
    return datetime.combine(on, time(), BEIJING).astimezone(UTC)


def local_day(now: datetime) -> date:
    """The calendar day in Jiangmen at `now`."""
    return now.astimezone(BEIJING).date()


def birthday(born_on: date, years: int) -> date:
    """The day on which somebody reaches an age; who was born on 29 February does so on 1 March."""
    try:
        return born_on.replace(year=born_on.year + years)
    except ValueError:
        return date(born_on.year + years, 3, 1)


def needs_guardian(born_on: date, on: date) -> bool:
    """Whether consent has to come from a guardian on that day."""
    return on < birthday(born_on, CONSENT_AGE_YEARS)


def assessment_ends_on(assessed_on: date) -> date:
    """The first day on which an impact assessment is out of date and faces have to be assessed anew."""
    return birthday(assessed_on, ASSESSMENT_VALID_YEARS)


def is_adult(born_on: date, on: date) -> bool:
    """Whether somebody may be a guardian on that day."""
    return on >= birthday(born_on, ADULT_AGE_YEARS)


def unit_numbers(floors: int, units_per_floor: int) -> list[tuple[int, str]]:
    """Floor and number of each unit of a building: 0101, 0102 …, 0201 …"""
    return [
        (floor, f"{floor:02d}{place:02d}")
        for floor in range(1, floors + 1)
        for place in range(1, units_per_floor + 1)
    ]
