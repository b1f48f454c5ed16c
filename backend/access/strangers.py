"""Strangers at the doors: how many, at which door, in which hour. Nothing that links two of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from backend.access.tables import access_record
from backend.identity.principal import AllEstates, Scope

STRANGER_CAUSE = "unknown_person"


@dataclass(frozen=True, slots=True)
class StrangerCount:
    """Passages of faces that nobody knows, in one hour at one door."""

    estate_id: str
    device_id: str
    hour: datetime
    times: int


def strangers(
    connection: Connection, estate_ids: Scope, since: datetime, until: datetime
) -> list[StrangerCount]:
    """Counts of [since, until) by door and hour."""
    seen = access_record.c
    hour = func.date_trunc("hour", seen.received_at).label("hour")
    query = (
        select(seen.estate_id, seen.device_id, hour, func.count())
        .where(seen.received_at >= since, seen.received_at < until)
        .where(seen.person_id.is_(None), seen.credential == "face", seen.cause == STRANGER_CAUSE)
        .group_by(seen.estate_id, seen.device_id, hour)
        .order_by(seen.estate_id, hour, seen.device_id)
    )
    if not isinstance(estate_ids, AllEstates):
        query = query.where(seen.estate_id.in_(sorted(estate_ids)))
    return [StrangerCount(*row) for row in connection.execute(query)]
