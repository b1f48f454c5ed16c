"""What a tenancy is charged for a month, from everything that was agreed, measured, read and paid.

The facts of a batch of tenancies are read at once; what follows from them is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from uuid import UUID

from backend.rent.late_fees import Overdue, late_fee_lines
from backend.rent.pricing import Agreed, Area, PriceBook, priced
from backend.rent.rules import ChargeLine, LineKind, TermKind, charge_lines, next_month
from backend.rent.settings import LateFeeRule
from backend.rent.utilities import Meter, utility_lines

SIGNED_RENT = "合同租金"
# What the run assesses again when it is corrected. A late fee stays as it was when its days were over, and
# what was asked for once has no rule to be assessed by.
ASSESSED = frozenset(LineKind) - {LineKind.LATE_FEE, LineKind.DEPOSIT, LineKind.DAMAGE}
_PLACE = {kind: place for place, kind in enumerate(LineKind)}


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A tenancy, as far as charging goes; `to_on` is the day of the hand-over."""

    tenancy_id: UUID
    household_id: UUID
    unit_id: UUID
    monthly_rent_fen: int
    from_on: date
    to_on: date | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a batch of tenancies."""

    book: PriceBook = field(default_factory=PriceBook)
    agreed: Mapping[UUID, Sequence[Agreed]] = field(default_factory=dict)
    areas: Mapping[UUID, Sequence[Area]] = field(default_factory=dict)
    meters: Mapping[UUID, Sequence[Meter]] = field(default_factory=dict)
    overdue: Mapping[UUID, Sequence[Overdue]] = field(default_factory=dict)


def assess(
    tenancy: Tenancy, month: date, facts: Facts, carried_in_fen: int, late_fee: LateFeeRule | None = None
) -> tuple[ChargeLine, ...]:
    """The lines of a tenancy's charge for a month; empty when nothing is due.

    Args:
        carried_in_fen: what subsidies had left over the month before.
        late_fee: the rule, where late fees are part of it: the run's charge bills the days of last month.
    Raises:
        TariffMissingError, AreaUnknownError: something has no price.
    """
    start, end = max(month, tenancy.from_on), min(next_month(month), tenancy.to_on or date.max)
    if start >= end:
        return ()
    signed = Agreed(TermKind.RENT, tenancy.from_on, None, SIGNED_RENT, tenancy.monthly_rent_fen)
    agreed = facts.agreed.get(tenancy.tenancy_id, ())
    terms = priced([signed, *agreed], facts.book, facts.areas.get(tenancy.unit_id, ()), start, end)
    lines = charge_lines(month, tenancy.from_on, tenancy.to_on, terms, carried_in_fen)
    meters = facts.meters.get(tenancy.unit_id)
    if meters:
        lines += utility_lines(meters, facts.book, month, tenancy.from_on, tenancy.to_on)
    if late_fee is not None and (overdue := facts.overdue.get(tenancy.tenancy_id)):
        lines += late_fee_lines(overdue, month_before(month), month, late_fee)
    return in_order(lines)


def month_before(month: date) -> date:
    """The first day of the month before."""
    return (month - timedelta(days=1)).replace(day=1)


def in_order(lines: Iterable[ChargeLine]) -> tuple[ChargeLine, ...]:
    """The lines as a charge shows them: rent, what takes from it, fees."""
    return tuple(sorted(lines, key=lambda line: _PLACE[line.kind]))


def differences(
    target: Iterable[ChargeLine], charged: Iterable[ChargeLine], month: date
) -> tuple[ChargeLine, ...]:
    """The lines that turn what was charged into what should have been, one for each kind that changed.

    Added to what was charged, they give the target; made again after that, there are none.
    """
    sums: dict[LineKind, tuple[int, int]] = {}
    for sign, lines in ((1, target), (-1, charged)):
        for line in lines:
            if line.kind in ASSESSED:
                fen, carried = sums.get(line.kind, (0, 0))
                sums[line.kind] = fen + sign * line.amount_fen, carried + sign * line.carried_fen
    return in_order(
        ChargeLine(kind, month, next_month(month), fen, carried, CORRECTION_ZH[kind], corrects=True)
        for kind, (fen, carried) in sums.items()
        if fen or carried
    )


CORRECTION_ZH = {
    LineKind.RENT: "更正：租金",
    LineKind.RELIEF: "更正：租金减免",
    LineKind.SUBSIDY: "更正：补贴",
    LineKind.SUBSIDY_CARRIED: "更正：结转补贴",
    LineKind.PROPERTY_FEE: "更正：物业费",
    LineKind.WATER: "更正：水费",
    LineKind.ELECTRICITY: "更正：电费",
    LineKind.GAS: "更正：燃气费",
}
