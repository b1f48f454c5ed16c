"""The day's round over everybody who is behind: opens and closes cases, takes the rung that is due.

A rung writes a message, makes a letter available, or puts a household on a list. It touches no door.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Row, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from backend.db.arrays import among
from backend.messaging.service import NewMessage, write
from backend.registry import tables as registry
from backend.registry.rules import local_day
from backend.rent.allocation import Due, OpenCharge
from backend.rent.arrears import Counters, MonthOwed, Taken, arrears_counters, next_rung
from backend.rent.dunning_settings import DunningRules, Rung
from backend.rent.dunning_tables import dunning_case, dunning_round, dunning_step
from backend.rent.statement import open_charges
from backend.rent.tables import payment_allocation, rent_charge

BATCH = 200


@dataclass(frozen=True, slots=True)
class Arrears:
    """What a household owes after the due day: everything, and the rent by month."""

    owed_fen: int
    oldest_due_on: date
    months: tuple[MonthOwed, ...]
    counters: Counters


def dun(engine: Engine, now: datetime, rules: DunningRules) -> int:
    """A little of today's round; returns how many households were looked at, 0 when the day is done.

    Each batch is a transaction, with the place where the next begins; two workers take turns.
    """
    if not rules.enabled:
        return 0
    today = local_day(now)
    with engine.begin() as connection:
        connection.execute(upsert(dunning_round).values(day=today).on_conflict_do_nothing())
        row = connection.execute(
            select(dunning_round).where(dunning_round.c.day == today).with_for_update()
        ).one()
        if row.finished_at is not None:
            return 0
        households = _next_households(connection, today, row.after_household_id)
        for household_id, estate_id in households:
            look_at(connection, household_id, estate_id, today, now, rules)
        values: dict[str, Any] = (
            {"after_household_id": households[-1][0]} if households else {"finished_at": now}
        )
        connection.execute(update(dunning_round).where(dunning_round.c.day == today).values(**values))
        return len(households)


def look_at(
    connection: Connection,
    household_id: UUID,
    estate_id: str,
    today: date,
    now: datetime,
    rules: DunningRules,
) -> Rung | None:
    """Bring one household's case up to today; returns the rung that was taken."""
    behind = arrears_of(open_charges(connection, [household_id])[household_id], today)
    case = connection.execute(
        select(dunning_case)
        .where(dunning_case.c.household_id == household_id, dunning_case.c.closed_on.is_(None))
        .with_for_update()
    ).one_or_none()
    if behind is None:
        if case is not None:
            connection.execute(
                update(dunning_case).where(dunning_case.c.case_id == case.case_id).values(closed_on=today)
            )
        return None
    since_on = case.since_on if case is not None else behind.oldest_due_on
    taken = _taken(connection, case.case_id) if case is not None else []
    rung = next_rung(rules, since_on, behind.counters, taken, today)
    if rung is None:
        return None
    case_id = (
        case.case_id if case is not None else _open(connection, household_id, estate_id, since_on, today)
    )
    deadline_on = today + timedelta(days=rung.deadline_days) if rung.deadline_days else None
    _keep(connection, case_id, rung, behind, today, deadline_on)
    if rung.kind in {"reminder", "demand"}:
        _tell(connection, case_id, household_id, estate_id, rung, behind, deadline_on, now, rules)
    return rung


def arrears_of(charges: Sequence[OpenCharge], today: date) -> Arrears | None:
    """What of these charges is overdue; None for nothing."""
    overdue = [charge for charge in charges if charge.due_on < today]
    if not overdue:
        return None
    by_month: dict[date, MonthOwed] = {}
    for charge in overdue:
        rent_fen = charge.left.get(Due.RENT, 0)
        if rent_fen:
            before = by_month.get(charge.month)
            by_month[charge.month] = MonthOwed(
                charge.month,
                min(charge.due_on, before.due_on) if before else charge.due_on,
                rent_fen + (before.owed_fen if before else 0),
            )
    months = tuple(by_month[month] for month in sorted(by_month))
    return Arrears(
        sum(charge.left_fen for charge in overdue),
        min(charge.due_on for charge in overdue),
        months,
        arrears_counters(months, today),
    )


def words_zh(rung: Rung, behind: Arrears, deadline_on: date | None, rules: DunningRules) -> str:
    """The message: what is owed, until when, where to ask; no name, no address."""
    yuan, fen = divmod(behind.owed_fen, 100)
    months = "、".join(f"{one.month.month}月" for one in behind.months[:6]) or "往月"
    until = f"请在{deadline_on.month}月{deadline_on.day}日前交清。" if deadline_on else "请尽快交清。"
    letter = "书面催缴通知已出具。" if rung.kind == "demand" else ""
    return (
        f"【{rules.issuer_zh}】您家有{months}的费用未交，共 ¥{yuan:,}.{fen:02d}。{letter}{until}"
        f"有困难或已交，请联系{rules.contact_zh}。欠费不影响开门回家。"
    )


def _next_households(connection: Connection, today: date, after: UUID | None) -> list[tuple[UUID, str]]:
    """Households with an overdue charge that is not paid, or with an open case, in the order of their ids."""
    household = registry.household
    paid = (
        select(func.coalesce(func.sum(payment_allocation.c.amount_fen), 0))
        .where(payment_allocation.c.charge_id == rent_charge.c.charge_id)
        .scalar_subquery()
    )
    behind = exists().where(
        rent_charge.c.household_id == household.c.household_id,
        rent_charge.c.due_on < today,
        rent_charge.c.amount_fen > paid,
    )
    has_case = exists().where(
        dunning_case.c.household_id == household.c.household_id, dunning_case.c.closed_on.is_(None)
    )
    query = (
        select(household.c.household_id, household.c.estate_id)
        .where(or_(behind, has_case))
        .order_by(household.c.household_id)
        .limit(BATCH)
    )
    if after is not None:
        query = query.where(registry.household.c.household_id > after)
    return [(row.household_id, row.estate_id) for row in connection.execute(query)]


def _taken(connection: Connection, case_id: UUID) -> list[Taken]:
    rows = connection.execute(select(dunning_step).where(dunning_step.c.case_id == case_id))
    return [Taken(row.rung, row.taken_on, row.deadline_on) for row in rows]


def _open(connection: Connection, household_id: UUID, estate_id: str, since_on: date, today: date) -> UUID:
    case_id = uuid4()
    connection.execute(
        insert(dunning_case).values(
            case_id=case_id,
            estate_id=estate_id,
            household_id=household_id,
            since_on=since_on,
            opened_on=today,
        )
    )
    return case_id


def _keep(
    connection: Connection,
    case_id: UUID,
    rung: Rung,
    behind: Arrears,
    today: date,
    deadline_on: date | None,
) -> None:
    connection.execute(
        insert(dunning_step).values(
            case_id=case_id,
            rung=rung.name,
            name_zh=rung.name_zh,
            kind=rung.kind,
            taken_on=today,
            deadline_on=deadline_on,
            owed_fen=behind.owed_fen,
            in_a_row=behind.counters.in_a_row,
            cumulative=behind.counters.cumulative,
            months=[
                {"month": f"{one.month:%Y-%m}", "due_on": one.due_on.isoformat(), "owed_fen": one.owed_fen}
                for one in behind.months
            ],
        )
    )


def _tell(
    connection: Connection,
    case_id: UUID,
    household_id: UUID,
    estate_id: str,
    rung: Rung,
    behind: Arrears,
    deadline_on: date | None,
    now: datetime,
    rules: DunningRules,
) -> None:
    text_zh = words_zh(rung, behind, deadline_on, rules)
    for person_id in tenants_of(connection, household_id, local_day(now)):
        new = NewMessage(f"dunning:{case_id}:{rung.name}", estate_id, household_id, person_id, text_zh)
        write(connection, new, now)


def tenants_of(connection: Connection, household_id: UUID, on: date) -> list[UUID]:
    """Those who signed the lease and live there on that day."""
    member = registry.household_member
    rows: Sequence[Row[Any]] = connection.execute(
        select(member.c.person_id)
        .where(
            member.c.household_id == household_id,
            member.c.kind == "tenant",
            member.c.from_on <= on,
            (member.c.to_on.is_(None)) | (member.c.to_on > on),
        )
        .order_by(member.c.person_id)
    ).all()
    return [row.person_id for row in rows]


def open_cases(connection: Connection, estates: Sequence[str]) -> Sequence[Row[Any]]:
    """Cases that are open in these estates, each with its last rung, the furthest first."""
    last = (
        select(dunning_step)
        .where(dunning_step.c.case_id == dunning_case.c.case_id)
        .order_by(dunning_step.c.taken_on.desc(), dunning_step.c.rung)
        .limit(1)
        .lateral()
    )
    return connection.execute(
        select(dunning_case, last)
        .join(last, last.c.case_id == dunning_case.c.case_id)
        .where(among(dunning_case.c.estate_id, estates), dunning_case.c.closed_on.is_(None))
        .order_by(dunning_case.c.since_on, dunning_case.c.case_id)
    ).all()
