"""Money of a payment that goes back: what it takes back, and what happens when it comes to us once more.

It comes out of what was paid in advance first; beyond that, what the payment had paid is owed again, the
latest charge first, within a charge the dues in the opposite order of paying.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Connection, Row, cast, func, insert, select

from backend.ledger import service
from backend.ledger.rules import NewEntry
from backend.rent.allocation import Due
from backend.rent.receipts import lock_accounts
from backend.rent.statement import open_charges
from backend.rent.tables import payment, payment_allocation, payment_return, rent_charge

ORDER = {due: place for place, due in enumerate(Due)}


@dataclass(frozen=True, slots=True)
class Piece:
    """What of a payment had paid one due of one charge."""

    charge_id: UUID
    unit_id: UUID
    due: Due
    fen: int


@dataclass(frozen=True, slots=True)
class Returned:
    """What an amount that goes back is taken out of; the parts add up to it."""

    prepaid_fen: int
    pieces: tuple[Piece, ...]

    @property
    def amount_fen(self) -> int:
        """The whole."""
        return self.prepaid_fen + sum(piece.fen for piece in self.pieces)


def take_back(amount_fen: int, prepaid_fen: int, paid: Sequence[Piece]) -> Returned:
    """Take an amount out of a payment. Pure.

    Args:
        amount_fen: no more than the payment has left.
        prepaid_fen: what of it no charge has used.
        paid: what it paid, in the order in which it is to be taken back.
    """
    first = min(amount_fen, prepaid_fen)
    left, pieces = amount_fen - first, []
    for piece in paid:
        fen = min(left, piece.fen)
        if fen:
            pieces.append(Piece(piece.charge_id, piece.unit_id, piece.due, fen))
            left -= fen
    return Returned(first, tuple(pieces))


def left_of(connection: Connection, payment_id: UUID) -> int:
    """What of a payment has not gone back; lock the household's account first."""
    row = connection.execute(select(payment).where(payment.c.payment_id == payment_id)).one()
    return int(row.amount_fen) - _returned_fen(connection, payment_id)


def return_payment(
    connection: Connection,
    payment_id: UUID,
    amount_fen: int,
    entry_of: Callable[[Row[Any], Returned], NewEntry],
    now: datetime,
) -> int:
    """Post what `entry_of` makes of the payment and its parts, and open again what it had paid.

    Returns:
        The entry's number.
    Raises:
        ValueError: more than the payment has left; whoever asks has to look first, under the same lock.
    """
    row = connection.execute(select(payment).where(payment.c.payment_id == payment_id)).one()
    lock_accounts(connection, [row.household_id])
    paid = _paid(connection, payment_id)
    gone_fen = _returned_fen(connection, payment_id)
    prepaid_fen = row.amount_fen - gone_fen - sum(piece.fen for piece in paid)
    if not 0 < amount_fen <= row.amount_fen - gone_fen:
        raise ValueError("more than the payment has left")
    returned = take_back(amount_fen, prepaid_fen, paid)
    (posted,) = service.post(connection, [entry_of(row, returned)])
    _allocate(connection, payment_id, returned.pieces, -1, now)
    connection.execute(
        insert(payment_return).values(
            entry_id=posted.entry_id,
            payment_id=payment_id,
            amount_fen=amount_fen,
            pieces=[[str(p.charge_id), p.due.value, p.fen] for p in returned.pieces],
            returned_at=now,
        )
    )
    return posted.entry_id


def restore_payment(
    connection: Connection, entry_id: int, reversal_entry_id: int, now: datetime
) -> tuple[Row[Any], tuple[Piece, ...]]:
    """The money of a return came to us once more: what it had paid is paid again.

    Returns:
        The payment, and what was paid by others meanwhile: of it the reversal says too much, and it is
        prepaid rent now.
    """
    gone = connection.execute(select(payment_return).where(payment_return.c.entry_id == entry_id)).one()
    row = connection.execute(select(payment).where(payment.c.payment_id == gone.payment_id)).one()
    lock_accounts(connection, [row.household_id])
    connection.execute(
        insert(payment_return).values(
            entry_id=reversal_entry_id,
            payment_id=gone.payment_id,
            amount_fen=-gone.amount_fen,
            pieces=[],
            returned_at=now,
        )
    )
    owed = {
        (charge.charge_id, due): fen
        for charge in open_charges(connection, [row.household_id])[row.household_id]
        for due, fen in charge.left.items()
    }
    again, over = [], []
    for piece in _pieces(connection, gone.pieces):
        fen = min(piece.fen, owed.get((piece.charge_id, piece.due), 0))
        again.append(Piece(piece.charge_id, piece.unit_id, piece.due, fen))
        over.append(Piece(piece.charge_id, piece.unit_id, piece.due, piece.fen - fen))
    _allocate(connection, gone.payment_id, again, 1, now)
    return row, tuple(piece for piece in over if piece.fen)


def _returned_fen(connection: Connection, payment_id: UUID) -> int:
    total = cast(func.coalesce(func.sum(payment_return.c.amount_fen), 0), BigInteger)
    return int(
        connection.execute(select(total).where(payment_return.c.payment_id == payment_id)).scalar_one()
    )


def _paid(connection: Connection, payment_id: UUID) -> list[Piece]:
    """What the payment has paid and not taken back, in the order in which it is taken back."""
    fen = cast(func.sum(payment_allocation.c.amount_fen), BigInteger)
    rows = connection.execute(
        select(rent_charge.c.charge_id, rent_charge.c.unit_id, payment_allocation.c.due, fen.label("fen"))
        .join(rent_charge, rent_charge.c.charge_id == payment_allocation.c.charge_id)
        .where(payment_allocation.c.payment_id == payment_id)
        .group_by(rent_charge.c.charge_id, payment_allocation.c.due)
        .having(fen > 0)
        .order_by(rent_charge.c.due_on.desc(), rent_charge.c.month.desc(), rent_charge.c.charge_id)
    ).all()
    pieces = [Piece(row.charge_id, row.unit_id, Due(row.due), row.fen) for row in rows]
    by_charge = list(dict.fromkeys(piece.charge_id for piece in pieces))
    return sorted(pieces, key=lambda p: (by_charge.index(p.charge_id), -ORDER[p.due]))


def _pieces(connection: Connection, kept: Iterable[Sequence[Any]]) -> list[Piece]:
    found = [(UUID(charge_id), Due(due), int(fen)) for charge_id, due, fen in kept]
    rows = connection.execute(
        select(rent_charge.c.charge_id, rent_charge.c.unit_id).where(
            rent_charge.c.charge_id.in_([charge_id for charge_id, _, _ in found])
        )
    )
    units: Mapping[UUID, UUID] = {row.charge_id: row.unit_id for row in rows}
    return [Piece(charge_id, units[charge_id], due, fen) for charge_id, due, fen in found]


def _allocate(
    connection: Connection, payment_id: UUID, pieces: Iterable[Piece], sign: int, now: datetime
) -> None:
    wanted = [piece for piece in pieces if piece.fen]
    if not wanted:
        return
    counted = connection.execute(
        select(payment_allocation.c.charge_id, func.count().label("many"))
        .where(payment_allocation.c.charge_id.in_({piece.charge_id for piece in wanted}))
        .group_by(payment_allocation.c.charge_id)
    )
    numbers: dict[UUID, int] = {row.charge_id: row.many for row in counted}
    rows = []
    for piece in wanted:
        numbers[piece.charge_id] = numbers.get(piece.charge_id, 0) + 1
        rows.append(
            {
                "payment_id": payment_id,
                "charge_id": piece.charge_id,
                "allocation_no": numbers[piece.charge_id],
                "due": piece.due.value,
                "amount_fen": sign * piece.fen,
                "from_prepaid": False,
                "allocated_at": now,
            }
        )
    connection.execute(insert(payment_allocation), rows)
