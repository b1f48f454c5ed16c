"""Legal holds: what a person is involved in stays until the hold is released, whatever the clocks say."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, insert, select, update

from backend.identity.audit import audit
from backend.registry.errors import UnknownThingError
from backend.registry.tables import person
from backend.retention.tables import legal_hold


@dataclass(frozen=True, slots=True)
class Hold:
    """A live hold."""

    hold_id: UUID
    person_id: UUID
    reason: str
    placed_at: datetime


def place_hold(connection: Connection, person_id: UUID, reason: str, *, actor: str, now: datetime) -> UUID:
    """Keep everything of a person; `reason` names the case and no person.

    Raises:
        UnknownThingError
    """
    if connection.scalar(select(person.c.person_id).where(person.c.person_id == person_id)) is None:
        raise UnknownThingError("person", person_id)
    hold_id = uuid.uuid4()
    row = {"hold_id": hold_id, "person_id": person_id, "reason": reason}
    connection.execute(insert(legal_hold).values(placed_by=actor, placed_at=now, **row))
    audit(connection, actor, "place_hold", "done", "person", str(person_id), None, str(hold_id), now)
    return hold_id


def release_hold(connection: Connection, hold_id: UUID, *, actor: str, now: datetime) -> None:
    """Let the clocks go on.

    Raises:
        UnknownThingError: no live hold of this id.
    """
    released = connection.scalar(
        update(legal_hold)
        .where(legal_hold.c.hold_id == hold_id, legal_hold.c.released_at.is_(None))
        .values(released_at=now, released_by=actor)
        .returning(legal_hold.c.person_id)
    )
    if released is None:
        raise UnknownThingError("hold", hold_id)
    audit(connection, actor, "release_hold", "done", "person", str(released), None, str(hold_id), now)


def live_holds(connection: Connection) -> list[Hold]:
    """All live holds, oldest first."""
    rows = connection.execute(
        select(legal_hold.c.hold_id, legal_hold.c.person_id, legal_hold.c.reason, legal_hold.c.placed_at)
        .where(legal_hold.c.released_at.is_(None))
        .order_by(legal_hold.c.placed_at)
    )
    return [Hold(*row) for row in rows]
