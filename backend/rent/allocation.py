"""What a payment pays for: the oldest charge first, in it the order of the dues. Pure, in fen."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from uuid import UUID

from backend.rent.rules import LineKind


class Due(StrEnum):
    """The collections that a charge is made of, each owed to somebody else; in the order they are paid."""

    RENT = "rent"
    LATE_FEE = "late_fee"
    PROPERTY_FEE = "property_fee"
    UTILITIES = "utilities"
    DEPOSIT = "deposit"
    DAMAGE = "damage"


DUE_OF: Mapping[LineKind, Due] = {
    LineKind.RENT: Due.RENT,
    LineKind.RELIEF: Due.RENT,
    LineKind.SUBSIDY: Due.RENT,
    LineKind.SUBSIDY_CARRIED: Due.RENT,
    LineKind.LATE_FEE: Due.LATE_FEE,
    LineKind.PROPERTY_FEE: Due.PROPERTY_FEE,
    LineKind.WATER: Due.UTILITIES,
    LineKind.ELECTRICITY: Due.UTILITIES,
    LineKind.GAS: Due.UTILITIES,
    LineKind.DEPOSIT: Due.DEPOSIT,
    LineKind.DAMAGE: Due.DAMAGE,
}

# The line that stands for a due as a whole.
LINE_OF: Mapping[Due, LineKind] = {
    Due.RENT: LineKind.RENT,
    Due.LATE_FEE: LineKind.LATE_FEE,
    Due.PROPERTY_FEE: LineKind.PROPERTY_FEE,
    Due.UTILITIES: LineKind.WATER,
    Due.DEPOSIT: LineKind.DEPOSIT,
    Due.DAMAGE: LineKind.DAMAGE,
}


@dataclass(frozen=True, slots=True)
class OpenCharge:
    """A charge of which something is still owed.

    Attributes:
        left: what is still owed, by due, in the order of `Due`; each above zero.
        allocations: how often something was paid towards it before.
    """

    charge_id: UUID
    unit_id: UUID
    month: date
    due_on: date
    left: Mapping[Due, int]
    allocations: int

    @property
    def left_fen(self) -> int:
        """What is still owed."""
        return sum(self.left.values())

    def after(self, paid: Mapping[Due, int]) -> OpenCharge:
        """The charge when that much more of it is paid."""
        left = {due: fen - paid.get(due, 0) for due, fen in self.left.items()}
        return replace(
            self,
            left={due: fen for due, fen in left.items() if fen},
            allocations=self.allocations + len(paid),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """What of a payment goes to one charge, and to which of its dues; the split adds up to `amount_fen`."""

    charge: OpenCharge
    amount_fen: int
    split: Mapping[Due, int]


def dues_of(lines: Iterable[tuple[str, int]]) -> dict[Due, int]:
    """The dues of a charge from the kinds and amounts of its lines; a correction's may be below zero."""
    dues = dict.fromkeys(Due, 0)
    for kind, amount_fen in lines:
        dues[DUE_OF[LineKind(kind)]] += amount_fen
    return {due: amount for due, amount in dues.items() if amount}


def allocate(
    amount_fen: int, charges: Sequence[OpenCharge], first: Container[UUID] = ()
) -> tuple[tuple[Part, ...], int]:
    """Divide an amount over charges, oldest due date first.

    Args:
        first: charges that the payer chose; they come before all others.
    Returns:
        The parts, and what is left over when every charge is paid; together they are `amount_fen`.
    """
    parts, left = [], amount_fen
    for charge in sorted(
        charges,
        key=lambda charge: (charge.charge_id not in first, charge.due_on, charge.month, charge.charge_id),
    ):
        amount = min(left, charge.left_fen)
        if amount > 0:
            parts.append(Part(charge, amount, split(charge.left, amount)))
            left -= amount
    return tuple(parts), left


def split(left: Mapping[Due, int], amount_fen: int) -> dict[Due, int]:
    """Which dues the next `amount_fen` of a charge pays.

    Args:
        amount_fen: no more than is left of the charge.
    """
    found: dict[Due, int] = {}
    for due, fen in left.items():
        covered = min(fen, amount_fen)
        if covered:
            found[due] = covered
            amount_fen -= covered
    return found
