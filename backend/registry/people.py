"""People as a clerk meets them: found by name or unit, shown with all they have, put right."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, func, or_, select, update

from backend.identity.audit import audit
from backend.identity.principal import AllEstates, Principal, Scope
from backend.identity.service import check_role
from backend.registry.consents import withdraw_consent
from backend.registry.errors import NothingToCorrectError, UnknownThingError
from backend.registry.rights import REGISTRARS
from backend.registry.rules import local_day, needs_guardian
from backend.registry.tables import (
    building,
    card,
    consent,
    consent_notice,
    door_right,
    estate,
    household,
    household_member,
    person,
    tenancy,
    unit,
)

FOUND_MAX = 50


@dataclass(frozen=True, slots=True)
class FoundHousehold:
    """One line of a search: who lives where. `tenancy_id` of the newest lease."""

    household_id: UUID
    ref: str
    estate_id: str
    estate_zh: str
    home_zh: str
    names: str
    tenancy_id: UUID
    from_on: date
    to_on: date | None


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member with what opens doors."""

    person_id: UUID
    name: str
    kind: str
    born_on: date
    rights: tuple[RightView, ...]
    cards: tuple[CardView, ...]
    consents: tuple[ConsentView, ...]


@dataclass(frozen=True, slots=True)
class RightView:
    """One right to a door group."""

    right_id: UUID
    group_id: str
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class CardView:
    """One card; its number is known to nobody."""

    card_id: UUID
    issued_at: datetime
    blocked: bool


@dataclass(frozen=True, slots=True)
class ConsentView:
    """A consent that was not withdrawn; `outdated` where a newer notice asks again."""

    purpose: str
    notice_version: int
    given_at: datetime
    ends_at: datetime | None
    outdated: bool


def search(connection: Connection, words: str, estate_ids: Scope) -> list[FoundHousehold]:
    """Households by a person's name, a unit's number, or a ref; those of today first."""
    wanted = f"%{_escaped(words.strip())}%"
    if wanted == "%%":
        return []
    hit = (
        select(household_member.c.household_id)
        .join(person, person.c.person_id == household_member.c.person_id)
        .where(person.c.name.ilike(wanted, escape="\\") | (person.c.ref == words.strip()))
    )
    query = _households().where(
        household.c.household_id.in_(hit)
        | unit.c.number.ilike(wanted, escape="\\")
        | (household.c.ref == words.strip())
    )
    if not isinstance(estate_ids, AllEstates):
        query = query.where(household.c.estate_id.in_(sorted(estate_ids)))
    query = query.order_by(tenancy.c.to_on.is_not(None), unit.c.building_id, unit.c.number)
    return [_found(row) for row in connection.execute(query.limit(FOUND_MAX))]


def household_of_clerk(connection: Connection, household_id: UUID, actor: Principal) -> FoundHousehold:
    """One household.

    Raises:
        UnknownThingError, NotAllowedError.
    """
    query = _households().where(household.c.household_id == household_id)
    row = connection.execute(query.order_by(tenancy.c.from_on.desc()).limit(1)).one_or_none()
    if row is None:
        raise UnknownThingError("household", household_id)
    check_role(actor, "look_at_household_entry", row.estate_id, *REGISTRARS)
    return _found(row)


def tenant_of(connection: Connection, household_id: UUID) -> UUID | None:
    """The person who signed for a household, the last one where they changed."""
    found: UUID | None = connection.scalar(
        select(household_member.c.person_id)
        .where(household_member.c.household_id == household_id, household_member.c.kind == "tenant")
        .order_by(household_member.c.from_on.desc())
        .limit(1)
    )
    return found


def check_member(connection: Connection, household_id: UUID, person_id: UUID) -> None:
    """Whether a person lives or lived in a household.

    Raises:
        UnknownThingError
    """
    member = select(household_member.c.person_id).where(
        household_member.c.household_id == household_id, household_member.c.person_id == person_id
    )
    if connection.scalar(select(member.exists())) is not True:
        raise UnknownThingError("person", person_id)


def members_of(connection: Connection, household_id: UUID, now: datetime) -> list[MemberView]:
    """Who lives in a household today, with live rights, cards and consents."""
    held, today = household_member.c, local_day(now)
    rows = connection.execute(
        select(person.c.person_id, person.c.name, held.kind, person.c.born_on)
        .join(household_member, held.person_id == person.c.person_id)
        .where(held.household_id == household_id, or_(held.to_on.is_(None), held.to_on > today))
        .order_by(held.kind.desc(), person.c.born_on)
    ).all()
    return [
        MemberView(
            row.person_id,
            row.name,
            row.kind,
            row.born_on,
            _rights(connection, row.person_id, now),
            _cards(connection, row.person_id),
            consents_of(connection, row.person_id),
        )
        for row in rows
    ]


def consents_of(connection: Connection, person_id: UUID) -> tuple[ConsentView, ...]:
    """What a person has agreed to, by purpose."""
    newest = (
        select(consent_notice.c.purpose, func.max(consent_notice.c.version).label("version"))
        .group_by(consent_notice.c.purpose)
        .subquery()
    )
    given = consent.c
    rows = connection.execute(
        select(given.purpose, given.notice_version, given.given_at, given.ends_at)
        .add_columns(given.notice_version < newest.c.version)
        .join(newest, newest.c.purpose == given.purpose)
        .where(given.person_id == person_id, given.withdrawn_at.is_(None))
        .order_by(given.purpose)
    )
    return tuple(ConsentView(*row) for row in rows)


def correct_person(
    connection: Connection,
    person_id: UUID,
    *,
    name: str | None = None,
    born_on: date | None = None,
    actor: Principal,
    now: datetime,
) -> None:
    """Put a name or a birthday right. Consents that the right birthday does not allow end.

    Raises:
        UnknownThingError, NotAllowedError.
        NothingToCorrectError: neither is given, or the name is blank.
    """
    estate_id = connection.scalar(select(person.c.estate_id).where(person.c.person_id == person_id))
    if estate_id is None:
        raise UnknownThingError("person", person_id)
    check_role(actor, "correct_person", estate_id, *REGISTRARS)
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = name.strip()
    if born_on is not None:
        values["born_on"] = born_on
    if not values or values.get("name") == "":
        raise NothingToCorrectError
    connection.execute(update(person).where(person.c.person_id == person_id).values(values))
    fields = " ".join(sorted(values))
    audit(connection, actor, "correct_person", "done", "person", str(person_id), estate_id, fields, now)
    if born_on is not None and needs_guardian(born_on, local_day(now)):
        alone = select(consent.c.purpose).where(
            consent.c.person_id == person_id,
            consent.c.withdrawn_at.is_(None),
            consent.c.guardian_id.is_(None),
        )
        for purpose in connection.scalars(alone).all():
            withdraw_consent(connection, person_id, purpose, actor=actor, now=now)


def _households() -> Select[Any]:
    names = (
        select(func.string_agg(person.c.name, "、"))
        .join(household_member, household_member.c.person_id == person.c.person_id)
        .where(household_member.c.household_id == household.c.household_id)
        .where(household_member.c.to_on.is_(None))
        .correlate(household)
        .scalar_subquery()
    )
    return (
        select(
            household.c.household_id, household.c.ref, household.c.estate_id, tenancy.c.tenancy_id,
            tenancy.c.from_on, tenancy.c.to_on, unit.c.number, estate.c.name_zh.label("estate_zh"),
            building.c.name_zh.label("building_zh"), names.label("names"),
        )
        .join(tenancy, tenancy.c.household_id == household.c.household_id)
        .join(unit, unit.c.unit_id == tenancy.c.unit_id)
        .join(estate, estate.c.estate_id == household.c.estate_id)
        .join(
            building,
            (building.c.estate_id == unit.c.estate_id) & (building.c.building_id == unit.c.building_id),
        )
    )  # fmt: skip


def _found(row: Any) -> FoundHousehold:
    return FoundHousehold(
        household_id=row.household_id,
        ref=row.ref,
        estate_id=row.estate_id,
        estate_zh=row.estate_zh,
        home_zh=f"{row.building_zh} {row.number}",
        names=row.names or "",
        tenancy_id=row.tenancy_id,
        from_on=row.from_on,
        to_on=row.to_on,
    )


def _rights(connection: Connection, person_id: UUID, now: datetime) -> tuple[RightView, ...]:
    right = door_right.c
    rows = connection.execute(
        select(right.right_id, right.group_id, right.starts_at, right.ends_at)
        .where(right.person_id == person_id, or_(right.ends_at.is_(None), right.ends_at > now))
        .order_by(right.group_id)
    )
    return tuple(RightView(*row) for row in rows)


def _cards(connection: Connection, person_id: UUID) -> tuple[CardView, ...]:
    rows = connection.execute(
        select(card.c.card_id, card.c.issued_at, card.c.blocked)
        .where(card.c.person_id == person_id, card.c.ended_at.is_(None))
        .order_by(card.c.issued_at)
    )
    return tuple(CardView(*row) for row in rows)


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
