"""The roster: what gateways copy, as a feed of changes in the order of their commits.

Publishing locks the estate's row in `roster_version` until commit, and only then reads the facts. So
versions become visible in order, and of two concurrent changes to one person the later one sees the
earlier: a right that ended cannot come back by a change that was computed before. Both hold in READ
COMMITTED only, where each statement sees what was committed before it began.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Connection, Text, Uuid, cast, delete, func, literal, select, text, union, update

from backend.db.arrays import among, array_text
from backend.registry import facts
from backend.registry.documents import Document, Kind
from backend.registry.people_tables import erasure_order
from backend.registry.signal import CHANNEL
from backend.registry.tables import card, door_right, roster_item, roster_version

Key = tuple[str, Kind, str]  # estate, kind, item

# The rows that follow a lock are few and each change waits for the one before: everything in one statement.
# The notification is delivered at commit, and only then.
_STORE = text("""
    WITH moved AS (
        UPDATE roster_version SET version = version + :many WHERE estate_id = :estate
        RETURNING version - :many AS before
    ), stored AS (
        INSERT INTO roster_item AS item (estate_id, kind, item_id, version, doc, removed_at)
        SELECT :estate, new.kind, new.item_id, moved.before + new.place, new.doc::jsonb,
               CASE WHEN new.doc IS NULL THEN now() END
        FROM moved, unnest(CAST(:kinds AS text[]), CAST(:items AS text[]), CAST(:docs AS text[]))
                    WITH ORDINALITY AS new (kind, item_id, doc, place)
        ON CONFLICT (estate_id, kind, item_id) DO UPDATE
        SET version = EXCLUDED.version, doc = EXCLUDED.doc, removed_at = EXCLUDED.removed_at
    )
    SELECT pg_notify(:channel, :estate)
""")


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One change; `document` is JSON text, None where the item was removed."""

    kind: str
    item_id: str
    version: int
    document: str | None


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Changes in order of version; `version` is the cursor for the next page."""

    version: int
    more: bool
    items: list[FeedItem]


def lock_rosters(connection: Connection, estate_ids: Iterable[str]) -> None:
    """Be the only one to publish for these estates until commit. In one order, so that nobody deadlocks."""
    connection.execute(
        select(roster_version.c.estate_id)
        .where(roster_version.c.estate_id.in_(sorted(set(estate_ids))))
        .order_by(roster_version.c.estate_id)
        .with_for_update()
    )


def publish_persons(connection: Connection, person_ids: Collection[UUID], now: datetime) -> None:
    """Publish what these people may do, wherever they may do something; call it after the change."""
    places = estates_of(connection, person_ids)
    lock_rosters(connection, places)
    documents = facts.person_documents(connection, person_ids, now)
    wanted: dict[Key, Document | None] = {
        (estate_id, "person", str(person_id)): documents.get((estate_id, person_id))
        for estate_id, people in places.items()
        for person_id in people
    }
    _write(connection, wanted)


def publish_estate(connection: Connection, estate_id: str) -> None:
    """Publish an estate and its doors; call it after the change."""
    lock_rosters(connection, [estate_id])
    wanted: dict[Key, Document | None] = {
        (estate_id, "estate", estate_id): facts.estate_document(connection, estate_id)
    }
    for device_id, document in facts.door_documents(connection, estate_id).items():
        wanted[(estate_id, "door", device_id)] = document
    _write(connection, wanted)


def publish_one(
    connection: Connection, estate_id: str, kind: Kind, item_id: str, document: Document | None
) -> None:
    """Publish one item of an estate, or (None) that it is gone; call it after the change."""
    lock_rosters(connection, [estate_id])
    _write(connection, {(estate_id, kind, item_id): document})


def feed(connection: Connection, estate_id: str, since: int, limit: int) -> FeedPage:
    """The changes after version `since`, at most `limit`.

    A cursor from the future means that the database is older than the gateway's copy (a restored
    backup): everything is sent again. One below the floor has missed removals that are no longer told: it
    gets an empty page of version 0, which lets a gateway start anew.
    """
    known = connection.execute(
        select(roster_version.c.version, roster_version.c.floor).where(
            roster_version.c.estate_id == estate_id
        )
    ).one_or_none()
    if known is None or since > known.version:
        since = 0
    elif 0 < since < known.floor:
        return FeedPage(0, True, [])
    rows = connection.execute(
        select(
            roster_item.c.kind,
            roster_item.c.item_id,
            roster_item.c.version,
            # As text: it is passed on as it is.
            cast(roster_item.c.doc, Text),
        )
        .where(roster_item.c.estate_id == estate_id, roster_item.c.version > since)
        .order_by(roster_item.c.version)
        .limit(limit + 1)
    ).all()
    items = [FeedItem(*row) for row in rows[:limit]]
    return FeedPage(items[-1].version if items else since, len(rows) > limit, items)


def forget_removals(connection: Connection, before: datetime) -> int:
    """Forget which items were removed before `before`; whoever has not heard of it by then starts anew."""
    gone = connection.execute(
        delete(roster_item)
        .where(roster_item.c.removed_at < before, roster_item.c.doc.is_(None))
        .returning(roster_item.c.estate_id, roster_item.c.version)
    ).all()
    floors: dict[str, int] = {}
    for row in gone:
        floors[row.estate_id] = max(row.version, floors.get(row.estate_id, 0))
    for estate_id, floor in sorted(floors.items()):
        connection.execute(
            update(roster_version)
            .where(roster_version.c.estate_id == estate_id)
            .values(floor=func.greatest(roster_version.c.floor, floor))
        )
    return len(gone)


def estates_of(connection: Connection, person_ids: Collection[UUID]) -> dict[str, set[UUID]]:
    """Where people have, or had, something that gateways were told of."""
    # Joined, not compared with each: an import has thousands of people.
    given = cast(literal(array_text(person_ids), Text), ARRAY(Uuid))
    people = select(func.unnest(given)).scalar_subquery()
    held = union(
        *(
            select(table.c.estate_id, table.c.person_id).where(table.c.person_id.in_(people))
            for table in (door_right, card, erasure_order)
        )
    )
    places: defaultdict[str, set[UUID]] = defaultdict(set)
    for estate_id, person_id in connection.execute(held):
        places[estate_id].add(person_id)
    return dict(places)


def _write(connection: Connection, wanted: Mapping[Key, Document | None]) -> None:
    """Give each item that differs from what is published a version of its own, and wake who waits."""
    published = _published(connection, wanted)
    changed: defaultdict[str, list[tuple[Kind, str, str | None]]] = defaultdict(list)
    for key in sorted(wanted):
        document = wanted[key]
        plain = document.plain() if document is not None else None
        if published.get(key) != plain:
            text_of = None if plain is None else msgspec.json.encode(plain).decode()
            changed[key[0]].append((key[1], key[2], text_of))
    for estate_id, rows in sorted(changed.items()):
        connection.execute(
            _STORE,
            {
                "estate": estate_id,
                "many": len(rows),
                "kinds": array_text(kind for kind, _, _ in rows),
                "items": array_text(item for _, item, _ in rows),
                "docs": array_text(doc for _, _, doc in rows),
                "channel": CHANNEL,
            },
        )


def _published(connection: Connection, keys: Collection[Key]) -> dict[Key, dict[str, Any] | None]:
    if not keys:
        return {}
    estates = {key[0] for key in keys}
    kinds = {key[1] for key in keys}
    items = [key[2] for key in keys]
    rows = connection.execute(
        select(roster_item.c.estate_id, roster_item.c.kind, roster_item.c.item_id, roster_item.c.doc).where(
            roster_item.c.estate_id.in_(estates),
            roster_item.c.kind.in_(kinds),
            among(roster_item.c.item_id, items),
        )
    )
    return {(row.estate_id, row.kind, row.item_id): row.doc for row in rows}
