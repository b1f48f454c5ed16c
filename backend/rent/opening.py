"""What households had paid before an estate was taken over: prepaid rent and deposits, as payments.

Their money is in the old system's balances, so no entry of a receipt is posted; each has an opening entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert, text

from backend.registry.rules import local_day
from backend.rent.allocation import Due
from backend.rent.tables import payment, payment_allocation

# In place of a provider and a channel: nobody can be asked about it, and a refund goes by transfer.
TAKEN_OVER = "take_over"
_SERIALS = text("SELECT nextval('receipt_serial') FROM generate_series(1, :many)")


@dataclass(frozen=True, slots=True)
class PaidBefore:
    """Money of a household that the old system had taken.

    Attributes:
        ref: unique in the take-over.
        entry_id: its opening entry.
        deposit_charge_id: the charge of the deposit that it paid; None for rent paid in advance.
    """

    household_id: UUID
    ref: str
    entry_id: int
    amount_fen: int
    deposit_charge_id: UUID | None = None


def keep_paid_before(
    connection: Connection, estate_id: str, given: Sequence[PaidBefore], paid_at: datetime, now: datetime
) -> None:
    """Keep it as payments: prepaid rent is used by the next charge, a deposit is held."""
    if not given:
        return
    serials = connection.execute(_SERIALS, {"many": len(given)}).scalars().all()
    payments, allocations = [], []
    for one, serial in zip(given, serials, strict=True):
        payment_id = uuid4()
        payments.append(
            {
                "payment_id": payment_id,
                "receipt_number": f"QC{local_day(paid_at):%Y%m%d}-{serial:06d}",
                "entry_id": one.entry_id,
                "estate_id": estate_id,
                "household_id": one.household_id,
                "provider": TAKEN_OVER,
                "provider_ref": one.ref,
                "channel": TAKEN_OVER,
                "amount_fen": one.amount_fen,
                "paid_at": paid_at,
                "recorded_at": now,
            }
        )
        if one.deposit_charge_id is not None:
            allocations.append(
                {
                    "payment_id": payment_id,
                    "charge_id": one.deposit_charge_id,
                    "allocation_no": 1,
                    "due": Due.DEPOSIT.value,
                    "amount_fen": one.amount_fen,
                    "from_prepaid": False,
                    "allocated_at": paid_at,
                }
            )
    connection.execute(insert(payment), payments)
    if allocations:
        connection.execute(insert(payment_allocation), allocations)
