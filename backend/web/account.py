"""A household's account as the tenant's page needs it: where they live, what is owed, what is under way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, func, or_, select

from backend.payments.checkouts import estate_of
from backend.payments.port import CheckoutState
from backend.payments.tables import checkout
from backend.registry.rules import local_day
from backend.registry.tables import building, estate, tenancy, unit
from backend.rent.service import Statement, household_of, household_statement
from backend.rent.tables import payment

_UNDER_WAY = (CheckoutState.OPEN.value, CheckoutState.PROCESSING.value)
_ENDED = (CheckoutState.PAID.value, CheckoutState.FAILED.value, CheckoutState.EXPIRED.value)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A payment that was begun and has no result yet; `processing` if the money is on its way."""

    checkout_id: UUID
    amount_fen: int
    processing: bool


@dataclass(frozen=True, slots=True)
class Account:
    """What the page is about.

    Attributes:
        home_zh: estate, building and unit; empty when the household rents none today.
        seen: the account's state as far as paying goes: it changes when a payment ends, and only then.
    """

    household_id: UUID
    estate_id: str
    home_zh: str
    statement: Statement
    seen: str
    waiting: Waiting | None


def account_of(connection: Connection, person_id: UUID | None, now: datetime) -> Account | None:
    """The account of the household that somebody lives in; None for somebody who lives in none."""
    today = local_day(now)
    household_id = household_of(connection, person_id, today) if person_id is not None else None
    if household_id is None:
        return None
    return Account(
        household_id=household_id,
        estate_id=estate_of(connection, household_id),
        home_zh=_home_zh(connection, household_id, today),
        statement=household_statement(connection, household_id),
        seen=seen_of(connection, household_id),
        waiting=_waiting(connection, household_id, now),
    )


def seen_of(connection: Connection, household_id: UUID) -> str:
    """The account's state as far as paying goes."""
    ended = connection.scalar(
        select(func.count())
        .select_from(checkout)
        .where(checkout.c.household_id == household_id, checkout.c.state.in_(_ENDED))
    )
    paid = connection.scalar(
        select(func.count()).select_from(payment).where(payment.c.household_id == household_id)
    )
    return f"{ended}-{paid}"


def _waiting(connection: Connection, household_id: UUID, now: datetime) -> Waiting | None:
    """The newest payment of the household that was begun and has no result yet."""
    row = connection.execute(
        select(checkout.c.checkout_id, checkout.c.amount_fen, checkout.c.state)
        .where(checkout.c.household_id == household_id, checkout.c.state.in_(_UNDER_WAY))
        .where((checkout.c.state == CheckoutState.PROCESSING.value) | (checkout.c.expires_at > now))
        .order_by(checkout.c.created_at.desc(), checkout.c.checkout_id)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return Waiting(row.checkout_id, row.amount_fen, row.state == CheckoutState.PROCESSING.value)


def _home_zh(connection: Connection, household_id: UUID, on: date) -> str:
    row = connection.execute(
        select(estate.c.name_zh, building.c.name_zh.label("building_zh"), unit.c.number)
        .select_from(tenancy)
        .join(unit, unit.c.unit_id == tenancy.c.unit_id)
        .join(
            building,
            (building.c.estate_id == unit.c.estate_id) & (building.c.building_id == unit.c.building_id),
        )
        .join(estate, estate.c.estate_id == unit.c.estate_id)
        .where(
            tenancy.c.household_id == household_id,
            tenancy.c.from_on <= on,
            or_(tenancy.c.to_on.is_(None), tenancy.c.to_on > on),
        )
        .order_by(tenancy.c.from_on.desc())
        .limit(1)
    ).one_or_none()
    return f"{row.name_zh} {row.building_zh} {row.number}" if row is not None else ""
