"""Water, electricity and gas by meter reading. Pure; quantities in hundredths of their unit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from backend.rent.pricing import PriceBook, amount_of, versions_of
from backend.rent.quantities import in_words
from backend.rent.rules import ChargeLine, LineKind, next_month

NAMES_ZH = {
    LineKind.WATER: ("水费", "吨"),
    LineKind.ELECTRICITY: ("电费", "度"),
    LineKind.GAS: ("燃气费", "方"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter showed at the end of a day; `rolled_over`: it began at zero again since the last."""

    read_on: date
    hundredths: int
    rolled_over: bool = False


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter with its readings, the first of which is that of its installation.

    Attributes:
        rollover_hundredths: the figure at which it begins again at zero.
    """

    kind: LineKind
    plan_id: str
    rollover_hundredths: int
    readings: Sequence[Reading]


def window_of(month: date, occupied_to: date | None) -> tuple[date, date]:
    """Readings of which days a month's charge bills: those of the month before.

    The last month of a tenancy also bills the readings up to the hand-over.
    """
    start = (month - timedelta(days=1)).replace(day=1)
    end = month
    if occupied_to is not None and occupied_to <= next_month(month):
        end = occupied_to + timedelta(days=1)
    return start, end


def utility_lines(
    meters: Iterable[Meter], book: PriceBook, month: date, occupied_from: date, occupied_to: date | None
) -> tuple[ChargeLine, ...]:
    """What was used between readings, for the days on which the tenancy had the unit.

    A reading closes the interval since the one before. Where the tenancy, or a price, holds for a part of
    an interval, it has its share of it by days; the shares of an interval add up to the whole.

    Raises:
        TariffMissingError: the meter's plan has no price for one of the days.
    """
    start, end = window_of(month, occupied_to)
    found: list[ChargeLine] = []
    for meter in meters:
        for before, now in pairwise(meter.readings):
            if start <= now.read_on < end:
                found += _interval(meter, before, now, book, occupied_from, occupied_to)
    return tuple(found)


def used_hundredths(meter: Meter, before: Reading, now: Reading) -> int:
    """What went through the meter between two readings."""
    return now.hundredths - before.hundredths + (meter.rollover_hundredths if now.rolled_over else 0)


def _interval(
    meter: Meter,
    before: Reading,
    now: Reading,
    book: PriceBook,
    occupied_from: date,
    occupied_to: date | None,
) -> Iterator[ChargeLine]:
    # Readings are of the end of a day: the interval is the days behind the first up to the second.
    first, last = before.read_on + timedelta(days=1), now.read_on + timedelta(days=1)
    begin, end = max(first, occupied_from), min(last, occupied_to or last)
    if begin >= end:
        return
    used = used_hundredths(meter, before, now)
    name, unit = NAMES_ZH[meter.kind]
    label = f"{name} {in_words(before.hundredths)}→{in_words(now.hundredths)}（{in_words(used)}{unit}）"
    tariffs = book.tariffs.get((meter.plan_id, meter.kind.value), ())
    for tariff, part_from, part_to in versions_of(tariffs, meter.plan_id, begin, end):
        whole = amount_of(used, tariff.price_centifen)
        fen = _share(whole, first, last, part_from, part_to)
        if fen:
            yield ChargeLine(meter.kind, part_from, part_to, fen, 0, label)


def _share(fen: int, first: date, last: date, begin: date, end: date) -> int:
    days = (last - first).days

    def until(day: date) -> int:
        return (2 * fen * (day - first).days + days) // (2 * days)

    return until(end) - until(begin)
