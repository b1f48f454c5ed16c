"""The audit log: who did, or was refused, what to which thing. Append-only, opaque ids only."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import structlog
from sqlalchemy import Connection, Engine, insert

from backend.identity.errors import RefusedError
from backend.identity.principal import Principal
from backend.identity.tables import audit_record

Outcome = Literal["done", "refused"]
TEXT_MAX = 200

log = structlog.get_logger()


def audit(
    connection: Connection,
    actor: Principal | str,
    action: str,
    outcome: Outcome,
    object_kind: str,
    object_id: str,
    estate_id: str | None,
    reason: str,
    now: datetime,
) -> None:
    """Add one row in the caller's transaction.

    Args:
        actor: a principal, or `gateway:<id>`, `system:<job>`, `unknown`.
        action: what was done or tried, such as `end_right`.
        object_kind, object_id: to what; ids only, never a name or a number of a card.
        reason: why it was done, or why it was refused; never personal data.
    """
    name = actor.actor if isinstance(actor, Principal) else actor
    connection.execute(
        insert(audit_record).values(
            at=now,
            actor=_kept(name),
            action=_kept(action),
            outcome=outcome,
            object_kind=object_kind,
            object_id=_kept(object_id),
            estate_id=_kept(estate_id) if estate_id is not None else None,
            reason=_kept(reason),
            request_id=structlog.contextvars.get_contextvars().get("request_id"),
        )
    )


def audit_refusal(engine: Engine, error: RefusedError, now: datetime) -> None:
    """Write a refusal into the audit log and the process's log, in a transaction of its own."""
    log.warning(
        "refused",
        actor=error.actor,
        action=error.action,
        object_kind=error.object_kind,
        object_id=_kept(error.object_id),
        code=error.code,
    )
    with engine.begin() as connection:
        audit(
            connection,
            error.actor,
            error.action,
            "refused",
            error.object_kind,
            error.object_id,
            error.estate_id,
            error.code,
            now,
        )


def _kept(text: str) -> str:
    """What is written of a text that may come from a stranger: bounded, without the NUL that SQL refuses."""
    return text[:TEXT_MAX].replace("\x00", "�")
