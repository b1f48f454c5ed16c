"""Notices and consents: what people were told, and whether they agreed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, cast, func, insert, select, update

from backend.db.arrays import among
from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry import erasures
from backend.registry.errors import (
    GuardianNeededError,
    NoNoticeError,
    NoticeIncompleteError,
    OlderNoticeError,
    RelationNeededError,
    UnknownThingError,
)
from backend.registry.facts import OPEN_DOORS, PANEL_PHOTOGRAPH
from backend.registry.rights import REGISTRARS
from backend.registry.roster import publish_persons
from backend.registry.rules import (
    CONSENT_AGE_YEARS,
    birthday,
    is_adult,
    local_day,
    needs_guardian,
    start_of_day,
)
from backend.registry.tables import consent, consent_notice, person, roster_item
from backend.settings import NoticeSettings

# What gateways are told of a consent, by purpose.
FLAGS = {OPEN_DOORS: "face_consent", PANEL_PHOTOGRAPH: "panel_consent"}


@dataclass(frozen=True, slots=True)
class NewConsent:
    """A consent as it was given."""

    person_id: UUID
    purpose: str
    channel: str
    guardian_id: UUID | None
    relation: str | None = None  # of the guardian to the person
    evidence_id: UUID | None = None  # the signed paper, where there is one


def publish_notice(
    connection: Connection, purpose: str, notice: NoticeSettings, *, actor: str, now: datetime
) -> bool:
    """Publish a notice, or leave it as it is when it stands there already; whether it is new.

    Consents to an older version count no longer: those people are asked again, and their faces are
    erased until they answer.

    Raises:
        NoticeIncompleteError: a field that the law wants is blank.
        OlderNoticeError: another text under a version that is published, or a version below the newest.
    """
    text = {name: getattr(notice, name) for name in notice.__struct_fields__ if name != "version"}
    missing = [name for name, value in text.items() if not value.strip()]
    if missing:
        raise NoticeIncompleteError(purpose, missing)
    newest = connection.execute(
        select(consent_notice)
        .where(consent_notice.c.purpose == purpose)
        .order_by(consent_notice.c.version.desc())
        .limit(1)
    ).one_or_none()
    if newest is not None:
        same = all(newest._mapping[name] == value for name, value in text.items())
        if newest.version == notice.version and same:
            return False
        if newest.version >= notice.version:
            raise OlderNoticeError(purpose, newest.version)
    connection.execute(
        insert(consent_notice).values(purpose=purpose, version=notice.version, published_at=now, **text)
    )
    reason = f"version={notice.version}"
    audit(connection, actor, "publish_notice", "done", "notice", purpose, None, reason, now)
    asked_again = connection.scalars(
        select(consent.c.person_id).where(consent.c.purpose == purpose, consent.c.withdrawn_at.is_(None))
    ).all()
    erasures.order(connection, asked_again, purpose, "notice_changed", actor, now)
    publish_persons(connection, asked_again, now)
    return True


def newest_notice(connection: Connection, purpose: str) -> int:
    """The version that people consent to today.

    Raises:
        NoNoticeError: none was published.
    """
    version: int | None = connection.scalar(
        select(func.max(consent_notice.c.version)).where(consent_notice.c.purpose == purpose)
    )
    if version is None:
        raise NoNoticeError(purpose)
    return version


def give_consent(
    connection: Connection,
    given: NewConsent,
    *,
    actor: Principal,
    now: datetime,
    new_id: Callable[[], UUID] = uuid.uuid4,
) -> UUID:
    """Record that a person consents to the newest notice; an earlier live consent is replaced.

    Raises:
        NotAllowedError, UnknownThingError, NoNoticeError.
        GuardianNeededError: below 14, and no adult guardian is named.
        RelationNeededError: the guardian's relation is not told.
    """
    people = _people(connection, [given.person_id, given.guardian_id])
    estate_id, born_on = people[given.person_id]
    check_role(actor, "give_consent", estate_id, *REGISTRARS)
    version = newest_notice(connection, given.purpose)
    guardian = people[given.guardian_id] if given.guardian_id is not None else None
    today = local_day(now)
    child = needs_guardian(born_on, today)
    if child and (
        guardian is None or given.guardian_id == given.person_id or not is_adult(guardian[1], today)
    ):
        raise GuardianNeededError(given.person_id)
    if guardian is not None and not (given.relation or "").strip():
        raise RelationNeededError(given.person_id)
    _withdraw(connection, given.person_id, given.purpose, actor, now)
    row = consent_row(given, version, born_on, actor, now, new_id())
    connection.execute(insert(consent).values(row))
    audit(
        connection,
        actor,
        "give_consent",
        "done",
        "person",
        str(given.person_id),
        estate_id,
        given.purpose,
        now,
    )
    publish_persons(connection, [given.person_id], now)
    return UUID(str(row["consent_id"]))


def withdraw_consent(
    connection: Connection, person_id: UUID, purpose: str, *, actor: Principal, now: datetime
) -> bool:
    """Withdraw, by the person or in the person's name; whether there was something to withdraw.

    Raises:
        NotAllowedError: somebody else, and no registrar.
        UnknownThingError.
    """
    estate_id, _ = _people(connection, [person_id])[person_id]
    if actor.person_id != person_id:
        check_role(actor, "withdraw_consent", estate_id, *REGISTRARS)
    found = _withdraw(connection, person_id, purpose, actor, now)
    if found:
        erasures.order(connection, [person_id], purpose, "withdrawn", actor.actor, now)
    audit(connection, actor, "withdraw_consent", "done", "person", str(person_id), estate_id, purpose, now)
    publish_persons(connection, [person_id], now)
    return found


def publish_due(connection: Connection, now: datetime) -> int:
    """Tell gateways whose consent has ended by itself, or who has moved out by the date that was set.

    Returns:
        how many. For the worker, safe to repeat.
    """
    ended = sum(_publish_expired(connection, purpose, flag, now) for purpose, flag in FLAGS.items())
    departed = erasures.order_departed(connection, now)
    publish_persons(connection, departed, now)
    return ended + len(departed)


def _publish_expired(connection: Connection, purpose: str, flag: str, now: datetime) -> int:
    due = connection.scalars(
        select(consent.c.person_id)
        .join(
            roster_item,
            (roster_item.c.kind == "person") & (roster_item.c.item_id == cast(consent.c.person_id, Text)),
        )
        .where(
            consent.c.purpose == purpose,
            consent.c.ends_at <= now,
            consent.c.withdrawn_at.is_(None),
            roster_item.c.doc[flag].as_boolean(),
        )
        .distinct()
    ).all()
    erasures.order(connection, due, purpose, "expired", "system:consents", now)
    publish_persons(connection, due, now)
    return len(due)


def consent_row(
    given: NewConsent, version: int, born_on: date, actor: Principal, now: datetime, consent_id: UUID
) -> dict[str, Any]:
    """The row of a consent whose rules were checked."""
    child = needs_guardian(born_on, local_day(now))
    return {
        "consent_id": consent_id,
        "person_id": given.person_id,
        "purpose": given.purpose,
        "notice_version": version,
        "channel": given.channel,
        "guardian_id": given.guardian_id,
        "relation": given.relation if given.guardian_id is not None else None,
        "evidence_id": given.evidence_id,
        "recorded_by": actor.principal_id,
        "given_at": now,
        # At 14 the person is asked itself.
        "ends_at": start_of_day(birthday(born_on, CONSENT_AGE_YEARS)) if child else None,
    }


def _withdraw(connection: Connection, person_id: UUID, purpose: str, actor: Principal, now: datetime) -> bool:
    withdrawn = connection.execute(
        update(consent)
        .where(
            consent.c.person_id == person_id,
            consent.c.purpose == purpose,
            consent.c.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=now, withdrawn_by=actor.principal_id)
    )
    return bool(withdrawn.rowcount)


def _people(connection: Connection, person_ids: Collection[UUID | None]) -> dict[UUID, tuple[str, date]]:
    wanted = [person_id for person_id in person_ids if person_id is not None]
    rows = connection.execute(
        select(person.c.person_id, person.c.estate_id, person.c.born_on).where(
            among(person.c.person_id, wanted)
        )
    )
    found = {row.person_id: (row.estate_id, row.born_on) for row in rows}
    for person_id in wanted:
        if person_id not in found:
            raise UnknownThingError("person", person_id)
    return found
