"""Visitors' passes: a code for one door group, for a day at most, so many times; made by who is visited."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry.codes import VISITOR_DIGITS, Below, draw_pin, visitor_reference
from backend.registry.credentials import open_groups
from backend.registry.documents import PassDocument
from backend.registry.errors import NoRightError, TooManyPassesError, UnknownThingError
from backend.registry.roster import publish_one
from backend.registry.tables import visitor_pass

HOURS_MAX, USES_MAX, LIVE_PASSES_MAX = 24, 20, 5


@dataclass(frozen=True, slots=True)
class MadePass:
    """A new pass; the code is shown once."""

    pass_id: UUID
    code: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class PassView:
    """A pass as its host or a guard sees it afterwards: without the code."""

    pass_id: UUID
    estate_id: str
    group_id: str
    starts_at: datetime
    ends_at: datetime
    uses_max: int


def make_pass(
    connection: Connection,
    estate_id: str,
    group_id: str,
    key: bytes,
    *,
    hours: int,
    uses_max: int,
    actor: Principal,
    now: datetime,
    below: Below = secrets.randbelow,
    new_id: Callable[[], UUID] = uuid.uuid4,
) -> MadePass:
    """Let a visitor in: a resident through doors that are open to the resident, a guard through any.

    Raises:
        NotAllowedError, NoRightError, TooManyPassesError.
    """
    host_id = _host(connection, actor, estate_id, group_id, now)
    pass_id, ends_at = new_id(), now + timedelta(hours=min(max(hours, 1), HOURS_MAX))
    while True:
        code = draw_pin(VISITOR_DIGITS, below)
        reference = visitor_reference(key, code)
        written = connection.scalar(
            insert(visitor_pass)
            .values(
                pass_id=pass_id,
                estate_id=estate_id,
                group_id=group_id,
                hmac=reference,
                host_id=host_id,
                made_by=actor.actor,
                starts_at=now,
                ends_at=ends_at,
                uses_max=min(max(uses_max, 1), USES_MAX),
                made_at=now,
            )
            .on_conflict_do_nothing()
            .returning(visitor_pass.c.uses_max)
        )
        if written is not None:
            break
    document = PassDocument(
        group=group_id, hmac=reference, starts_at=now, ends_at=ends_at, uses_max=int(written)
    )
    audit(connection, actor, "make_pass", "done", "pass", str(pass_id), estate_id, group_id, now)
    publish_one(connection, estate_id, "pass", str(pass_id), document)
    return MadePass(pass_id, code, ends_at)


def end_pass(connection: Connection, pass_id: UUID, *, actor: Principal, now: datetime) -> None:
    """Take a pass back.

    Raises:
        NotAllowedError, UnknownThingError.
    """
    row = connection.execute(
        select(visitor_pass).where(visitor_pass.c.pass_id == pass_id, visitor_pass.c.ended_at.is_(None))
    ).one_or_none()
    if row is None:
        raise UnknownThingError("pass", pass_id)
    if row.host_id is None or row.host_id != actor.person_id:
        check_role(actor, "end_pass", row.estate_id, "operator")
    connection.execute(update(visitor_pass).where(visitor_pass.c.pass_id == pass_id).values(ended_at=now))
    audit(connection, actor, "end_pass", "done", "pass", str(pass_id), row.estate_id, "", now)
    publish_one(connection, row.estate_id, "pass", str(pass_id), None)


def live_passes(connection: Connection, host_id: UUID, now: datetime) -> list[PassView]:
    """A host's passes that still open something, the newest first."""
    rows = connection.execute(
        select(visitor_pass)
        .where(
            visitor_pass.c.host_id == host_id, visitor_pass.c.ended_at.is_(None), visitor_pass.c.ends_at > now
        )
        .order_by(visitor_pass.c.made_at.desc())
    )
    return [
        PassView(row.pass_id, row.estate_id, row.group_id, row.starts_at, row.ends_at, row.uses_max)
        for row in rows
    ]


def clear_past_passes(connection: Connection, now: datetime) -> int:
    """Take passes whose day is over off the rosters; how many."""
    rows = connection.execute(
        update(visitor_pass)
        .where(visitor_pass.c.ended_at.is_(None), visitor_pass.c.ends_at <= now)
        .values(ended_at=now)
        .returning(visitor_pass.c.estate_id, visitor_pass.c.pass_id)
    ).all()
    for row in sorted(rows):
        publish_one(connection, row.estate_id, "pass", str(row.pass_id), None)
    return len(rows)


def _host(
    connection: Connection, actor: Principal, estate_id: str, group_id: str, now: datetime
) -> UUID | None:
    if actor.person_id is None:
        check_role(actor, "make_pass", estate_id, "operator")
        return None
    held = {(one.estate_id, one.group_id) for one in open_groups(connection, actor.person_id, now)}
    if (estate_id, group_id) not in held:
        raise NoRightError(group_id)
    # One at a time for a host, so that the count holds.
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"pass {actor.person_id}"))))
    if len(live_passes(connection, actor.person_id, now)) >= LIVE_PASSES_MAX:
        raise TooManyPassesError(LIVE_PASSES_MAX)
    return actor.person_id
