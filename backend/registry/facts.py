"""Reads the registry's tables as the documents that gateways receive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, func, select, text

from backend.db.arrays import among, array_text
from backend.registry.documents import (
    CardDocument,
    DoorDocument,
    ErasureDocument,
    EstateDocument,
    LivenessWaiver,
    OpenHours,
    PanelsDocument,
    PersonDocument,
    PinDocument,
    QrDocument,
    RightDocument,
)
from backend.registry.rules import ENDED_RIGHT_SHOWN
from backend.registry.tables import consent, consent_notice, door, estate

OPEN_DOORS = "open_doors"  # the consent purpose without which no face is kept
PANEL_PHOTOGRAPH = "panel_photograph"  # a photograph kept in the estate's vault to load door panels with
OCCUPANCY_CARE = "occupancy_care"  # looking at door data to see whether somebody needs help
PURPOSES = (OPEN_DOORS, PANEL_PHOTOGRAPH, OCCUPANCY_CARE)

# One statement for all that a person's document is made of: it is read at every change, under the estate's
# lock, and each statement more would keep the next change waiting. Field names are the documents'. The people
# are joined (IN, not ANY): an import has thousands, and ANY would compare each row with each of them.
_PERSON_FACTS = text("""
    SELECT 'rights', estate_id, person_id, jsonb_agg(
        jsonb_build_object('group', group_id, 'from', starts_at, 'to', ends_at)
        ORDER BY group_id, starts_at, right_id)
    FROM door_right
    WHERE person_id IN (SELECT unnest(CAST(:people AS uuid[]))) AND (ends_at IS NULL OR ends_at > :shown_from)
    GROUP BY estate_id, person_id
    UNION ALL
    SELECT 'cards', estate_id, person_id,
           jsonb_agg(jsonb_build_object('hmac', hmac, 'blocked', blocked) ORDER BY hmac)
    FROM card WHERE person_id IN (SELECT unnest(CAST(:people AS uuid[]))) AND ended_at IS NULL
    GROUP BY estate_id, person_id
    UNION ALL
    SELECT 'erase', estate_id, person_id, jsonb_agg(
        jsonb_build_object('order', order_id, 'scope', scope, 'reason', reason, 'ordered_at', ordered_at)
        ORDER BY ordered_at, order_id)
    FROM erasure_order WHERE person_id IN (SELECT unnest(CAST(:people AS uuid[]))) AND certified_at IS NULL
    GROUP BY estate_id, person_id
    UNION ALL
    SELECT 'pins', estate_id, person_id,
           jsonb_agg(jsonb_build_object('group', group_id, 'hmac', hmac, 'duress', duress) ORDER BY hmac)
    FROM pin WHERE person_id IN (SELECT unnest(CAST(:people AS uuid[]))) AND ended_at IS NULL
    GROUP BY estate_id, person_id
    UNION ALL
    SELECT 'qr', estate_id, person_id, jsonb_build_object('id', qr_id, 'sealed', sealed)
    FROM qr_seed WHERE person_id IN (SELECT unnest(CAST(:people AS uuid[]))) AND ended_at IS NULL
    UNION ALL
    SELECT purpose, NULL, person_id, NULL
    FROM consent WHERE person_id IN (SELECT unnest(CAST(:people AS uuid[]))) AND withdrawn_at IS NULL
      AND (ends_at IS NULL OR ends_at > :now)
      AND notice_version = (SELECT max(version) FROM consent_notice AS notice
                            WHERE notice.purpose = consent.purpose)
""")


def estate_document(connection: Connection, estate_id: str) -> EstateDocument:
    """One estate as gateways see it."""
    row = connection.execute(select(estate).where(estate.c.estate_id == estate_id)).one()
    return EstateDocument(
        name_zh=row.name_zh,
        name_en=row.name_en,
        faces=row.faces_enabled,
        liveness_waiver=_waiver(row),
        fpir=row.fpir,
        panels=PanelsDocument(roster_lease_days=row.panel_lease_days) if row.panel_lease_days else None,
        passback=row.passback,
    )


def door_documents(connection: Connection, estate_id: str) -> dict[str, DoorDocument]:
    """The estate's doors by device id."""
    rows = connection.execute(select(door).where(door.c.estate_id == estate_id))
    return {
        row.device_id: DoorDocument(
            name_zh=row.name_zh,
            name_en=row.name_en,
            group=row.group_id,
            building=row.building_id,
            credentials=list(row.credentials),
            way=row.way,
            protocol=row.protocol,
            active=row.active,
            hours=[OpenHours(days=one["days"], begin=one["from"], till=one["to"]) for one in row.hours]
            if row.hours is not None
            else None,
        )
        for row in rows
    }


def person_documents(
    connection: Connection, person_ids: Collection[UUID], now: datetime
) -> dict[tuple[str, UUID], PersonDocument]:
    """What people may do, by estate and person; nothing for an estate where no right is left."""
    held: defaultdict[str, dict[tuple[str, UUID], Any]] = defaultdict(dict)
    consenting: defaultdict[str, set[UUID]] = defaultdict(set)
    about = {"people": array_text(person_ids), "now": now, "shown_from": now - ENDED_RIGHT_SHOWN}
    for what, estate_id, person_id, documents in connection.execute(_PERSON_FACTS, about):
        if estate_id is None:
            consenting[what].add(person_id)
        else:
            held[what][(estate_id, person_id)] = documents
    both = consenting[OPEN_DOORS] & consenting[PANEL_PHOTOGRAPH]
    return {
        place: PersonDocument(
            rights=msgspec.convert(held["rights"].get(place, []), list[RightDocument]),
            cards=msgspec.convert(held["cards"].get(place, []), list[CardDocument]),
            face_consent=place[1] in consenting[OPEN_DOORS],
            panel_consent=place[1] in both,
            erase=msgspec.convert(held["erase"].get(place, []), list[ErasureDocument]),
            pins=msgspec.convert(held["pins"].get(place, []), list[PinDocument]),
            qr=msgspec.convert(held["qr"].get(place), QrDocument | None),
        )
        for place in held["rights"].keys() | held["erase"].keys()
    }


def consenting_persons(
    connection: Connection, person_ids: Collection[UUID], now: datetime, purpose: str = OPEN_DOORS
) -> set[UUID]:
    """Who of them consents to a purpose: to the newest notice, not withdrawn, not expired."""
    newest = (
        select(func.max(consent_notice.c.version))
        .where(consent_notice.c.purpose == purpose)
        .scalar_subquery()
    )
    return set(
        connection.scalars(
            select(consent.c.person_id).where(
                among(consent.c.person_id, person_ids),
                consent.c.purpose == purpose,
                consent.c.notice_version == newest,
                consent.c.withdrawn_at.is_(None),
                consent.c.ends_at.is_(None) | (consent.c.ends_at > now),
            )
        )
    )


def _waiver(row: Row[Any]) -> LivenessWaiver | None:
    if row.liveness_waiver_until is None:
        return None
    return LivenessWaiver(
        until=row.liveness_waiver_until,
        author=row.liveness_waiver_author,
        reason=row.liveness_waiver_reason,
    )
