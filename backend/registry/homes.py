"""Households over time: tenancies and memberships that end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, select, update

from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry.errors import UnknownThingError
from backend.registry.rights import REGISTRARS
from backend.registry.tables import building, household, household_member, tenancy, unit


@dataclass(frozen=True, slots=True)
class Home:
    """Where a household lives or last lived, and on which terms.

    Attributes:
        to_on: the first day that the tenancy no longer has; None where it has no end.
    """

    building_zh: str
    number: str
    from_on: date
    to_on: date | None
    monthly_rent_fen: int


def latest_home(connection: Connection, household_id: UUID) -> Home | None:
    """The home of the household's latest tenancy; None where it never had one."""
    row = connection.execute(
        select(
            building.c.name_zh, unit.c.number, tenancy.c.from_on, tenancy.c.to_on, tenancy.c.monthly_rent_fen
        )
        .select_from(tenancy)
        .join(unit, unit.c.unit_id == tenancy.c.unit_id)
        .join(
            building,
            (building.c.estate_id == unit.c.estate_id) & (building.c.building_id == unit.c.building_id),
        )
        .where(tenancy.c.household_id == household_id)
        .order_by(tenancy.c.from_on.desc(), tenancy.c.tenancy_id)
        .limit(1)
    ).one_or_none()
    return None if row is None else Home(*row)


def end_tenancy(
    connection: Connection, tenancy_id: UUID, to_on: date, *, actor: Principal, reason: str, now: datetime
) -> None:
    """End a tenancy before `to_on`. Door rights are ended by the signed hand-over, not by this.

    Raises:
        NotAllowedError, UnknownThingError.
    """
    estate_id = connection.scalar(
        select(household.c.estate_id)
        .join(tenancy, tenancy.c.household_id == household.c.household_id)
        .where(tenancy.c.tenancy_id == tenancy_id)
    )
    if estate_id is None:
        raise UnknownThingError("tenancy", tenancy_id)
    check_role(actor, "end_tenancy", estate_id, *REGISTRARS)
    connection.execute(update(tenancy).where(tenancy.c.tenancy_id == tenancy_id).values(to_on=to_on))
    audit(connection, actor, "end_tenancy", "done", "tenancy", str(tenancy_id), estate_id, reason, now)


def end_membership(
    connection: Connection,
    household_id: UUID,
    person_id: UUID,
    to_on: date,
    *,
    actor: Principal,
    reason: str,
    now: datetime,
) -> None:
    """Let a person leave a household before `to_on`; door rights are ended on their own.

    Raises:
        NotAllowedError, UnknownThingError.
    """
    estate_id = connection.scalar(
        select(household.c.estate_id).where(household.c.household_id == household_id)
    )
    if estate_id is None:
        raise UnknownThingError("household", household_id)
    check_role(actor, "end_membership", estate_id, *REGISTRARS)
    member = household_member.c
    ended = connection.execute(
        update(household_member)
        .where(member.household_id == household_id, member.person_id == person_id)
        .where(member.to_on.is_(None))
        .values(to_on=to_on)
    )
    if ended.rowcount == 0:
        raise UnknownThingError("household_member", person_id)
    audit(connection, actor, "end_membership", "done", "person", str(person_id), estate_id, reason, now)
