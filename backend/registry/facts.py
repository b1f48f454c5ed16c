"""Reads the registry's tables as the documents that gateways receive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select

from backend.db.arrays import among
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
from backend.registry.people_tables import erasure_order
from backend.registry.rules import ENDED_RIGHT_SHOWN
from backend.registry.tables import card, consent, consent_notice, door, door_right, estate, pin, qr_seed

OPEN_DOORS = "open_doors"  # the consent purpose without which no face is kept
PANEL_PHOTOGRAPH = "panel_photograph"  # a photograph kept in the estate's vault to load door panels with
OCCUPANCY_CARE = "occupancy_care"  # looking at door data to see whether somebody needs help
PURPOSES = (OPEN_DOORS, PANEL_PHOTOGRAPH, OCCUPANCY_CARE)


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
    people = list(person_ids)
    rights = _rights(connection, people, now)
    cards = _cards(connection, people)
    orders = _orders(connection, people)
    pins, seeds = _pins(connection, people), _qr_seeds(connection, people)
    consenting = consenting_persons(connection, people, now)
    panels = consenting_persons(connection, people, now, PANEL_PHOTOGRAPH) & consenting
    return {
        (estate_id, person_id): PersonDocument(
            rights=rights.get((estate_id, person_id), []),
            cards=cards.get((estate_id, person_id), []),
            face_consent=person_id in consenting,
            panel_consent=person_id in panels,
            erase=orders.get((estate_id, person_id), []),
            pins=pins.get((estate_id, person_id), []),
            qr=seeds.get((estate_id, person_id)),
        )
        for estate_id, person_id in rights.keys() | orders.keys()
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


def _rights(
    connection: Connection, people: list[UUID], now: datetime
) -> dict[tuple[str, UUID], list[RightDocument]]:
    rows = connection.execute(
        select(door_right)
        .where(among(door_right.c.person_id, people))
        .where(door_right.c.ends_at.is_(None) | (door_right.c.ends_at > now - ENDED_RIGHT_SHOWN))
        .order_by(door_right.c.group_id, door_right.c.starts_at, door_right.c.right_id)
    )
    held: defaultdict[tuple[str, UUID], list[RightDocument]] = defaultdict(list)
    for row in rows:
        right = RightDocument(group=row.group_id, starts_at=row.starts_at, ends_at=row.ends_at)
        held[(row.estate_id, row.person_id)].append(right)
    return held


def _cards(connection: Connection, people: list[UUID]) -> dict[tuple[str, UUID], list[CardDocument]]:
    rows = connection.execute(
        select(card).where(among(card.c.person_id, people), card.c.ended_at.is_(None)).order_by(card.c.hmac)
    )
    held: defaultdict[tuple[str, UUID], list[CardDocument]] = defaultdict(list)
    for row in rows:
        held[(row.estate_id, row.person_id)].append(CardDocument(hmac=row.hmac, blocked=row.blocked))
    return held


def _orders(connection: Connection, people: list[UUID]) -> dict[tuple[str, UUID], list[ErasureDocument]]:
    rows = connection.execute(
        select(erasure_order)
        .where(among(erasure_order.c.person_id, people), erasure_order.c.certified_at.is_(None))
        .order_by(erasure_order.c.ordered_at, erasure_order.c.order_id)
    )
    orders: defaultdict[tuple[str, UUID], list[ErasureDocument]] = defaultdict(list)
    for row in rows:
        orders[(row.estate_id, row.person_id)].append(
            ErasureDocument(
                order=str(row.order_id), scope=row.scope, reason=row.reason, ordered_at=row.ordered_at
            )
        )
    return orders


def _pins(connection: Connection, people: list[UUID]) -> dict[tuple[str, UUID], list[PinDocument]]:
    rows = connection.execute(
        select(pin).where(among(pin.c.person_id, people), pin.c.ended_at.is_(None)).order_by(pin.c.hmac)
    )
    held: defaultdict[tuple[str, UUID], list[PinDocument]] = defaultdict(list)
    for row in rows:
        document = PinDocument(group=row.group_id, hmac=row.hmac, duress=row.duress)
        held[(row.estate_id, row.person_id)].append(document)
    return held


def _qr_seeds(connection: Connection, people: list[UUID]) -> dict[tuple[str, UUID], QrDocument]:
    live = select(qr_seed).where(among(qr_seed.c.person_id, people), qr_seed.c.ended_at.is_(None))
    return {
        (row.estate_id, row.person_id): QrDocument(id=row.qr_id, sealed=row.sealed)
        for row in connection.execute(live)
    }


def _waiver(row: Row[Any]) -> LivenessWaiver | None:
    if row.liveness_waiver_until is None:
        return None
    return LivenessWaiver(
        until=row.liveness_waiver_until,
        author=row.liveness_waiver_author,
        reason=row.liveness_waiver_reason,
    )
