"""How far behind somebody is: both counters, and which rung of the ladder is due. Pure.

Nothing here, and nothing that reads it, reaches a door: a rung is a message, a letter, or a line on a list
for a person. Source of the counters: 广东省城镇住房保障办法 (2 months in a row, or 6 cumulative), and
公共租赁住房管理办法 (6 cumulative); of the demand before anything else: Civil Code art. 722.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from backend.rent.dunning_settings import DunningRules, Rung
from backend.rent.rules import next_month


@dataclass(frozen=True, slots=True)
class MonthOwed:
    """Rent of one month that is still owed after its due day."""

    month: date
    due_on: date
    owed_fen: int


@dataclass(frozen=True, slots=True)
class Counters:
    """Months in arrears: the longest run of months one after the other, and all of them."""

    in_a_row: int
    cumulative: int

    def reached(self, rules: DunningRules) -> bool:
        """Whether one of the two limits is met, which lets a person consider ending the lease."""
        return self.in_a_row >= rules.months_in_a_row or self.cumulative >= rules.months_cumulative


@dataclass(frozen=True, slots=True)
class Taken:
    """A rung that was reached; `deadline_on` is the last day of a demand's term."""

    rung: str
    taken_on: date
    deadline_on: date | None


def arrears_counters(owed: Iterable[MonthOwed], today: date) -> Counters:
    """Count the months whose due day is past and of which rent is still owed."""
    months = sorted({one.month for one in owed if one.owed_fen > 0 and one.due_on < today})
    longest = run = 1 if months else 0
    for month, later in pairwise(months):
        run = run + 1 if next_month(month) == later else 1
        longest = max(longest, run)
    return Counters(longest, len(months))


def next_rung(
    rules: DunningRules, oldest_due_on: date, counters: Counters, taken: Sequence[Taken], today: date
) -> Rung | None:
    """The rung that is due today, one at a time and never past one that was not taken; None for none.

    A rung needs its days since the oldest due day, and `gap_days` since the rung before; one behind a
    written demand also needs the demand's deadline to be past, and the review the counters.
    """
    done = {one.rung for one in taken}
    rung = next((one for one in rules.rungs if one.name not in done), None)
    if rung is None or today < oldest_due_on + timedelta(days=rung.after_days):
        return None
    if taken and today < max(one.taken_on for one in taken) + timedelta(days=rules.gap_days):
        return None
    if any(one.deadline_on is not None and today <= one.deadline_on for one in taken):
        return None
    if rung.kind == "review" and not counters.reached(rules):
        return None
    return rung
