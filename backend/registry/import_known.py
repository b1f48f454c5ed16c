"""Reads what an import file has to be checked against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy import Connection, func, select

from backend.db.arrays import among
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.identity.tables import principal
from backend.registry.facts import OPEN_DOORS
from backend.registry.import_file import ReadHousehold
from backend.registry.import_rules import Known, KnownPerson, KnownTenancy
from backend.registry.keys import card_reference
from backend.registry.rights import REGISTRARS
from backend.registry.tables import (
    card,
    consent_notice,
    door_group,
    estate,
    household,
    household_member,
    person,
    tenancy,
    unit,
)


def read_known(
    connection: Connection, file: Sequence[ReadHousehold], keys: Callable[[str], bytes], actor: Principal
) -> tuple[Known, dict[str, bytes]]:
    """The registry's side of the check, and the keys of the estates.

    Raises:
        NotAllowedError: the actor may not register people in one of the estates.
    """
    named = {one.household.estate for one in file}
    estates = frozenset(
        connection.scalars(select(estate.c.estate_id).where(among(estate.c.estate_id, named)))
    )
    for estate_id in sorted(estates):
        check_role(actor, "import", estate_id, *REGISTRARS)
    key_of = {estate_id: keys(estate_id) for estate_id in estates}
    known = Known(
        estates=estates,
        units=_units(connection, estates),
        households=_households(connection, estates),
        people=_people(connection, estates),
        tenancies=_tenancies(connection, estates),
        card_holders=_card_holders(connection, file, key_of),
        groups=_groups(connection, estates),
        logins=_logins(connection, file),
        notice=connection.scalar(
            select(func.count()).select_from(consent_notice).where(consent_notice.c.purpose == OPEN_DOORS)
        )
        != 0,
    )
    return known, key_of


def _units(connection: Connection, estates: frozenset[str]) -> dict[tuple[str, str, str], UUID]:
    rows = connection.execute(select(unit).where(among(unit.c.estate_id, estates)))
    return {(row.estate_id, row.building_id, row.number): row.unit_id for row in rows}


def _households(connection: Connection, estates: frozenset[str]) -> dict[tuple[str, str], UUID]:
    rows = connection.execute(select(household).where(among(household.c.estate_id, estates)))
    return {(row.estate_id, row.ref): row.household_id for row in rows}


def _people(connection: Connection, estates: frozenset[str]) -> dict[tuple[str, str], KnownPerson]:
    rows = connection.execute(
        select(person, household.c.ref.label("household_ref"), household_member.c.kind)
        .outerjoin(household_member, household_member.c.person_id == person.c.person_id)
        .outerjoin(household, household.c.household_id == household_member.c.household_id)
        .where(among(person.c.estate_id, estates))
        # The newest membership is read last, and stays.
        .order_by(household_member.c.from_on)
    )
    return {
        (row.estate_id, row.ref): KnownPerson(
            row.person_id, row.household_ref, row.name, row.kind, row.born_on
        )
        for row in rows
    }


def _tenancies(connection: Connection, estates: frozenset[str]) -> dict[UUID, list[KnownTenancy]]:
    rows = connection.execute(
        select(tenancy, household.c.ref)
        .join(household, household.c.household_id == tenancy.c.household_id)
        .where(among(household.c.estate_id, estates))
    )
    found: defaultdict[UUID, list[KnownTenancy]] = defaultdict(list)
    for row in rows:
        found[row.unit_id].append(KnownTenancy(row.ref, row.monthly_rent_fen, row.from_on, row.to_on))
    return dict(found)


def _card_holders(
    connection: Connection, file: Sequence[ReadHousehold], key_of: dict[str, bytes]
) -> dict[tuple[str, str], UUID]:
    references = {
        (one.household.estate, card_reference(key_of[one.household.estate], number)): number
        for one in file
        if one.household.estate in key_of
        for member in one.members
        for number in member.cards
    }
    rows = connection.execute(
        select(card.c.estate_id, card.c.hmac, card.c.person_id).where(
            among(card.c.hmac, [reference for _, reference in references]), card.c.ended_at.is_(None)
        )
    )
    return {
        (row.estate_id, references[(row.estate_id, row.hmac)]): row.person_id
        for row in rows
        if (row.estate_id, row.hmac) in references
    }


def _groups(connection: Connection, estates: frozenset[str]) -> frozenset[tuple[str, str]]:
    rows = connection.execute(select(door_group).where(among(door_group.c.estate_id, estates)))
    return frozenset((row.estate_id, row.group_id) for row in rows)


def _logins(connection: Connection, file: Sequence[ReadHousehold]) -> frozenset[str]:
    wanted = [member.login.lower() for one in file for member in one.members if member.login is not None]
    return frozenset(connection.scalars(select(principal.c.login).where(among(principal.c.login, wanted))))
