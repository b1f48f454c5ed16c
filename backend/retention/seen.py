"""The only long-lived trace of passages: that somebody of the household came in that day."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, func, or_, select, text

from backend.identity.audit import audit
from backend.identity.principal import Principal, Role
from backend.identity.service import check_role
from backend.registry.errors import UnknownThingError
from backend.registry.facts import OCCUPANCY_CARE, consenting_persons
from backend.registry.people_tables import purpose_basis
from backend.registry.rules import is_adult, local_day
from backend.registry.tables import household_member, person, tenancy, unit
from backend.retention.errors import NoBasisError, PurposeNeededError
from backend.retention.tables import household_seen

LOOKERS: tuple[Role, ...] = ("operator", "supervisor", "admin")

# Carers come and go without living there, and being seen at another estate is not being at home: a gateway's
# word about a person counts for its own estates only.
ROLL_UP = text("""
INSERT INTO household_seen (unit_id, seen_on)
SELECT DISTINCT tenancy.unit_id, record.seen_on
FROM (
    SELECT DISTINCT estate_id, person_id, (received_at AT TIME ZONE 'Asia/Shanghai')::date AS seen_on
    FROM access_record
    WHERE stored_at >= :since AND stored_at < :until AND outcome = 'open' AND person_id IS NOT NULL
) AS record
JOIN household_member AS member ON member.person_id = record.person_id AND member.kind <> 'carer'
    AND record.seen_on >= member.from_on AND (member.to_on IS NULL OR record.seen_on < member.to_on)
JOIN tenancy ON tenancy.household_id = member.household_id
    AND record.seen_on >= tenancy.from_on AND (tenancy.to_on IS NULL OR record.seen_on < tenancy.to_on)
JOIN unit ON unit.unit_id = tenancy.unit_id AND unit.estate_id = record.estate_id
ON CONFLICT DO NOTHING
""")


def roll_up(connection: Connection, since: datetime, until: datetime) -> int:
    """Note the days of passages stored in [since, until); safe to repeat. Returns how many are new."""
    return int(connection.execute(ROLL_UP, {"since": since, "until": until}).rowcount)


def seen_days(
    connection: Connection, unit_id: UUID, since: date, purpose: str, *, actor: Principal, now: datetime
) -> list[date]:
    """The days since `since` on which a unit's household was seen, newest first; the look is audited.

    Raises:
        PurposeNeededError: none of the purposes that door data may be read for.
        NotAllowedError, UnknownThingError.
        NoBasisError: an adult of the household has not consented, and no basis is recorded.
    """
    if purpose != OCCUPANCY_CARE:
        raise PurposeNeededError
    estate_id = connection.scalar(select(unit.c.estate_id).where(unit.c.unit_id == unit_id))
    if estate_id is None:
        raise UnknownThingError("unit", unit_id)
    check_role(actor, "look_at_household", estate_id, *LOOKERS)
    basis = _basis(connection, unit_id, estate_id, purpose, now)
    if basis is None:
        raise NoBasisError(actor.actor, purpose, str(unit_id), estate_id)
    audit(
        connection, actor, "look_at_household", "done", "unit", str(unit_id), estate_id,
        f"{purpose} basis={basis}", now,
    )  # fmt: skip
    seen = household_seen.c
    return list(
        connection.scalars(
            select(seen.seen_on)
            .where(seen.unit_id == unit_id, seen.seen_on >= since)
            .order_by(seen.seen_on.desc())
        )
    )


def _basis(connection: Connection, unit_id: UUID, estate_id: str, purpose: str, now: datetime) -> str | None:
    """The recorded basis, or "consent" when every adult of the household has given it."""
    today = local_day(now)
    recorded = connection.scalar(
        select(purpose_basis.c.basis_id)
        .where(purpose_basis.c.estate_id == estate_id, purpose_basis.c.purpose == purpose)
        .where(purpose_basis.c.from_on <= today)
        .where(or_(purpose_basis.c.to_on.is_(None), purpose_basis.c.to_on > today))
        .order_by(purpose_basis.c.from_on.desc())
        .limit(1)
    )
    if recorded is not None:
        return str(recorded)
    member, let = household_member.c, tenancy.c
    people = connection.execute(
        select(person.c.person_id, person.c.born_on)
        .join(household_member, member.person_id == person.c.person_id)
        .join(tenancy, let.household_id == member.household_id)
        .where(let.unit_id == unit_id, let.from_on <= today, member.from_on <= today, member.kind != "carer")
        .where(func.coalesce(let.to_on, date.max) > today, func.coalesce(member.to_on, date.max) > today)
    ).all()
    adults = {row.person_id for row in people if is_adult(row.born_on, today)}
    return "consent" if adults and adults <= consenting_persons(connection, adults, now, purpose) else None
