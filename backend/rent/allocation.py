"""What a payment pays for: the oldest charge first, within a charge rent before fees. Pure, in fen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from uuid import UUID

from backend.rent.rules import RENT_LINES, LineKind


class Due(StrEnum):
    """The collections that a charge is made of, each owed to somebody else; in the order they are paid."""

    RENT = "rent"
    PROPERTY_FEE = "property_fee"


@dataclass(frozen=True, slots=True)
class OpenCharge:
    """A charge that is not paid in full.

    Attributes:
        dues: what it is made of, in the order of `Due`; they add up to the charge.
        paid_fen: what was paid towards it before.
        payments: how many times that happened.
    """

    charge_id: UUID
    unit_id: UUID
    month: date
    due_on: date
    dues: Mapping[Due, int]
    paid_fen: int
    payments: int

    @property
    def amount_fen(self) -> int:
        """The whole charge."""
        return sum(self.dues.values())

    @property
    def left_fen(self) -> int:
        """What is still owed."""
        return self.amount_fen - self.paid_fen

    def after(self, amount_fen: int) -> OpenCharge:
        """The charge when that much more of it is paid."""
        return replace(self, paid_fen=self.paid_fen + amount_fen, payments=self.payments + 1)


@dataclass(frozen=True, slots=True)
class Part:
    """What of a payment goes to one charge, and to which of its dues; the split adds up to `amount_fen`."""

    charge: OpenCharge
    amount_fen: int
    split: Mapping[Due, int]


def dues_of(lines: Iterable[tuple[str, int]]) -> dict[Due, int]:
    """The dues of a charge from the kinds and amounts of its lines."""
    dues = dict.fromkeys(Due, 0)
    for kind, amount_fen in lines:
        dues[Due.RENT if LineKind(kind) in RENT_LINES else Due.PROPERTY_FEE] += amount_fen
    return {due: amount for due, amount in dues.items() if amount}


def allocate(amount_fen: int, charges: Sequence[OpenCharge]) -> tuple[tuple[Part, ...], int]:
    """Divide an amount over charges, oldest due date first.

    Returns:
        The parts, and what is left over when every charge is paid; together they are `amount_fen`.
    """
    parts, left = [], amount_fen
    for charge in sorted(charges, key=lambda charge: (charge.due_on, charge.month, charge.charge_id)):
        amount = min(left, charge.left_fen)
        if amount > 0:
            parts.append(Part(charge, amount, split(charge.dues, charge.paid_fen, amount)))
            left -= amount
    return tuple(parts), left


def split(dues: Mapping[Due, int], paid_fen: int, amount_fen: int) -> dict[Due, int]:
    """Which dues the next `amount_fen` of a charge pays, when `paid_fen` of it is paid.

    Args:
        amount_fen: no more than is left of the charge.
    """
    found: dict[Due, int] = {}
    begin = 0
    for due, whole in dues.items():
        covered = min(paid_fen + amount_fen, begin + whole) - max(paid_fen, begin)
        if covered > 0:
            found[due] = covered
        begin += whole
    return found
