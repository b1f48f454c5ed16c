"""Door rights and cards: given, ended, blocked; each change is published in the same transaction."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from backend.identity.audit import audit
from backend.identity.principal import Principal, Role
from backend.identity.service import check_role
from backend.registry import erasures
from backend.registry.errors import CardTakenError, UnknownThingError
from backend.registry.keys import card_reference
from backend.registry.roster import publish_persons
from backend.registry.tables import card, door_group, door_right, person

# Who may register people and hand out rights.
REGISTRARS: tuple[Role, ...] = ("operator", "admin")


def grant_right(
    connection: Connection,
    person_id: UUID,
    estate_id: str,
    group_id: str,
    *,
    starts_at: datetime,
    ends_at: datetime | None,
    actor: Principal,
    now: datetime,
    new_id: Callable[[], UUID] = uuid.uuid4,
) -> UUID:
    """Let a person through a group's doors in [starts_at, ends_at).

    Raises:
        NotAllowedError, UnknownThingError.
    """
    check_role(actor, "grant_right", estate_id, *REGISTRARS)
    _require(
        connection, select(person.c.person_id).where(person.c.person_id == person_id), "person", person_id
    )
    group = select(door_group.c.group_id).where(
        door_group.c.estate_id == estate_id, door_group.c.group_id == group_id
    )
    _require(connection, group, "door_group", group_id)
    right_id = new_id()
    connection.execute(
        insert(door_right).values(
            right_id=right_id,
            person_id=person_id,
            estate_id=estate_id,
            group_id=group_id,
            starts_at=starts_at,
            ends_at=ends_at,
            created_at=now,
        )
    )
    audit(connection, actor, "grant_right", "done", "right", str(right_id), estate_id, "", now)
    publish_persons(connection, [person_id], now)
    return right_id


def end_right(
    connection: Connection, right_id: UUID, *, actor: Principal, reason: str, now: datetime
) -> None:
    """End one right now; one that ended before stays as it is.

    Raises:
        NotAllowedError, UnknownThingError.
    """
    row = _require(connection, select(door_right).where(door_right.c.right_id == right_id), "right", right_id)
    check_role(actor, "end_right", row.estate_id, *REGISTRARS)
    _end(connection, door_right.c.right_id == right_id, now)
    audit(connection, actor, "end_right", "done", "right", str(right_id), row.estate_id, reason, now)
    erasures.order_if_departed(connection, row.person_id, row.estate_id, actor.actor, now)
    publish_persons(connection, [row.person_id], now)


def end_rights(
    connection: Connection,
    person_id: UUID,
    estate_id: str,
    *,
    actor: Principal,
    reason: str,
    now: datetime,
) -> int:
    """End all rights of a person in an estate now; returns how many there were.

    Raises:
        NotAllowedError.
    """
    check_role(actor, "end_rights", estate_id, *REGISTRARS)
    ended = _end(
        connection, (door_right.c.person_id == person_id) & (door_right.c.estate_id == estate_id), now
    )
    audit(connection, actor, "end_rights", "done", "person", str(person_id), estate_id, reason, now)
    erasures.order_if_departed(connection, person_id, estate_id, actor.actor, now)
    publish_persons(connection, [person_id], now)
    return ended


def issue_card(
    connection: Connection,
    person_id: UUID,
    estate_id: str,
    number: str,
    key: bytes,
    *,
    actor: Principal,
    now: datetime,
    new_id: Callable[[], UUID] = uuid.uuid4,
) -> UUID:
    """Hand a card to a person; its number is not kept.

    Args:
        key: the estate's, from `estate_key`.
    Raises:
        NotAllowedError, UnknownThingError, CardTakenError.
    """
    check_role(actor, "issue_card", estate_id, *REGISTRARS)
    _require(
        connection, select(person.c.person_id).where(person.c.person_id == person_id), "person", person_id
    )
    card_id = new_id()
    try:
        with connection.begin_nested():
            connection.execute(
                insert(card).values(
                    card_id=card_id,
                    estate_id=estate_id,
                    person_id=person_id,
                    hmac=card_reference(key, number),
                    blocked=False,
                    issued_at=now,
                )
            )
    except IntegrityError as error:
        raise CardTakenError(estate_id) from error
    audit(connection, actor, "issue_card", "done", "card", str(card_id), estate_id, "", now)
    publish_persons(connection, [person_id], now)
    return card_id


def set_card_blocked(
    connection: Connection,
    card_id: UUID,
    blocked: bool,
    *,
    actor: Principal,
    reason: str,
    now: datetime,
) -> None:
    """Block a lost card, or let a found one work again.

    Raises:
        NotAllowedError, UnknownThingError.
    """
    action = "block_card" if blocked else "unblock_card"
    _change_card(connection, card_id, {"blocked": blocked}, action, actor=actor, reason=reason, now=now)


def end_card(connection: Connection, card_id: UUID, *, actor: Principal, reason: str, now: datetime) -> None:
    """Take a card back; it may be handed to somebody else afterwards.

    Raises:
        NotAllowedError, UnknownThingError.
    """
    _change_card(connection, card_id, {"ended_at": now}, "end_card", actor=actor, reason=reason, now=now)


def _change_card(
    connection: Connection,
    card_id: UUID,
    values: dict[str, Any],
    action: str,
    *,
    actor: Principal,
    reason: str,
    now: datetime,
) -> None:
    known = select(card).where(card.c.card_id == card_id, card.c.ended_at.is_(None))
    row = _require(connection, known, "card", card_id)
    check_role(actor, action, row.estate_id, *REGISTRARS)
    connection.execute(update(card).where(card.c.card_id == card_id).values(values))
    audit(connection, actor, action, "done", "card", str(card_id), row.estate_id, reason, now)
    publish_persons(connection, [row.person_id], now)


def _end(connection: Connection, which: Any, now: datetime) -> int:
    # A right that has not begun yet ends where it begins: it never counts.
    ends_at = door_right.c.ends_at
    ended = connection.execute(
        update(door_right)
        .where(which, ends_at.is_(None) | (ends_at > now))
        .values(ends_at=func.greatest(door_right.c.starts_at, now))
    )
    return int(ended.rowcount)


def _require(connection: Connection, query: Any, kind: str, thing_id: object) -> Row[Any]:
    row: Row[Any] | None = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownThingError(kind, thing_id)
    return row
