"""From what was agreed to amounts a month: plans by area and price, relief by tier, dated versions. Pure.

Areas are in hundredths of a square metre, quantities in hundredths of their unit, prices in hundredths of a
fen: 12.345 yuan a square metre is 123,450. All are integers, so nothing is rounded before the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from backend.rent.errors import AreaUnknownError, TariffMissingError
from backend.rent.rules import Term, TermKind


@dataclass(frozen=True, slots=True)
class Agreed:
    """A dated term as it was agreed: one of an amount, a share, a plan or a tier."""

    kind: TermKind
    from_on: date
    to_on: date | None
    label_zh: str
    monthly_fen: int | None = None
    share_permille: int | None = None
    plan_id: str | None = None
    tier_id: str | None = None


@dataclass(frozen=True, slots=True)
class Tariff:
    """A version of a plan's price for one kind of thing."""

    plan_id: str
    kind: str
    from_on: date
    to_on: date | None
    price_centifen: int


@dataclass(frozen=True, slots=True)
class Tier:
    """A version of a relief tier: a share of the rent, or an amount a month."""

    tier_id: str
    from_on: date
    to_on: date | None
    monthly_fen: int | None
    share_permille: int | None


@dataclass(frozen=True, slots=True)
class Area:
    """What a unit measures from a day on."""

    from_on: date
    hundredths: int


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Every version of every plan and tier, each in the order of its days."""

    tariffs: Mapping[tuple[str, str], Sequence[Tariff]] = field(default_factory=dict)
    tiers: Mapping[str, Sequence[Tier]] = field(default_factory=dict)


def priced(
    agreed: Sequence[Agreed], book: PriceBook, areas: Sequence[Area], start: date, end: date
) -> list[Term]:
    """The terms that hold in [start, end), with their amounts.

    Of one kind, a later term ends an earlier one for good; one that ends on its first day never was.

    Raises:
        TariffMissingError: a plan or tier has no version for one of these days.
        AreaUnknownError: a plan by area, and nobody has measured the unit.
    """
    return [
        term
        for one, first, last in _holding(agreed, start, end)
        for term in _terms(one, first, last, book, areas)
    ]


def amount_of(hundredths: int, price_centifen: int) -> int:
    """Quantity times price in fen, rounded half up; for quantities and prices of at least zero."""
    return (hundredths * price_centifen + 5_000) // 10_000


def _holding(agreed: Sequence[Agreed], start: date, end: date) -> Iterator[tuple[Agreed, date, date]]:
    by_kind: dict[TermKind, list[Agreed]] = {}
    for one in agreed:
        if one.to_on is None or one.to_on > one.from_on:
            by_kind.setdefault(one.kind, []).append(one)
    for mine in by_kind.values():
        mine.sort(key=lambda one: one.from_on)
        begins = [*(one.from_on for one in mine[1:]), end]
        for one, later_on in zip(mine, begins, strict=True):
            first, last = max(start, one.from_on), min(end, one.to_on or end, later_on)
            if first < last:
                yield one, first, last


def _terms(one: Agreed, first: date, last: date, book: PriceBook, areas: Sequence[Area]) -> Iterator[Term]:
    if one.plan_id is not None:
        yield from _by_area(one, first, last, book, areas)
    elif one.tier_id is not None:
        for tier, begin, end in versions_of(book.tiers.get(one.tier_id, ()), one.tier_id, first, last):
            yield Term(one.kind, begin, end, tier.monthly_fen, tier.share_permille, one.label_zh)
    else:
        yield Term(one.kind, first, last, one.monthly_fen, one.share_permille, one.label_zh)


def _by_area(one: Agreed, first: date, last: date, book: PriceBook, areas: Sequence[Area]) -> Iterator[Term]:
    plan_id = one.plan_id or ""
    tariffs = book.tariffs.get((plan_id, one.kind.value), ())
    for tariff, begin, end in versions_of(tariffs, plan_id, first, last):
        for area, area_from, area_to in _measured(areas, begin, end):
            fen = amount_of(area.hundredths, tariff.price_centifen)
            yield Term(one.kind, area_from, area_to, fen, None, one.label_zh)


def versions_of(
    versions: Iterable[Tariff | Tier], name: str, first: date, last: date
) -> Iterator[tuple[Any, date, date]]:
    """Which version holds when in [first, last); they do not overlap.

    Raises:
        TariffMissingError: none holds on one of these days.
    """
    day = first
    for version in versions:
        if day >= last:
            return
        end = min(last, version.to_on or last)
        if version.from_on <= day < end:
            yield version, day, end
            day = end
    if day < last:
        raise TariffMissingError(name, day)


def _measured(areas: Sequence[Area], first: date, last: date) -> Iterator[tuple[Area, date, date]]:
    if not areas:
        raise AreaUnknownError
    # Before its first measurement, a unit was as large as it was found to be.
    known = [Area(date.min, areas[0].hundredths), *areas[1:]]
    begins = [*(area.from_on for area in known[1:]), last]
    for area, later_on in zip(known, begins, strict=True):
        begin, end = max(first, area.from_on), min(last, later_on)
        if begin < end:
            yield area, begin, end
