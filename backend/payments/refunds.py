"""Refunds: asked for by one person, agreed to by another, carried out by the provider or by a transfer.

The refund and its idempotency key are committed before the provider hears of them. It stands in the books as
soon as the provider has taken it up; when it fails later, the entry is reversed and the money is the
household's again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Row, insert, select, update

from backend.approvals import service as approvals
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.payments.counter import write_slip
from backend.payments.errors import (
    PayeeMissingError,
    PaymentUnknownError,
    RefundNotReadyError,
    RefundTooMuchError,
    RefundUnknownError,
)
from backend.payments.money_back import RefundOrder, RefundState, RefundStatus
from backend.payments.money_back_tables import dispute, refund
from backend.payments.port import ONLINE, Method, ProviderRefusedError
from backend.payments.providers import Providers
from backend.payments.refund_books import Outcome, apply_refund
from backend.payments.settlement import NotOurs
from backend.rent.receipts import lock_accounts
from backend.rent.returns import left_of
from backend.rent.tables import payment

KIND = "refund"
BANK = "bank"
ASK_AGAIN_AFTER = timedelta(seconds=30)
# What still may come out of the payment, or has been asked for.
RESERVED = ("proposed", "asked")
OPEN_DISPUTES = ("open", "answered")


@dataclass(frozen=True, slots=True)
class Payee:
    """Where a transfer goes: the holder's name and the account, with its bank."""

    name_zh: str
    account: str


def refundable(connection: Connection, payment_id: UUID) -> int:
    """What of a payment could still be given back; lock the household's account to rely on it."""
    fen: int = left_of(connection, payment_id)
    waiting = connection.execute(
        select(refund).where(refund.c.payment_id == payment_id, refund.c.state.in_(RESERVED))
    ).all()
    for row in waiting:
        refused = row.proposal_id is not None and row.state == "proposed" and _is_off(connection, row)
        fen -= 0 if refused else row.amount_fen
    disputed = connection.execute(
        select(dispute.c.amount_fen).where(
            dispute.c.payment_id == payment_id, dispute.c.state.in_(OPEN_DISPUTES)
        )
    ).scalars()
    return max(0, fen - int(sum(disputed)))


def propose_refund(
    connection: Connection,
    providers: Providers,
    payment_id: UUID,
    amount_fen: int,
    reason: str,
    principal: Principal,
    now: datetime,
    payee: Payee | None = None,
) -> UUID:
    """Ask for a refund; another person has to agree. Returns its id.

    Through the channel while its window is open, by bank transfer afterwards and for money that was paid at
    the counter; a transfer needs a payee.

    Raises:
        PaymentUnknownError
        NoRightError: no right to propose refunds in that estate.
        RefundTooMuchError: nothing, or more than is left; no provider hears of it.
        PayeeMissingError: it goes by transfer, and nobody said where to.
    """
    row = _payment(connection, payment_id)
    lock_accounts(connection, [row.household_id])
    left_fen = refundable(connection, payment_id)
    if not 1 <= amount_fen <= left_fen:
        raise RefundTooMuchError(amount_fen, left_fen)
    provider = way_back(providers, row, now)
    if provider == BANK and (payee is None or not payee.name_zh.strip() or not payee.account.strip()):
        raise PayeeMissingError
    refund_id = uuid4()
    way_zh = "银行转账" if provider == BANK else "原路退回"
    asked = approvals.propose(
        connection,
        KIND,
        row.estate_id,
        f"payment:{payment_id}",
        f"退款 {amount_fen // 100}.{amount_fen % 100:02d} 元（收据 {row.receipt_number}，{way_zh}）",
        {"refund_id": str(refund_id), "payment_id": str(payment_id), "amount_fen": amount_fen},
        reason,
        principal,
        now,
    )
    connection.execute(
        insert(refund).values(
            refund_id=refund_id,
            payment_id=payment_id,
            estate_id=row.estate_id,
            household_id=row.household_id,
            amount_fen=amount_fen,
            provider=provider,
            payment_ref=row.provider_ref,
            state="proposed",
            proposal_id=asked.proposal_id,
            idempotency_key=f"refund-{refund_id}",
            payee_zh=payee.name_zh.strip() if payee and provider == BANK else None,
            payee_account=payee.account.strip() if payee and provider == BANK else None,
            created_at=now,
            checks=0,
        )
    )
    return refund_id


def way_back(providers: Providers, paid: Row[Any], now: datetime) -> str:
    """Who gives the money of a payment back: its own provider, or the bank."""
    provider = providers.by_name.get(paid.provider)
    if paid.channel not in ONLINE or provider is None:
        return BANK
    window = provider.refund_window(Method(paid.channel))
    return BANK if window is not None and now - paid.paid_at > window else str(paid.provider)


def carry_out(engine: Engine, providers: Providers, refund_id: UUID, now: datetime) -> None:
    """Do what two people agreed on; a transfer then waits for its slip.

    Raises:
        RefundUnknownError
        ApprovalMissingError, ApprovalUsedError: not agreed to, or carried out before.
        ProviderRefusedError: the channel will not; it is noted, and a transfer can be asked for.
        ProviderUnavailableError: nothing is known yet; the sweeper asks again.
    """
    with engine.begin() as connection:
        row = _refund(connection, refund_id)
        approvals.use(connection, row.proposal_id, KIND, now)
        waits = row.provider == BANK
        connection.execute(
            update(refund)
            .where(refund.c.refund_id == refund_id)
            .values(state="asked", next_check_at=None if waits else now + ASK_AGAIN_AFTER)
        )
    if not waits:
        ask_provider(engine, providers, row, now)


def ask_provider(engine: Engine, providers: Providers, row: Row[Any], now: datetime) -> None:
    """Ask for a written-down refund, for the first time or once more; raises as `carry_out`."""
    with engine.connect() as connection:
        paid = _payment(connection, row.payment_id)
    order = RefundOrder(row.refund_id, row.idempotency_key, row.payment_ref, paid.amount_fen, row.amount_fen)
    try:
        told = providers.get(row.provider).refund(order)
    except ProviderRefusedError as error:
        with engine.begin() as connection:
            connection.execute(
                update(refund)
                .where(refund.c.refund_id == row.refund_id, refund.c.state == "asked")
                .values(state="refused", detail=error.reason, finished_at=now, next_check_at=None)
            )
        raise
    take_word(engine, row.provider, told, now)


def take_word(engine: Engine, provider: str, told: RefundStatus, now: datetime) -> Outcome:
    """Book what a provider says of a refund, in a transaction of its own."""
    with engine.begin() as connection:
        return apply_refund(connection, provider, told, now)


def transferred(
    engine: Engine,
    providers: Providers,
    refund_id: UUID,
    transfer_ref: str,
    principal: Principal,
    now: datetime,
) -> None:
    """The bank was told to transfer a refund: the slip is kept, and the refund is in the books.

    Raises:
        RefundUnknownError
        NotAllowedError: not of the estate's finance staff.
        RefundNotReadyError: no transfer, not agreed to yet, or transferred before.
        SlipTakenError: that number stands for something else.
    """
    with engine.begin() as connection:
        row = _refund(connection, refund_id)
        check_role(principal, "payments.transferred", row.estate_id, "finance")
        if row.provider != BANK or row.state != "asked" or not transfer_ref.strip():
            raise RefundNotReadyError
        write_slip(
            connection,
            BANK,
            transfer_ref.strip(),
            "refund",
            refund_id,
            row.estate_id,
            row.amount_fen,
            now,
            principal,
            now,
        )
    outcome = take_word(engine, BANK, providers.get(BANK).refund_status(str(refund_id)), now)
    if isinstance(outcome, NotOurs):
        raise RefundNotReadyError


def transfer_returned(engine: Engine, refund_id: UUID, principal: Principal, now: datetime) -> None:
    """The bank sent a transfer back: the refund failed, and the books say so.

    Raises:
        RefundUnknownError, NotAllowedError
        RefundNotReadyError: it was not transferred, or came back before.
    """
    with engine.begin() as connection:
        row = _refund(connection, refund_id)
        check_role(principal, "payments.transfer_returned", row.estate_id, "finance")
        if row.provider != BANK or row.state != "done":
            raise RefundNotReadyError
        apply_refund(connection, BANK, failed_status(row, "returned_by_bank"), now)


def failed_status(row: Row[Any], reason: str) -> RefundStatus:
    """A refund's failure as its provider would tell it."""
    return RefundStatus(
        refund_id=row.refund_id,
        provider_ref=row.provider_ref or str(row.refund_id),
        payment_ref=row.payment_ref,
        state=RefundState.FAILED,
        amount_fen=row.amount_fen,
        currency="cny",
        reason=reason,
    )


def _payment(connection: Connection, payment_id: UUID) -> Row[Any]:
    row = connection.execute(select(payment).where(payment.c.payment_id == payment_id)).one_or_none()
    if row is None:
        raise PaymentUnknownError
    return row


def _refund(connection: Connection, refund_id: UUID) -> Row[Any]:
    row = connection.execute(
        select(refund).where(refund.c.refund_id == refund_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise RefundUnknownError
    return row


def _is_off(connection: Connection, row: Row[Any]) -> bool:
    return approvals.get(connection, row.proposal_id).state in ("declined", "withdrawn")
