"""Moving in and out, each in one transaction: all of it happens, or nothing does.

Door rights end with the signed hand-over, and with nothing else: no debt, warning or decision touches them.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from backend.db.arrays import among
from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry.consents import withdraw_consent
from backend.registry.errors import AlreadyHandedOverError, UnitLetError, UnknownThingError
from backend.registry.people_tables import hand_over
from backend.registry.rights import REGISTRARS, end_rights
from backend.registry.roster import publish_persons
from backend.registry.rules import local_day, start_of_day
from backend.registry.tables import (
    card,
    consent,
    door_right,
    household,
    household_member,
    person,
    tenancy,
    unit,
)


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Somebody who moves in; faces are asked about apart, and never with the lease."""

    ref: str
    name: str
    kind: str
    born_on: date
    door_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MovedIn:
    """The ids of a household that has moved in."""

    household_id: UUID
    tenancy_id: UUID
    people: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What a hand-over ended."""

    people: int
    rights: int
    cards: int


def move_in(
    connection: Connection,
    unit_id: UUID,
    ref: str,
    people: Collection[NewPerson],
    monthly_rent_fen: int,
    from_on: date,
    *,
    actor: Principal,
    now: datetime,
) -> MovedIn:
    """Let a household move into a unit: household, members, lease and door rights.

    Raises:
        UnknownThingError, NotAllowedError.
        UnitLetError: another household has the unit in that time.
    """
    estate_id = connection.scalar(select(unit.c.estate_id).where(unit.c.unit_id == unit_id))
    if estate_id is None:
        raise UnknownThingError("unit", unit_id)
    check_role(actor, "move_in", estate_id, *REGISTRARS)
    moved = MovedIn(uuid.uuid4(), uuid.uuid4(), tuple(uuid.uuid4() for _ in people))
    connection.execute(
        insert(household).values(
            household_id=moved.household_id, estate_id=estate_id, ref=ref, created_at=now
        )
    )
    try:
        with connection.begin_nested():
            connection.execute(
                insert(tenancy).values(
                    tenancy_id=moved.tenancy_id,
                    household_id=moved.household_id,
                    unit_id=unit_id,
                    monthly_rent_fen=monthly_rent_fen,
                    from_on=from_on,
                    created_at=now,
                )
            )
    except IntegrityError as error:
        raise UnitLetError(unit_id) from error
    for person_id, one in zip(moved.people, people, strict=True):
        _add_person(connection, estate_id, moved.household_id, person_id, one, from_on, now)
    reason = f"persons={len(moved.people)}"
    audit(connection, actor, "move_in", "done", "tenancy", str(moved.tenancy_id), estate_id, reason, now)
    publish_persons(connection, moved.people, now)
    return moved


def hand_over_unit(
    connection: Connection,
    tenancy_id: UUID,
    *,
    actor: Principal,
    now: datetime,
    evidence_id: UUID | None = None,
) -> HandedOver:
    """The signed hand-over of a unit: lease, memberships, rights, cards and consents end now.

    Who keeps a right in the estate for another reason (lives in another household) keeps it.

    Raises:
        UnknownThingError, NotAllowedError, AlreadyHandedOverError.
    """
    row = connection.execute(
        select(tenancy.c.household_id, tenancy.c.from_on, household.c.estate_id)
        .join(household, household.c.household_id == tenancy.c.household_id)
        .where(tenancy.c.tenancy_id == tenancy_id)
        .with_for_update(of=tenancy)
    ).one_or_none()
    if row is None:
        raise UnknownThingError("tenancy", tenancy_id)
    check_role(actor, "hand_over", row.estate_id, *REGISTRARS)
    done = connection.scalar(select(hand_over.c.hand_over_id).where(hand_over.c.tenancy_id == tenancy_id))
    if done is not None:
        raise AlreadyHandedOverError(tenancy_id)
    today = max(local_day(now), row.from_on)
    connection.execute(
        insert(hand_over).values(
            hand_over_id=uuid.uuid4(),
            tenancy_id=tenancy_id,
            signed_at=now,
            evidence_id=evidence_id,
            recorded_by=actor.principal_id,
            recorded_at=now,
        )
    )
    connection.execute(
        update(tenancy)
        .where(tenancy.c.tenancy_id == tenancy_id, or_(tenancy.c.to_on.is_(None), tenancy.c.to_on > today))
        .values(to_on=today)
    )
    leaving = _leave(connection, row.household_id, today)
    ended = _end_everything(connection, leaving, row.estate_id, actor, now)
    audit(connection, actor, "hand_over", "done", "tenancy", str(tenancy_id), row.estate_id, "signed", now)
    return ended


def _add_person(
    connection: Connection,
    estate_id: str,
    household_id: UUID,
    person_id: UUID,
    one: NewPerson,
    from_on: date,
    now: datetime,
) -> None:
    connection.execute(
        insert(person).values(
            person_id=person_id,
            estate_id=estate_id,
            ref=one.ref,
            name=one.name,
            born_on=one.born_on,
            created_at=now,
        )
    )
    connection.execute(
        insert(household_member).values(
            household_id=household_id, person_id=person_id, kind=one.kind, from_on=from_on
        )
    )
    for group in dict.fromkeys(one.door_groups):
        connection.execute(
            insert(door_right).values(
                right_id=uuid.uuid4(),
                person_id=person_id,
                estate_id=estate_id,
                group_id=group,
                starts_at=start_of_day(from_on),
                created_at=now,
            )
        )


def _leave(connection: Connection, household_id: UUID, today: date) -> list[UUID]:
    """End the memberships; returns who is in no other household now."""
    member = household_member.c
    left = connection.scalars(
        update(household_member)
        .where(member.household_id == household_id, or_(member.to_on.is_(None), member.to_on > today))
        .values(to_on=today)
        .returning(member.person_id)
    ).all()
    elsewhere = set(
        connection.scalars(
            select(member.person_id).where(
                among(member.person_id, left), or_(member.to_on.is_(None), member.to_on > today)
            )
        )
    )
    return sorted(set(left) - elsewhere)


def _end_everything(
    connection: Connection, people: list[UUID], estate_id: str, actor: Principal, now: datetime
) -> HandedOver:
    purposes = connection.execute(
        select(consent.c.person_id, consent.c.purpose).where(
            among(consent.c.person_id, people), consent.c.withdrawn_at.is_(None)
        )
    ).all()
    rights = sum(
        end_rights(connection, one, estate_id, actor=actor, reason="handed over", now=now) for one in people
    )
    for row in purposes:
        withdraw_consent(connection, row.person_id, row.purpose, actor=actor, now=now)
    cards = connection.execute(
        update(card)
        .where(among(card.c.person_id, people), card.c.estate_id == estate_id, card.c.ended_at.is_(None))
        .values(ended_at=now)
    ).rowcount
    publish_persons(connection, people, now)
    return HandedOver(len(people), rights, cards)
