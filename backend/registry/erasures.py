"""Erasing faces at the estates: orders that gateways carry out, and the certificates they send back.

An order stands in the person's roster document until a certificate signed by the gateway's vault names it.
Who never consented has no face anywhere, and gets no order.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from backend.db.arrays import among
from backend.identity.principal import AllEstates, Scope
from backend.registry.facts import OPEN_DOORS, PANEL_PHOTOGRAPH
from backend.registry.people_tables import erasure_certificate, erasure_order
from backend.registry.roster import estates_of
from backend.registry.tables import consent, door_right

Reason = Literal["withdrawn", "moved_out", "expired", "notice_changed"]
# What is erased when a purpose falls away; other purposes keep nothing at the estate.
SCOPES = {OPEN_DOORS: "all", PANEL_PHOTOGRAPH: "photograph"}
# The worker looks back this far for rights that ended by their own date.
DEPARTED_WITHIN = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class ErasureView:
    """One order; `erased_at` and what follows from the certificate, None while it is open."""

    order_id: UUID
    person_id: UUID
    estate_id: str
    scope: str
    reason: str
    ordered_at: datetime
    certified_at: datetime | None
    certificate_id: UUID | None
    gateway_id: str | None
    erased_at: datetime | None
    templates: int | None
    photographs: int | None


def order(
    connection: Connection,
    person_ids: Collection[UUID],
    purpose: str,
    reason: Reason,
    actor: str,
    now: datetime,
) -> int:
    """Order the erasure of what a purpose allowed to be kept, wherever these people may have something.

    Publish the people afterwards, in the same transaction.

    Returns:
        how many orders are new; an open one of the same scope is enough.
    """
    scope = SCOPES.get(purpose)
    if scope is None or not person_ids:
        return 0
    places = [
        (estate_id, person_id)
        for estate_id, people in estates_of(connection, person_ids).items()
        for person_id in people
    ]
    return _add(connection, places, scope, reason, actor, now)


def order_if_departed(
    connection: Connection, person_id: UUID, estate_id: str, actor: str, now: datetime
) -> None:
    """Order erasure when no right is left in the estate, today or later, of somebody who consented."""
    right = door_right.c
    left = connection.scalar(
        select(func.count())
        .select_from(door_right)
        .where(right.person_id == person_id, right.estate_id == estate_id)
        .where(right.ends_at.is_(None) | (right.ends_at > now))
        .where(right.ends_at.is_(None) | (right.ends_at > right.starts_at))
    )
    consented = connection.scalar(
        select(func.count()).select_from(consent).where(consent.c.person_id == person_id)
    )
    if not left and consented:
        _add(connection, [(estate_id, person_id)], "all", "moved_out", actor, now)


def order_departed(connection: Connection, now: datetime) -> list[UUID]:
    """Order erasure for those whose last right in an estate ended by its own date; returns who they are."""
    right = door_right.c
    later = door_right.alias("later")
    ended = connection.execute(
        select(right.estate_id, right.person_id)
        .join(consent, consent.c.person_id == right.person_id)
        .where(right.ends_at > now - DEPARTED_WITHIN, right.ends_at <= now)
        .where(
            ~select(later.c.right_id)
            .where(later.c.person_id == right.person_id, later.c.estate_id == right.estate_id)
            .where(later.c.ends_at.is_(None) | (later.c.ends_at > now))
            .exists(),
            ~select(erasure_order.c.order_id)
            .where(erasure_order.c.person_id == right.person_id)
            .where(erasure_order.c.estate_id == right.estate_id, erasure_order.c.scope == "all")
            .where(erasure_order.c.ordered_at >= right.ends_at)
            .exists(),
        )
        .distinct()
    ).all()
    _add(
        connection,
        [(row.estate_id, row.person_id) for row in ended],
        "all",
        "moved_out",
        "system:departed",
        now,
    )
    return sorted({row.person_id for row in ended})


def erasures(
    connection: Connection, estate_ids: Scope, *, person_id: UUID | None = None
) -> list[ErasureView]:
    """Orders with their certificates, open ones first, then the newest."""
    query = (
        select(
            erasure_order.c.order_id, erasure_order.c.person_id, erasure_order.c.estate_id,
            erasure_order.c.scope, erasure_order.c.reason, erasure_order.c.ordered_at,
            erasure_order.c.certified_at, erasure_order.c.certificate_id, erasure_certificate.c.gateway_id,
            erasure_certificate.c.erased_at, erasure_certificate.c.templates,
            erasure_certificate.c.photographs,
        )
        .outerjoin(
            erasure_certificate, erasure_certificate.c.certificate_id == erasure_order.c.certificate_id
        )
        .order_by(erasure_order.c.certified_at.is_not(None), erasure_order.c.ordered_at.desc())
        .limit(1000)
    )  # fmt: skip
    if person_id is not None:
        query = query.where(erasure_order.c.person_id == person_id)
    if not isinstance(estate_ids, AllEstates):
        query = query.where(among(erasure_order.c.estate_id, estate_ids))
    return [ErasureView(**row._mapping) for row in connection.execute(query)]


def _add(
    connection: Connection,
    places: Collection[tuple[str, UUID]],
    scope: str,
    reason: Reason,
    actor: str,
    now: datetime,
) -> int:
    if not places:
        return 0
    rows = [
        {
            "order_id": uuid.uuid4(),
            "person_id": person_id,
            "estate_id": estate_id,
            "scope": scope,
            "reason": reason,
            "ordered_at": now,
            "ordered_by": actor,
        }
        for estate_id, person_id in sorted(places)
    ]
    statement = insert(erasure_order).on_conflict_do_nothing().returning(erasure_order.c.order_id)
    return len(connection.execute(statement, rows).all())
