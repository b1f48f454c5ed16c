"""Money that goes back to payers, as a provider tells of it: refunds we ask for, disputes they open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class RefundState(StrEnum):
    """Where a refund stands at the provider. PENDING may still fail; so may, rarely, DONE."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """What the provider is asked to give back.

    Attributes:
        idempotency_key: of this refund; the same one again is the same refund, not a second.
        payment_ref: the provider's id of the payment.
        payment_fen: the whole payment, which some providers want to be told again.
    """

    refund_id: UUID
    idempotency_key: str
    payment_ref: str
    payment_fen: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class RefundStatus:
    """What the provider says of a refund.

    Attributes:
        refund_id: ours, as we gave it; None if it was made elsewhere (in the provider's own pages).
        provider_ref: what `refund_status` wants.
        reason: of a failure, the provider's code.
        slip_ref: of a transfer, the number under which the bank's statement shows it.
    """

    refund_id: UUID | None
    provider_ref: str
    payment_ref: str
    state: RefundState
    amount_fen: int
    currency: str
    reason: str | None = None
    slip_ref: str | None = None


class DisputeState(StrEnum):
    """Where a dispute stands."""

    OPEN = "open"
    ANSWERED = "answered"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class DisputeStatus:
    """What the provider says of a dispute.

    Attributes:
        taken: the money is away from our account until the case is decided; an inquiry leaves it there.
        answer_by: until when evidence counts, UTC.
    """

    provider_ref: str
    payment_ref: str
    state: DisputeState
    amount_fen: int
    currency: str
    reason: str
    taken: bool
    answer_by: datetime | None
