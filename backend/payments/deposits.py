"""A deposit at the end of a tenancy: held back at hand-over, less damage, the rest returned in its term.

It was asked for by a charge and paid like any other. What is held is the household's the whole time; each
step that takes or gives money is agreed to by a second person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import holidays
import structlog
from sqlalchemy import BigInteger, Connection, Row, cast, func, insert, select, update

from backend.approvals import service as approvals
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.ledger import books, service
from backend.ledger.chart import Chart
from backend.ledger.periods import open_day
from backend.ledger.rules import Dimensions
from backend.ledger.vouchers import Occasion
from backend.messaging.service import NewMessage, write
from backend.payments import vouchers
from backend.payments.errors import (
    DepositNotHeldError,
    DepositStepError,
    DepositTooMuchError,
    PayeeMissingError,
)
from backend.payments.money_back_tables import deposit_deduction, deposit_return, deposit_settlement
from backend.payments.refunds import Payee
from backend.payments.settings import PaymentRules
from backend.registry import tables as registry
from backend.registry.rules import local_day
from backend.rent.allocation import Due
from backend.rent.corrections import charge_once
from backend.rent.receipts import keep_from_deposit, lock_accounts
from backend.rent.rules import LineKind
from backend.rent.settings import RentSettings
from backend.rent.tables import payment_allocation, rent_charge

KIND = "deposit_return"
log = structlog.get_logger()
DAMAGE_ZH = "损坏赔偿"


@dataclass(frozen=True, slots=True)
class _Place:
    """Whose deposit it is, and for which unit."""

    estate_id: str
    household_id: UUID
    unit_id: UUID


def held_fen(connection: Connection, tenancy_id: UUID) -> int:
    """What of the tenancy's deposit was paid and neither deducted nor returned."""
    fen = func.coalesce(func.sum(payment_allocation.c.amount_fen), 0)
    paid = connection.execute(
        select(cast(fen, BigInteger))
        .join(rent_charge, rent_charge.c.charge_id == payment_allocation.c.charge_id)
        .where(rent_charge.c.tenancy_id == tenancy_id, payment_allocation.c.due == Due.DEPOSIT.value)
    ).scalar_one()
    back = connection.execute(
        select(deposit_return.c.amount_fen).where(deposit_return.c.tenancy_id == tenancy_id)
    ).scalar()
    return int(paid) - deducted_fen(connection, tenancy_id) - (back or 0)


def deducted_fen(connection: Connection, tenancy_id: UUID) -> int:
    """What damage took of it."""
    fen = cast(func.coalesce(func.sum(deposit_deduction.c.amount_fen), 0), BigInteger)
    query = select(fen).where(deposit_deduction.c.tenancy_id == tenancy_id)
    return int(connection.execute(query).scalar_one())


def working_days_after(day: date, count: int) -> date:
    """The last of `count` working days after a day, by China's holidays and the working weekends for them."""
    calendar = holidays.country_holidays("CN", years=range(day.year, day.year + 2))
    left = count
    while left:
        day += timedelta(days=1)
        left -= calendar.is_working_day(day)
    return day


def open_settlement(
    connection: Connection, tenancy_id: UUID, handed_over_on: date, principal: Principal, now: datetime
) -> None:
    """At hand-over: the deposit is held back until damage is settled. Again, it is nothing new.

    Raises:
        DepositNotHeldError: no tenancy with a paid deposit.
        NotAllowedError
    """
    where = _tenancy(connection, tenancy_id)
    check_role(principal, "payments.hold_deposit", where.estate_id, "finance", "operator")
    lock_accounts(connection, [where.household_id])
    if _settlement(connection, tenancy_id) is not None:
        return
    amount_fen = held_fen(connection, tenancy_id)
    if amount_fen <= 0:
        raise DepositNotHeldError
    chart, occasion = _occasion(connection, where.estate_id, principal, now)
    entry = vouchers.deposit_held_entry(chart, occasion, f"{tenancy_id}:held:1", _about(where), amount_fen)
    (posted,) = service.post(connection, [entry])
    connection.execute(
        insert(deposit_settlement).values(
            tenancy_id=tenancy_id,
            estate_id=where.estate_id,
            household_id=where.household_id,
            deposit_fen=amount_fen,
            handed_over_on=handed_over_on,
            held_entry_id=posted.entry_id,
            opened_by=principal.principal_id,
            opened_at=now,
        )
    )


def remind(connection: Connection, now: datetime, rules: PaymentRules) -> int:
    """Say once, before its term ends, which deposits have to be returned; returns how many are new.

    The page lists them for the office; the tenant is told the last day.
    """
    new = [row for row in due_soon(connection, now, rules.deposit_remind_days) if row.reminded_at is None]
    for row in new:
        log.warning("deposit_due_soon", tenancy_id=str(row.tenancy_id), due_on=str(row.due_on))
        text_zh = f"您的押金最晚 {row.due_on.month}月{row.due_on.day}日前转账退还；账号有变化请到服务窗口。"
        for person_id in _people(connection, row.household_id):
            key = f"deposit:{row.tenancy_id}:due"
            write(connection, NewMessage(key, row.estate_id, row.household_id, person_id, text_zh), now)
        connection.execute(
            update(deposit_settlement)
            .where(deposit_settlement.c.tenancy_id == row.tenancy_id)
            .values(reminded_at=now)
        )
    return len(new)


def _people(connection: Connection, household_id: UUID) -> list[UUID]:
    member = registry.household_member
    query = select(member.c.person_id).where(member.c.household_id == household_id, member.c.kind == "tenant")
    return list(connection.execute(query.distinct()).scalars())


def place_of_settlement(connection: Connection, tenancy_id: UUID) -> tuple[str, UUID]:
    """The estate and the household of a deposit under settlement.

    Raises:
        DepositStepError: there is none.
    """
    row = _settlement(connection, tenancy_id)
    if row is None:
        raise DepositStepError
    return row.estate_id, row.household_id


def propose_deduction(
    connection: Connection,
    tenancy_id: UUID,
    amount_fen: int,
    reason_zh: str,
    evidence_id: UUID,
    principal: Principal,
    now: datetime,
) -> UUID:
    """Ask that damage is taken from the deposit, with evidence; returns the proposal.

    Raises:
        DepositStepError: not handed over yet, or settled already.
        DepositTooMuchError: more than is left of it.
    """
    row = _needed(connection, tenancy_id, settled=False)
    left_fen = held_fen(connection, tenancy_id)
    if not 1 <= amount_fen <= left_fen:
        raise DepositTooMuchError(left_fen)
    asked = approvals.propose(
        connection,
        KIND,
        row.estate_id,
        f"deposit:{tenancy_id}",
        f"押金抵扣损坏赔偿 {_yuan(amount_fen)} 元：{reason_zh.strip()[:60]}",
        {"step": "deduct", "amount_fen": amount_fen, "evidence_id": str(evidence_id)},
        reason_zh,
        principal,
        now,
    )
    return asked.proposal_id


def deduct(
    connection: Connection, proposal_id: UUID, principal: Principal, now: datetime, rules: RentSettings
) -> None:
    """Take the damage that two people agreed on from the deposit.

    Raises:
        ApprovalMissingError, ApprovalUsedError, DepositStepError, DepositTooMuchError
    """
    agreed = approvals.use(connection, proposal_id, KIND, now)
    if agreed.payload.get("step") != "deduct":
        raise DepositStepError
    tenancy_id, amount_fen = _subject(agreed.subject), int(agreed.payload["amount_fen"])
    row = _needed(connection, tenancy_id, settled=False)
    where = _tenancy(connection, tenancy_id)
    lock_accounts(connection, [row.household_id])
    left_fen = held_fen(connection, tenancy_id)
    if amount_fen > left_fen:
        raise DepositTooMuchError(left_fen)
    charge_id = charge_once(
        connection,
        tenancy_id,
        LineKind.DAMAGE,
        amount_fen,
        DAMAGE_ZH,
        None,
        now,
        rules,
        charge_id=proposal_id,
    )
    chart, occasion = _occasion(connection, row.estate_id, principal, now)
    key = f"{tenancy_id}:{charge_id}"
    entry = vouchers.deposit_damage_entry(chart, occasion, key, _about(where), amount_fen)
    (posted,) = service.post(connection, [entry])
    keep_from_deposit(
        connection, row.estate_id, row.household_id, charge_id, key, posted.entry_id, amount_fen, now
    )
    connection.execute(
        insert(deposit_deduction).values(
            deduction_id=uuid4(),
            tenancy_id=tenancy_id,
            charge_id=charge_id,
            amount_fen=amount_fen,
            reason_zh=agreed.reason,
            evidence_id=UUID(str(agreed.payload["evidence_id"])),
            proposal_id=proposal_id,
            entry_id=posted.entry_id,
            deducted_at=now,
        )
    )


def settle_deposit(
    connection: Connection, tenancy_id: UUID, principal: Principal, now: datetime, rules: PaymentRules
) -> date:
    """Nothing more is deducted: the rest is to be returned, and its term begins. Returns its last day.

    Raises:
        DepositStepError: not handed over yet, or settled already.
        NotAllowedError
    """
    row = _needed(connection, tenancy_id, settled=False)
    check_role(principal, "payments.settle_deposit", row.estate_id, "finance")
    where = _tenancy(connection, tenancy_id)
    lock_accounts(connection, [row.household_id])
    settled_on = local_day(now)
    due_on = working_days_after(settled_on, rules.deposit_working_days)
    released_id = None
    left_fen = held_fen(connection, tenancy_id)
    if left_fen:
        chart, occasion = _occasion(connection, row.estate_id, principal, now)
        entry = vouchers.deposit_released_entry(
            chart, occasion, f"{tenancy_id}:released:1", _about(where), left_fen
        )
        released_id = service.post(connection, [entry])[0].entry_id
    connection.execute(
        update(deposit_settlement)
        .where(deposit_settlement.c.tenancy_id == tenancy_id)
        .values(settled_on=settled_on, due_on=due_on, released_entry_id=released_id)
    )
    return due_on


def propose_return(
    connection: Connection,
    tenancy_id: UUID,
    payee: Payee,
    reason_zh: str,
    principal: Principal,
    now: datetime,
) -> UUID:
    """Ask that the rest is transferred to the household; returns the proposal.

    Raises:
        DepositStepError: not settled yet, or returned already.
        DepositNotHeldError: nothing is left.
        PayeeMissingError
    """
    row = _needed(connection, tenancy_id, settled=True)
    left_fen = held_fen(connection, tenancy_id)
    if left_fen <= 0:
        raise DepositNotHeldError
    if not payee.name_zh.strip() or not payee.account.strip():
        raise PayeeMissingError
    asked = approvals.propose(
        connection,
        KIND,
        row.estate_id,
        f"deposit:{tenancy_id}",
        f"退还押金 {_yuan(left_fen)} 元（银行转账）",
        {
            "step": "return",
            "amount_fen": left_fen,
            "payee_zh": payee.name_zh.strip(),
            "payee_account": payee.account.strip(),
        },
        reason_zh,
        principal,
        now,
    )
    return asked.proposal_id


def return_deposit(
    connection: Connection, proposal_id: UUID, transfer_ref: str, principal: Principal, now: datetime
) -> None:
    """The bank was told to transfer what two people agreed on.

    Raises:
        ApprovalMissingError, ApprovalUsedError
        DepositStepError: another step was agreed on, no number, or returned already.
        DepositTooMuchError: less is left than was agreed on.
    """
    agreed = approvals.use(connection, proposal_id, KIND, now)
    if agreed.payload.get("step") != "return" or not transfer_ref.strip():
        raise DepositStepError
    tenancy_id, amount_fen = _subject(agreed.subject), int(agreed.payload["amount_fen"])
    row = _needed(connection, tenancy_id, settled=True)
    check_role(principal, "payments.return_deposit", row.estate_id, "finance")
    where = _tenancy(connection, tenancy_id)
    lock_accounts(connection, [row.household_id])
    left_fen = held_fen(connection, tenancy_id)
    if amount_fen > left_fen:
        raise DepositTooMuchError(left_fen)
    chart, occasion = _occasion(connection, row.estate_id, principal, now)
    entry = vouchers.deposit_returned_entry(chart, occasion, transfer_ref.strip(), _about(where), amount_fen)
    (posted,) = service.post(connection, [entry])
    connection.execute(
        insert(deposit_return).values(
            tenancy_id=tenancy_id,
            amount_fen=amount_fen,
            proposal_id=proposal_id,
            transfer_ref=transfer_ref.strip(),
            payee_zh=agreed.payload["payee_zh"],
            payee_account=agreed.payload["payee_account"],
            entry_id=posted.entry_id,
            returned_at=now,
        )
    )


def due_soon(connection: Connection, now: datetime, days: int) -> list[Row[Any]]:
    """Settled deposits whose term ends within `days` days, or has, and which are not returned yet."""
    until = local_day(now) + timedelta(days=days)
    return list(
        connection.execute(
            select(deposit_settlement)
            .outerjoin(deposit_return, deposit_return.c.tenancy_id == deposit_settlement.c.tenancy_id)
            .where(deposit_settlement.c.due_on <= until, deposit_return.c.tenancy_id.is_(None))
            .order_by(deposit_settlement.c.due_on, deposit_settlement.c.tenancy_id)
        )
    )


def _tenancy(connection: Connection, tenancy_id: UUID) -> _Place:
    row = connection.execute(
        select(registry.tenancy.c.household_id, registry.tenancy.c.unit_id, registry.unit.c.estate_id)
        .join(registry.unit, registry.unit.c.unit_id == registry.tenancy.c.unit_id)
        .where(registry.tenancy.c.tenancy_id == tenancy_id)
    ).one_or_none()
    if row is None:
        raise DepositNotHeldError
    return _Place(row.estate_id, row.household_id, row.unit_id)


def _settlement(connection: Connection, tenancy_id: UUID) -> Row[Any] | None:
    return connection.execute(
        select(deposit_settlement).where(deposit_settlement.c.tenancy_id == tenancy_id).with_for_update()
    ).one_or_none()


def _needed(connection: Connection, tenancy_id: UUID, *, settled: bool) -> Row[Any]:
    row = _settlement(connection, tenancy_id)
    if row is None or (row.settled_on is not None) is not settled:
        raise DepositStepError
    return row


def _about(where: _Place) -> Dimensions:
    return Dimensions(where.estate_id, where.unit_id, where.household_id, None)


def _occasion(
    connection: Connection, estate_id: str, principal: Principal, now: datetime
) -> tuple[Chart, Occasion]:
    book_id = books.book_of(connection, estate_id, now)
    occasion = Occasion(
        book_id,
        now,
        open_day(connection, book_id, local_day(now)),
        principal.actor,
        principal.principal_id,
    )
    return books.chart_of(connection, now), occasion


def _subject(subject: str) -> UUID:
    return UUID(subject.removeprefix("deposit:"))


def _yuan(amount_fen: int) -> str:
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"
