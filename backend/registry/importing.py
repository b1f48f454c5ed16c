"""Imports households from a file: all of it or nothing, and the same file twice changes nothing."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, insert

from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.tables import principal, principal_role
from backend.registry import consents
from backend.registry.errors import ImportRefusedError, Problem
from backend.registry.facts import OPEN_DOORS
from backend.registry.import_file import Member, ReadHousehold, read_json
from backend.registry.import_known import read_known
from backend.registry.import_rules import Known, check, is_new
from backend.registry.import_table import read_households
from backend.registry.keys import card_reference
from backend.registry.roster import lock_rosters, publish_persons
from backend.registry.rules import local_day, start_of_day
from backend.registry.tables import (
    card,
    consent,
    door_right,
    household,
    household_member,
    person,
    tenancy,
)

# In the order in which rows refer to each other.
TABLES = (
    household,
    person,
    household_member,
    tenancy,
    door_right,
    card,
    consent,
    principal,
    principal_role,
)


@dataclass(frozen=True, slots=True)
class ImportResult:
    """Which ids the file's refs have, those known before included.

    Attributes:
        ids: of each household and person, by its ref.
        logins: the logins this import made; each needs a password before it can be used.
    """

    ids: Mapping[str, UUID]
    logins: tuple[str, ...]


@dataclass(slots=True)
class _Plan:
    """The rows to be written, by table, while the file is gone through."""

    actor: Principal
    now: datetime
    new_id: Callable[[], UUID]
    keys: Mapping[str, bytes]
    notice_version: int | None
    households: dict[tuple[str, str], UUID]
    persons: dict[tuple[str, str], UUID]
    rows: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    added: list[UUID] = field(default_factory=list)

    def add(self, table: Table, **values: object) -> None:
        self.rows[table.name].append(values)


def import_households(
    connection: Connection,
    body: bytes,
    keys: Callable[[str], bytes],
    *,
    actor: Principal,
    now: datetime,
    new_id: Callable[[], UUID] = uuid.uuid4,
) -> ImportResult:
    """Import a file of households.

    A household or person whose ref is known is left as it is, so that importing a file again brings back
    nothing that was ended, blocked or withdrawn since.

    Args:
        keys: an estate's key for card references, by its id.
    Raises:
        ImportRefusedError: naming each faulty row; nothing is imported.
        NotAllowedError: the actor may not register people in one of the estates.
    """
    file, plan = _plan_import(connection, body, keys, actor, now, new_id)
    for table in TABLES:
        if plan.rows[table.name]:
            connection.execute(insert(table), plan.rows[table.name])
    _audit(connection, plan)
    publish_persons(connection, plan.added, now)
    return _result(plan, file)


def try_import(
    connection: Connection,
    body: bytes,
    keys: Callable[[str], bytes],
    *,
    actor: Principal,
    now: datetime,
) -> Mapping[str, int]:
    """What an import would add, by table, with nothing written.

    Raises:
        ImportRefusedError, NotAllowedError: as the import itself.
    """
    _, plan = _plan_import(connection, body, keys, actor, now, uuid.uuid4)
    return {table.name: len(plan.rows[table.name]) for table in TABLES if plan.rows[table.name]}


def read_import(body: bytes) -> tuple[list[ReadHousehold], list[Problem]]:
    """A file in any of its forms: JSON begins with a brace, everything else is a table."""
    return read_json(body) if body.lstrip()[:1] in {b"{", b"["} else read_households(body)


def _plan_import(
    connection: Connection,
    body: bytes,
    keys: Callable[[str], bytes],
    actor: Principal,
    now: datetime,
    new_id: Callable[[], UUID],
) -> tuple[list[ReadHousehold], _Plan]:
    file, problems = read_import(body)
    estates = sorted({one.household.estate for one in file})
    # Two imports into one estate go one after the other; the second one knows what the first one did.
    lock_rosters(connection, estates)
    known, key_of = read_known(connection, file, keys, actor)
    problems += check(file, known, local_day(now))
    if problems:
        raise ImportRefusedError(problems)
    plan = _Plan(
        actor=actor,
        now=now,
        new_id=new_id,
        keys=key_of,
        notice_version=consents.newest_notice(connection, OPEN_DOORS) if known.notice else None,
        households=dict(known.households),
        persons={key: one.person_id for key, one in known.people.items()},
    )
    for one in file:
        _plan_household(plan, one, known)
    return file, plan


def _plan_household(plan: _Plan, one: ReadHousehold, known: Known) -> None:
    row = one.household
    key = (row.estate, row.ref)
    if key not in plan.households:
        household_id = plan.households[key] = plan.new_id()
        plan.add(household, household_id=household_id, estate_id=row.estate, ref=row.ref, created_at=plan.now)
        plan.add(
            tenancy,
            tenancy_id=plan.new_id(),
            household_id=household_id,
            unit_id=known.units[(row.estate, row.building, row.unit)],
            monthly_rent_fen=row.monthly_rent_fen,
            from_on=row.from_on,
            created_at=plan.now,
        )
    new = [member for member in one.members if is_new(one, member, known)]
    for member in new:
        plan.persons[(row.estate, member.ref)] = plan.new_id()
    for member in new:
        _plan_member(plan, one, member)


def _plan_member(plan: _Plan, one: ReadHousehold, member: Member) -> None:
    row, now = one.household, plan.now
    person_id = plan.persons[(row.estate, member.ref)]
    plan.added.append(person_id)
    plan.add(
        person,
        person_id=person_id,
        estate_id=row.estate,
        ref=member.ref,
        name=member.name,
        born_on=member.born_on,
        created_at=now,
    )
    plan.add(
        household_member,
        household_id=plan.households[(row.estate, row.ref)],
        person_id=person_id,
        kind=member.kind,
        from_on=row.from_on,
    )
    for group in dict.fromkeys(member.door_groups):
        plan.add(
            door_right,
            right_id=plan.new_id(),
            person_id=person_id,
            estate_id=row.estate,
            group_id=group,
            starts_at=start_of_day(row.from_on),
            created_at=now,
        )
    for number in member.cards:
        plan.add(
            card,
            card_id=plan.new_id(),
            estate_id=row.estate,
            person_id=person_id,
            hmac=card_reference(plan.keys[row.estate], number),
            blocked=False,
            issued_at=now,
        )
    _plan_consent(plan, row.estate, person_id, member)
    if member.login is not None:
        _plan_login(plan, row.estate, person_id, member, member.login)


def _plan_consent(plan: _Plan, estate_id: str, person_id: UUID, member: Member) -> None:
    said = member.face_consent
    if not said.given or plan.notice_version is None:
        return
    given = consents.NewConsent(
        person_id=person_id,
        purpose=OPEN_DOORS,
        channel=said.channel,
        guardian_id=plan.persons[(estate_id, said.guardian)] if said.guardian is not None else None,
        relation=said.relation,
    )
    row = consents.consent_row(
        given, plan.notice_version, member.born_on, plan.actor, plan.now, plan.new_id()
    )
    plan.add(consent, **row)


def _plan_login(plan: _Plan, estate_id: str, person_id: UUID, member: Member, login: str) -> None:
    principal_id = plan.new_id()
    plan.add(
        principal,
        principal_id=principal_id,
        login=login.lower(),
        display_name=member.name,
        person_id=person_id,
        created_at=plan.now,
    )
    plan.add(
        principal_role,
        grant_id=plan.new_id(),
        principal_id=principal_id,
        role="tenant",
        estate_id=estate_id,
        valid_from=plan.now,
        created_at=plan.now,
    )


def _audit(connection: Connection, plan: _Plan) -> None:
    people = Counter(row["estate_id"] for row in plan.rows["person"])
    for estate_id, count in sorted(people.items()):
        reason = f"persons={count}"
        audit(connection, plan.actor, "import", "done", "estate", estate_id, estate_id, reason, plan.now)


def _result(plan: _Plan, file: Sequence[ReadHousehold]) -> ImportResult:
    return ImportResult(
        ids={one.household.ref: plan.households[(one.household.estate, one.household.ref)] for one in file}
        | {
            member.ref: plan.persons[(one.household.estate, member.ref)]
            for one in file
            for member in one.members
        },
        logins=tuple(row["login"] for row in plan.rows["principal"]),
    )
