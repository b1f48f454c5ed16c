"""Takes in what the doors did, and shows it to those who may see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Select, Text, Uuid, func, literal, select
from sqlalchemy.dialects import postgresql

from backend.access.tables import access_passage, access_record, device_state
from backend.access.wire import AccessRecord, DeviceStatus
from backend.identity.audit import audit
from backend.identity.principal import AllEstates, Principal, Scope
from backend.identity.service import check_role
from backend.registry.tables import door, door_right, person

COLUMNS = (
    "estate_id", "record_id", "device_id", "passage", "event_ids", "credential", "device_at", "received_at",
    "outcome", "cause", "person_id", "resent", "gateway_id", "stored_at", "pass_id", "face_confirmed",
)  # fmt: skip
COPY = f"COPY access_record ({', '.join(COLUMNS)}) FROM STDIN"


@dataclass(frozen=True, slots=True)
class AccessRecordView:
    """One passage as a page shows it."""

    record_id: UUID
    estate_id: str
    device_id: str
    door_name_zh: str | None
    door_name_en: str | None
    credential: str
    device_at: datetime
    received_at: datetime
    outcome: str
    cause: str
    person_id: UUID | None
    resent: bool
    person_name: str | None = None


@dataclass(frozen=True, slots=True)
class DoorStateView:
    """A door and its connection; `state` is None where no gateway has told yet."""

    device_id: str
    estate_id: str
    name_zh: str
    name_en: str
    active: bool
    state: str | None
    since: datetime | None
    clock_offset_ms: int | None
    reported_at: datetime | None


def store_records(
    connection: Connection, records: Sequence[AccessRecord], gateway_id: str, now: datetime
) -> int:
    """Store what is new; a record or a passage that is known already is left as it is.

    Returns:
        how many were new. After the commit, all of them are kept, the known ones included.
    """
    if not records:
        return 0
    connection.execute(select(func.ensure_access_partition(now)))
    fresh = _claim(connection, records)
    with connection.connection.cursor() as cursor, cursor.copy(COPY) as copy:  # type: ignore[attr-defined]
        for one in records:
            key = (one.estate, one.record_id)
            if key in fresh:
                fresh.remove(key)
                copy.write_row(_row(one, gateway_id, now))
    return len(records)


def store_states(
    connection: Connection, devices: Sequence[DeviceStatus], gateway_id: str, now: datetime
) -> None:
    """Keep the newest state of each known door; a device that is no door of that estate is passed over."""
    doors = connection.execute(select(door.c.device_id, door.c.estate_id))
    known = {row.device_id: row.estate_id for row in doors}
    newest = {one.device: one for one in devices if known.get(one.device) == one.estate}
    rows = [
        {
            "device_id": one.device,
            "estate_id": one.estate,
            "state": one.state,
            "since": one.since,
            "clock_offset_ms": one.clock_offset_ms,
            "contact": one.contact,
            "battery_percent": one.battery_percent,
            "gateway_id": gateway_id,
            "reported_at": now,
        }
        for _, one in sorted(newest.items())
    ]
    if rows:
        upsert = postgresql.insert(device_state)
        connection.execute(
            upsert.on_conflict_do_update(
                index_elements=["device_id"],
                set_={name: upsert.excluded[name] for name in rows[0] if name != "device_id"},
            ),
            rows,
        )


def latest_records(connection: Connection, estate_ids: Scope, limit: int) -> list[AccessRecordView]:
    """The newest passages by the gateway's time of receipt, newest first; without names.

    Args:
        estate_ids: where the reader may look; see `Principal.estates`.
    """
    query = _passages().order_by(access_record.c.received_at.desc()).limit(limit)
    if not isinstance(estate_ids, AllEstates):
        query = query.where(access_record.c.estate_id.in_(sorted(estate_ids)))
    return [_view(row) for row in connection.execute(query)]


def passage(connection: Connection, estate_id: str, record_id: UUID) -> AccessRecordView | None:
    """One passage of an estate; without the name. Ids are the gateways' own: elsewhere it is another one."""
    query = _passages().where(access_record.c.estate_id == estate_id, access_record.c.record_id == record_id)
    row = connection.execute(query).first()
    return _view(row) if row is not None else None


def name_for(
    connection: Connection, who: Principal, seen: AccessRecordView, purpose: str, now: datetime
) -> str | None:
    """The name of whoever was recognised, for a purpose; the look is audited in the same transaction.

    None when nobody was recognised, the person has been erased since, or is nobody of that estate: which
    person a record names is the gateway's word, and a gateway speaks for its own estates only.

    Raises:
        NotAllowedError: the principal is no operator of that estate.
    """
    check_role(who, "look_at_passage", seen.estate_id, "operator")
    if seen.person_id is None:
        return None
    right = select(door_right.c.person_id).where(
        door_right.c.person_id == seen.person_id, door_right.c.estate_id == seen.estate_id
    )
    ours = (person.c.estate_id == seen.estate_id) | right.exists()
    name: str | None = connection.scalar(
        select(person.c.name).where(person.c.person_id == seen.person_id, ours)
    )
    if name is None:
        return None
    reason = f"{purpose} record={seen.record_id}"
    audit(
        connection, who, "look_at_passage", "done", "person", str(seen.person_id), seen.estate_id, reason, now
    )
    return name


def door_states(connection: Connection, estate_ids: Scope) -> list[DoorStateView]:
    """Every door with its connection, by estate and device."""
    query = (
        select(
            door.c.device_id,
            door.c.estate_id,
            door.c.name_zh,
            door.c.name_en,
            door.c.active,
            device_state.c.state,
            device_state.c.since,
            device_state.c.clock_offset_ms,
            device_state.c.reported_at,
        )
        .outerjoin(device_state, device_state.c.device_id == door.c.device_id)
        .order_by(door.c.estate_id, door.c.device_id)
    )
    if not isinstance(estate_ids, AllEstates):
        query = query.where(door.c.estate_id.in_(sorted(estate_ids)))
    return [DoorStateView(*row) for row in connection.execute(query)]


def _claim(connection: Connection, records: Sequence[AccessRecord]) -> set[tuple[str, UUID]]:
    """Take the keys of new passages; a concurrent batch with the same ones waits here, then finds them taken.

    In one order in every batch, so that two of them never wait for each other.
    """
    ordered = sorted(records, key=lambda one: (one.estate, one.device, one.passage, one.record_id))
    columns: dict[str, tuple[Any, list[Any]]] = {
        "estate_id": (Text, [one.estate for one in ordered]),
        "device_id": (Text, [one.device for one in ordered]),
        "passage": (Text, [one.passage for one in ordered]),
        "record_id": (Uuid, [one.record_id for one in ordered]),
    }
    arrays = [literal(values, ARRAY(kind)) for kind, values in columns.values()]
    source = (
        func.unnest(*arrays).table_valued(*columns, with_ordinality="place", name="incoming").render_derived()
    )
    claimed = (
        postgresql.insert(access_passage)
        .from_select(list(columns), select(*(source.c[name] for name in columns)).order_by(source.c.place))
        .on_conflict_do_nothing()
        .returning(access_passage.c.estate_id, access_passage.c.record_id)
    )
    return {(row.estate_id, row.record_id) for row in connection.execute(claimed)}


def _row(one: AccessRecord, gateway_id: str, now: datetime) -> tuple[object, ...]:
    return (
        one.estate, one.record_id, one.device, one.passage, one.events, one.credential, one.device_at,
        one.received_at, one.outcome, one.cause, one.person, one.resent, gateway_id, now,
        one.pass_id, one.face_confirmed,
    )  # fmt: skip


def _passages() -> Select[Any]:
    return select(access_record, door.c.name_zh, door.c.name_en).outerjoin(
        door,
        (door.c.device_id == access_record.c.device_id) & (door.c.estate_id == access_record.c.estate_id),
    )


def _view(row: Any) -> AccessRecordView:
    return AccessRecordView(
        record_id=row.record_id,
        estate_id=row.estate_id,
        device_id=row.device_id,
        door_name_zh=row.name_zh,
        door_name_en=row.name_en,
        credential=row.credential,
        device_at=row.device_at,
        received_at=row.received_at,
        outcome=row.outcome,
        cause=row.cause,
        person_id=row.person_id,
        resent=row.resent,
    )
