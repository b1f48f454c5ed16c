"""What guards order of doors: one opening, a lockdown, a release; with author and reason, and an end.

An order reaches the gateway with the roster: that connection is there, is in order, and survives a restart.
An opening is worth ten seconds, and the gateway carries it out once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, update

from backend.access.tables import door_order
from backend.identity.audit import audit
from backend.identity.principal import AllEstates, Principal, Scope
from backend.identity.service import check_role
from backend.registry.documents import OrderDocument
from backend.registry.errors import ReasonMissingError, UnknownThingError
from backend.registry.roster import publish_one
from backend.registry.tables import door

Action = Literal["open", "lockdown", "release", "all_clear"]
OPEN_WITHIN = timedelta(seconds=10)
REASON_LETTERS_MIN, REASON_LETTERS_MAX = 2, 200


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order that holds, as a page shows it."""

    order_id: UUID
    estate_id: str
    device_id: str | None
    action: str
    author_name: str
    reason: str
    given_at: datetime
    until_at: datetime | None


def give_order(
    connection: Connection,
    estate_id: str,
    action: Action,
    device_id: str | None,
    reason: str,
    *,
    actor: Principal,
    now: datetime,
    until_at: datetime | None = None,
    new_id: Callable[[], UUID] = uuid.uuid4,
) -> UUID:
    """Order something of a door, or of all doors of an estate (`device_id` None).

    Raises:
        NotAllowedError, UnknownThingError, ReasonMissingError.
    """
    check_role(actor, f"order_{action}", estate_id, "operator")
    reason = " ".join(reason.split())
    if not REASON_LETTERS_MIN <= len(reason) <= REASON_LETTERS_MAX:
        raise ReasonMissingError(REASON_LETTERS_MIN, REASON_LETTERS_MAX)
    _check_door(connection, estate_id, device_id, action)
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"order {estate_id}"))))
    _replace(connection, estate_id, action, device_id, actor, now)
    order_id = new_id()
    until_at = now + OPEN_WITHIN if action == "open" else until_at
    connection.execute(
        insert(door_order).values(
            order_id=order_id,
            estate_id=estate_id,
            device_id=device_id,
            action=action,
            author=actor.actor,
            author_name=actor.display_name,
            reason=reason,
            given_at=now,
            until_at=until_at,
        )
    )
    audit(connection, actor, f"order_{action}", "done", "door", device_id or "*", estate_id, reason, now)
    document = OrderDocument(
        order=str(order_id),
        action=action,
        author=actor.actor,
        reason=reason,
        given_at=now,
        door=device_id,
        until=until_at,
    )
    publish_one(connection, estate_id, "order", _item(action, device_id), document)
    return order_id


def end_order(connection: Connection, order_id: UUID, *, actor: Principal, now: datetime) -> None:
    """End a lockdown or a release.

    Raises:
        NotAllowedError, UnknownThingError.
    """
    row = connection.execute(
        select(door_order).where(door_order.c.order_id == order_id, door_order.c.ended_at.is_(None))
    ).one_or_none()
    if row is None:
        raise UnknownThingError("order", order_id)
    check_role(actor, "end_order", row.estate_id, "operator")
    connection.execute(
        update(door_order).where(door_order.c.order_id == order_id).values(ended_at=now, ended_by=actor.actor)
    )
    audit(connection, actor, "end_order", "done", "order", str(order_id), row.estate_id, row.action, now)
    publish_one(connection, row.estate_id, "order", _item(row.action, row.device_id), None)


def standing_orders(connection: Connection, estate_ids: Scope, now: datetime) -> list[OrderView]:
    """Lockdowns and releases that hold now, by estate."""
    query = (
        select(door_order)
        .where(
            door_order.c.action.in_(("lockdown", "release")),
            door_order.c.ended_at.is_(None),
            door_order.c.until_at.is_(None) | (door_order.c.until_at > now),
        )
        .order_by(door_order.c.estate_id, door_order.c.given_at)
    )
    if not isinstance(estate_ids, AllEstates):
        query = query.where(door_order.c.estate_id.in_(sorted(estate_ids)))
    return [
        OrderView(
            row.order_id,
            row.estate_id,
            row.device_id,
            row.action,
            row.author_name,
            row.reason,
            row.given_at,
            row.until_at,
        )
        for row in connection.execute(query)
    ]


def _check_door(connection: Connection, estate_id: str, device_id: str | None, action: Action) -> None:
    if device_id is None and action != "open":
        return
    known = connection.scalar(
        select(door.c.device_id).where(
            door.c.device_id == device_id, door.c.estate_id == estate_id, door.c.active
        )
    )
    if known is None:
        raise UnknownThingError("door", device_id)


def _replace(
    connection: Connection,
    estate_id: str,
    action: Action,
    device_id: str | None,
    actor: Principal,
    now: datetime,
) -> None:
    """A new order takes the place of the one before; an all-clear ends every release of the estate."""
    ending = update(door_order).where(door_order.c.estate_id == estate_id, door_order.c.ended_at.is_(None))
    if action == "all_clear":
        rows = connection.execute(
            ending.where(door_order.c.action == "release")
            .values(ended_at=now, ended_by=actor.actor)
            .returning(door_order.c.device_id)
        ).all()
        for row in rows:
            publish_one(connection, estate_id, "order", _item("release", row.device_id), None)
        return
    same_door = door_order.c.device_id.is_(None) if device_id is None else door_order.c.device_id == device_id
    connection.execute(
        ending.where(door_order.c.action == action, same_door).values(ended_at=now, ended_by=actor.actor)
    )


def _item(action: str, device_id: str | None) -> str:
    # One item for each door and kind: openings never pile up on the roster.
    return f"{action}:{device_id or '*'}"
