"""Thirty working days by China's calendar, counted by hand from the State Council's published days."""

from datetime import date

import pytest

from backend.registry.rules import assessment_ends_on
from backend.retention.obligations import filing_due_on


@pytest.mark.parametrize(
    ("reached_on", "due_on"),
    [
        # No holiday: six weeks of five days.
        (date(2026, 6, 22), date(2026, 8, 3)),
        # 25 to 27 September and 1 to 7 October are off, the Saturday 10 October is worked:
        # 28-30 September (3), 8-10 October (6), then five a week (26 on 6 November), 12 November the 30th.
        (date(2026, 9, 24), date(2026, 11, 12)),
        # Sunday 27 April worked, 1 to 5 May and 31 May to 2 June off:
        # 27-30 April (4), 6-9 May (8), 12-30 May (23), 3-6 June (27), 11 June the 30th.
        (date(2025, 4, 25), date(2025, 6, 11)),
    ],
)
def test_the_thirtieth_working_day_is_the_one_of_the_calendar(reached_on: date, due_on: date) -> None:
    assert filing_due_on(reached_on) == due_on


def test_an_assessment_serves_three_years() -> None:
    assert assessment_ends_on(date(2024, 2, 29)) == date(2027, 3, 1)
