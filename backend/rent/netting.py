"""What corrections downward take off: first their own month, then the oldest that is owed. Pure, in fen.

A correction is a charge below zero. It is not paid and pays nothing by itself: what it takes off others is
computed from what stands in the tables, and so comes out the same in whichever order corrections and
payments were made. A due is only ever reduced by a correction of the same due, because each is owed to
somebody else; what finds nothing to reduce waits for the next charge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from backend.rent.allocation import Due


@dataclass(frozen=True, slots=True)
class Item:
    """One due of one charge; `open_fen` is what was charged less what was paid, below zero for a credit."""

    charge_id: UUID
    tenancy_id: UUID
    month: date
    due_on: date
    due: Due
    open_fen: int


@dataclass(frozen=True, slots=True)
class Netted:
    """What is left when credits are taken off.

    Attributes:
        taken_off: by charge and due; nothing where nothing was.
        credit_fen: what found nothing to reduce.
    """

    taken_off: dict[tuple[UUID, Due], int]
    credit_fen: int


def net(items: Iterable[Item]) -> Netted:
    """Take credits off what is owed."""
    given = list(items)
    taken_off: dict[tuple[UUID, Due], int] = {}
    credits = sorted((item for item in given if item.open_fen < 0), key=_place)
    owed = sorted((item for item in given if item.open_fen > 0), key=_place)
    # Twice through: every credit finds its own month before any is used elsewhere.
    left = {id(credit): -credit.open_fen for credit in credits}
    for own in (True, False):
        for credit in credits:
            left[id(credit)] = _use(credit, left[id(credit)], owed, taken_off, own=own)
    return Netted(taken_off, sum(left.values()))


def _use(
    credit: Item, fen: int, owed: Sequence[Item], taken_off: dict[tuple[UUID, Due], int], *, own: bool
) -> int:
    for item in owed:
        if fen == 0:
            break
        mine = (item.tenancy_id, item.month) == (credit.tenancy_id, credit.month)
        if item.due is not credit.due or (own and not mine):
            continue
        key = (item.charge_id, item.due)
        used = min(fen, item.open_fen - taken_off.get(key, 0))
        if used:
            taken_off[key] = taken_off.get(key, 0) + used
            fen -= used
    return fen


def _place(item: Item) -> tuple[date, date, UUID]:
    return item.due_on, item.month, item.charge_id
