"""What a tenancy is charged for a month. Pure; amounts are integer fen, ranges are [from_on, to_on)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

from backend.rent.errors import MonthError


class TermKind(StrEnum):
    """What a dated term of a tenancy sets."""

    RENT = "rent"
    RELIEF = "relief"
    SUBSIDY = "subsidy"
    PROPERTY_FEE = "property_fee"


class LineKind(StrEnum):
    """What a line of a charge is for."""

    RENT = "rent"
    RELIEF = "relief"
    SUBSIDY = "subsidy"
    # What last month's subsidy had left over.
    SUBSIDY_CARRIED = "subsidy_carried"
    LATE_FEE = "late_fee"
    PROPERTY_FEE = "property_fee"
    WATER = "water"
    ELECTRICITY = "electricity"
    GAS = "gas"
    DEPOSIT = "deposit"
    # Found at hand-over, or asked for once (a lost key).
    DAMAGE = "damage"


# What takes from the rent.
OFFSETS = frozenset({LineKind.RELIEF, LineKind.SUBSIDY, LineKind.SUBSIDY_CARRIED})


@dataclass(frozen=True, slots=True)
class Term:
    """One dated term: an amount a month, or (relief only) a share of the rent.

    It lasts until its own end or until a later term of its kind begins.
    """

    kind: TermKind
    from_on: date
    to_on: date | None
    monthly_fen: int | None
    share_permille: int | None
    label_zh: str


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """One line of a charge.

    Attributes:
        amount_fen: what it adds to the charge; relief and subsidy are negative.
        carried_fen: the part of a subsidy that found no rent to offset.
        corrects: it changes what was charged before; both amounts may then have either sign.
    """

    kind: LineKind
    from_on: date
    to_on: date
    amount_fen: int
    carried_fen: int
    label_zh: str
    corrects: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Days of one month with the term that holds on them."""

    from_on: date
    to_on: date
    term: Term


def read_month(text: str) -> date:
    """`2026-11` as its first day.

    Raises:
        MonthError
    """
    if not re.fullmatch(r"\d{4}-\d{2}", text, re.ASCII):
        raise MonthError(text)
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise MonthError(text) from None


@lru_cache(maxsize=1024)
def next_month(month: date) -> date:
    """The first day of the month behind it."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def share_of_month(monthly_fen: int, month: date, from_on: date, to_on: date) -> int:
    """What of a monthly amount falls on [from_on, to_on) inside the month, by days, in fen.

    Each day boundary has its share of the month, rounded half up, and a part is the difference of its two
    boundaries. So the parts of any division of the month add up to `monthly_fen`.
    """
    end = next_month(month)
    if from_on == month and to_on == end:
        return monthly_fen
    days = (end - month).days

    def until(day: date) -> int:
        passed = (day - month).days
        return (2 * monthly_fen * passed + days) // (2 * days)

    return until(to_on) - until(from_on)


def charge_lines(
    month: date, occupied_from: date, occupied_to: date | None, terms: Sequence[Term], carried_in_fen: int = 0
) -> tuple[ChargeLine, ...]:
    """The lines of a tenancy's charge for a month; empty when nothing is due.

    Relief and subsidies only ever take from the rent, in the order relief, carried subsidy, subsidy, and
    never more than is left of it: a charge cannot fall below zero. What is left of a relief lapses; what is
    left of subsidies stands on their lines as `carried_fen`, and the sum of that comes in here next month.

    Args:
        month: its first day.
        occupied_from, occupied_to: the tenancy; to None while it lasts.
        terms: of any kinds and days; the signed rent is one of them.
        carried_in_fen: what last month's charge carried.
    """
    start, end = max(month, occupied_from), min(next_month(month), occupied_to or date.max)
    if start >= end:
        return ()
    rents = _lines(month, TermKind.RENT, LineKind.RENT, terms, start, end)
    reliefs = list(_reliefs(month, terms, start, end))
    subsidies = [
        ChargeLine(LineKind.SUBSIDY_CARRIED, start, end, carried_in_fen, 0, "上月结转补贴"),
        *_lines(month, TermKind.SUBSIDY, LineKind.SUBSIDY, terms, start, end),
    ]
    fees = _lines(month, TermKind.PROPERTY_FEE, LineKind.PROPERTY_FEE, terms, start, end)
    offsets = _fit(sum(line.amount_fen for line in rents), [*reliefs, *subsidies])
    return (*rents, *offsets, *fees)


def carried_out_fen(lines: Iterable[ChargeLine]) -> int:
    """What the next charge of the tenancy begins with."""
    return sum(line.carried_fen for line in lines)


def spans(terms: Iterable[Term], kind: TermKind, start: date, end: date) -> Iterator[Span]:
    """Which term of `kind` holds when in [start, end): the one that began last, until its end."""
    mine = sorted((term for term in terms if term.kind == kind), key=lambda term: term.from_on)
    for term, later in pairwise([*mine, None]):
        assert term is not None  # noqa: S101 (only the last of the list is None)
        ends = [day for day in (end, term.to_on, later.from_on if later else None) if day is not None]
        first, last = max(start, term.from_on), min(ends)
        if first < last:
            yield Span(first, last, term)


def _lines(
    month: date, kind: TermKind, line_kind: LineKind, terms: Sequence[Term], start: date, end: date
) -> list[ChargeLine]:
    found = []
    for span in spans(terms, kind, start, end):
        amount = share_of_month(span.term.monthly_fen or 0, month, span.from_on, span.to_on)
        if amount:
            found.append(ChargeLine(line_kind, span.from_on, span.to_on, amount, 0, span.term.label_zh))
    return found


def _reliefs(month: date, terms: Sequence[Term], start: date, end: date) -> Iterator[ChargeLine]:
    for span in spans(terms, TermKind.RELIEF, start, end):
        if span.term.share_permille is None:
            amount = share_of_month(span.term.monthly_fen or 0, month, span.from_on, span.to_on)
        else:
            under = spans(terms, TermKind.RENT, span.from_on, span.to_on)
            rent_fen = sum(
                share_of_month(part.term.monthly_fen or 0, month, part.from_on, part.to_on) for part in under
            )
            amount = (2 * rent_fen * span.term.share_permille + 1000) // 2000
        if amount:
            yield ChargeLine(LineKind.RELIEF, span.from_on, span.to_on, amount, 0, span.term.label_zh)


def _fit(rent_fen: int, offsets: Sequence[ChargeLine]) -> Iterator[ChargeLine]:
    """Turn offsets into negative lines that together take no more than the rent."""
    left = rent_fen
    for line in offsets:
        used = min(line.amount_fen, left)
        left -= used
        carried = 0 if line.kind == LineKind.RELIEF else line.amount_fen - used
        if used or carried:
            yield ChargeLine(line.kind, line.from_on, line.to_on, -used, carried, line.label_zh)
