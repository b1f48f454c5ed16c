"""What the page about money that goes back, and about notices that wait, reads from the tables."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select

from backend.approvals import service as approvals
from backend.approvals.service import Proposal
from backend.db.arrays import among
from backend.identity.principal import Principal
from backend.payments.deposits import due_soon, held_fen
from backend.payments.money_back_tables import deposit_return, deposit_settlement, dispute, refund
from backend.payments.tables import checkout, provider_notice
from backend.registry.tables import tenancy, unit
from backend.rent.tables import payment

SHOWN_MAX = 50
STATES_ZH = {
    "proposed": ("待审批", "To be approved"),
    "declined": ("未同意", "Declined"),
    "asked": ("办理中", "Under way"),
    "pending": ("渠道处理中", "With the channel"),
    "done": ("已退", "Given back"),
    "failed": ("退款失败，已冲回", "Failed and reversed"),
    "refused": ("渠道不受理", "Refused by the channel"),
    "open": ("待答复", "To be answered"),
    "answered": ("已答复，等结果", "Answered"),
    "won": ("胜诉", "Won"),
    "lost": ("败诉", "Lost"),
}
CLOSED_ZH = {"month_end": "月末结账期间", "bank_batch": "银行代扣期间"}


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund with what may be done about it."""

    row: Row[Any]
    receipt_number: str
    state_zh: str
    state_en: str
    may_decide: bool
    may_carry_out: bool
    waits_for_transfer: bool


@dataclass(frozen=True, slots=True)
class DepositView:
    """A deposit under settlement, with the steps that are open."""

    row: Row[Any]
    number: str
    left_fen: int
    open_steps: tuple[Proposal, ...]
    agreed_steps: tuple[Proposal, ...]
    deciders: frozenset[UUID]
    late: bool


def parked(connection: Connection) -> list[Row[Any]]:
    """Notices that wait for a person, oldest first."""
    return list(
        connection.execute(
            select(
                provider_notice.c.notice_id,
                provider_notice.c.provider,
                provider_notice.c.event_id,
                provider_notice.c.received_at,
                provider_notice.c.reason,
            )
            .where(provider_notice.c.state == "parked")
            .order_by(provider_notice.c.notice_id)
            .limit(SHOWN_MAX)
        )
    )


def closed_payments(connection: Connection, estate_ids: Collection[str]) -> list[Row[Any]]:
    """What was paid online while the estate took nothing, newest first."""
    return list(
        connection.execute(
            select(checkout.c.closed_reason, checkout.c.estate_id, payment.c.receipt_number)
            .add_columns(payment.c.amount_fen, payment.c.paid_at)
            .join(payment, payment.c.payment_id == checkout.c.payment_id)
            .where(checkout.c.closed_reason.is_not(None), among(checkout.c.estate_id, estate_ids))
            .order_by(checkout.c.created_at.desc())
            .limit(SHOWN_MAX)
        )
    )


def refunds(connection: Connection, estate_ids: Collection[str], who: Principal) -> list[RefundView]:
    """The latest refunds, newest first."""
    rows = connection.execute(
        select(refund, payment.c.receipt_number)
        .join(payment, payment.c.payment_id == refund.c.payment_id)
        .where(among(refund.c.estate_id, estate_ids))
        .order_by(refund.c.created_at.desc(), refund.c.refund_id)
        .limit(SHOWN_MAX)
    )
    return [_refund(connection, row, who) for row in rows]


def disputes(connection: Connection, estate_ids: Collection[str]) -> list[Row[Any]]:
    """The latest disputes: those to be answered first."""
    return list(
        connection.execute(
            select(dispute, payment.c.receipt_number)
            .join(payment, payment.c.payment_id == dispute.c.payment_id)
            .where(among(dispute.c.estate_id, estate_ids))
            .order_by(dispute.c.state != "open", dispute.c.opened_at.desc(), dispute.c.dispute_id)
            .limit(SHOWN_MAX)
        )
    )


def deposits(
    connection: Connection, estate_ids: Collection[str], who: Principal, now: datetime
) -> list[DepositView]:
    """Deposits under settlement, the one that is due first on top."""
    rows = connection.execute(
        select(deposit_settlement, unit.c.number)
        .join(tenancy, tenancy.c.tenancy_id == deposit_settlement.c.tenancy_id)
        .join(unit, unit.c.unit_id == tenancy.c.unit_id)
        .outerjoin(deposit_return, deposit_return.c.tenancy_id == deposit_settlement.c.tenancy_id)
        .where(among(deposit_settlement.c.estate_id, estate_ids), deposit_return.c.tenancy_id.is_(None))
        .order_by(deposit_settlement.c.due_on.nulls_last(), deposit_settlement.c.opened_at)
        .limit(SHOWN_MAX)
    ).all()
    late = {row.tenancy_id for row in due_soon(connection, now, 0)}
    found = []
    for row in rows:
        steps = approvals.about(connection, f"deposit:{row.tenancy_id}")
        found.append(
            DepositView(
                row,
                row.number,
                held_fen(connection, row.tenancy_id),
                tuple(one for one in steps if one.state == "open"),
                tuple(one for one in steps if one.state == "approved"),
                frozenset(one.proposal_id for one in steps if approvals.may_decide(connection, one, who)),
                row.tenancy_id in late,
            )
        )
    return found


def _refund(connection: Connection, row: Row[Any], who: Principal) -> RefundView:
    asked = approvals.get(connection, row.proposal_id) if row.proposal_id is not None else None
    state = row.state
    if state == "proposed" and asked is not None and asked.state in ("declined", "withdrawn"):
        state = "declined"
    return RefundView(
        row,
        row.receipt_number,
        *STATES_ZH[state],
        may_decide=state == "proposed" and asked is not None and approvals.may_decide(connection, asked, who),
        may_carry_out=state == "proposed" and asked is not None and asked.state == "approved",
        waits_for_transfer=state == "asked" and row.provider == "bank",
    )
