"""An estate's households as the table that the import reads."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, or_, select

from backend.db.arrays import among
from backend.documents.columns import Sheet
from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.identity.tables import principal
from backend.registry.facts import OPEN_DOORS, consenting_persons
from backend.registry.import_file import FaceConsent, Household, Member, ReadHousehold
from backend.registry.import_table import household_sheet
from backend.registry.rights import REGISTRARS
from backend.registry.rules import local_day
from backend.registry.tables import consent, door_right, household, household_member, person, tenancy, unit


def export_households(connection: Connection, estate_id: str, *, actor: Principal, now: datetime) -> Sheet:
    """Everybody who lives in an estate today. Names leave with it, so it is audited.

    Raises:
        NotAllowedError.
    """
    check_role(actor, "export_households", estate_id, *REGISTRARS)
    found = _households(connection, estate_id, now)
    people = sum(len(one.members) for one in found)
    reason = f"persons={people}"
    audit(connection, actor, "export_households", "done", "estate", estate_id, estate_id, reason, now)
    return household_sheet(found)


def _households(connection: Connection, estate_id: str, now: datetime) -> list[ReadHousehold]:
    today = local_day(now)
    rows = connection.execute(
        select(household.c.household_id, household.c.ref, unit.c.building_id, unit.c.number)
        .add_columns(tenancy.c.monthly_rent_fen, tenancy.c.from_on)
        .join(tenancy, tenancy.c.household_id == household.c.household_id)
        .join(unit, unit.c.unit_id == tenancy.c.unit_id)
        .where(household.c.estate_id == estate_id, or_(tenancy.c.to_on.is_(None), tenancy.c.to_on > today))
        .order_by(unit.c.building_id, unit.c.number, tenancy.c.from_on)
    ).all()
    members = _members(connection, [row.household_id for row in rows], now)
    return [
        ReadHousehold(
            row=row.ref,
            household=Household(
                ref=row.ref,
                estate=estate_id,
                building=row.building_id,
                unit=row.number,
                monthly_rent_fen=row.monthly_rent_fen,
                from_on=row.from_on,
                members=[member.ref for member in members[row.household_id]],
            ),
            members=members[row.household_id],
            member_rows=[member.ref for member in members[row.household_id]],
        )
        for row in rows
    ]


def _members(
    connection: Connection, household_ids: list[UUID], now: datetime
) -> defaultdict[UUID, list[Member]]:
    held, today = household_member.c, local_day(now)
    rows = connection.execute(
        select(person, held.household_id, held.kind, principal.c.login)
        .join(household_member, held.person_id == person.c.person_id)
        .outerjoin(principal, principal.c.person_id == person.c.person_id)
        .where(among(held.household_id, household_ids), or_(held.to_on.is_(None), held.to_on > today))
        .order_by(held.household_id, held.kind.desc(), person.c.ref)
    ).all()
    people = [row.person_id for row in rows]
    groups, said = _groups(connection, people, now), _consents(connection, people, now)
    members: defaultdict[UUID, list[Member]] = defaultdict(list)
    for row in rows:
        members[row.household_id].append(
            Member(
                ref=row.ref,
                name=row.name,
                kind=row.kind,
                born_on=row.born_on,
                face_consent=said.get(row.person_id, FaceConsent(given=False)),
                login=row.login,
                door_groups=groups[row.person_id],
            )
        )
    return members


def _groups(connection: Connection, people: list[UUID], now: datetime) -> defaultdict[UUID, list[str]]:
    right = door_right.c
    rows = connection.execute(
        select(right.person_id, right.group_id)
        .where(among(right.person_id, people), or_(right.ends_at.is_(None), right.ends_at > now))
        .distinct()
        .order_by(right.person_id, right.group_id)
    )
    groups: defaultdict[UUID, list[str]] = defaultdict(list)
    for row in rows:
        groups[row.person_id].append(row.group_id)
    return groups


def _consents(connection: Connection, people: list[UUID], now: datetime) -> dict[UUID, FaceConsent]:
    consenting = consenting_persons(connection, people, now)
    guardian = person.alias("guardian")
    rows = connection.execute(
        select(consent.c.person_id, consent.c.channel, guardian.c.ref, consent.c.relation)
        .outerjoin(guardian, guardian.c.person_id == consent.c.guardian_id)
        .where(among(consent.c.person_id, consenting))
        .where(consent.c.purpose == OPEN_DOORS, consent.c.withdrawn_at.is_(None))
    )
    return {
        row.person_id: FaceConsent(given=True, channel=row.channel, guardian=row.ref)
        if row.relation is None
        else FaceConsent(given=True, channel=row.channel, guardian=row.ref, relation=row.relation)
        for row in rows
    }
