"""Device life as gateways report it: alarms, and panels that match by themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, delete, select, update
from sqlalchemy.dialects import postgresql

from backend.access.tables import device_alarm, device_state, panel_erasure, panel_leaving, panel_state
from backend.access.wire import AlarmStatus, PanelStatus
from backend.db.arrays import among
from backend.identity.audit import audit
from backend.identity.principal import AllEstates, Principal, Scope
from backend.identity.service import check_role
from backend.registry.errors import UnknownThingError
from backend.registry.tables import door, person

CLEARED_SHOWN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A door device; `state` is None where no gateway has ever heard of it."""

    device_id: str
    estate_id: str
    name_zh: str
    name_en: str
    protocol: str
    active: bool
    state: str | None
    since: datetime | None
    clock_offset_ms: int | None
    contact: str | None
    battery_percent: int | None


@dataclass(frozen=True, slots=True)
class AlarmView:
    """An alarm; `person_ref` is the registry's own reference, never a name."""

    alarm_id: UUID
    estate_id: str
    device_id: str
    kind: str
    raised_at: datetime
    repeated_at: datetime
    times: int
    cleared_at: datetime | None
    seen_at: datetime | None
    person_ref: str | None


@dataclass(frozen=True, slots=True)
class PanelView:
    """What a panel that matches by itself holds."""

    device_id: str
    estate_id: str
    people: int
    refused: int
    missing: int
    extra: int
    nameless: int
    strangers: int
    reconciled_at: datetime | None


@dataclass(frozen=True, slots=True)
class LeavingView:
    """Somebody whom a panel may still let in; `until` is None where nobody knows the end of the lease."""

    device_id: str
    estate_id: str
    person_id: UUID
    person_ref: str | None
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class PanelErasure:
    """A panel's part of an erasure: confirmed, or still open where `erased_at` is None."""

    device_id: str
    estate_id: str
    since: datetime
    erased_at: datetime | None
    may_open_until: datetime | None


def store_alarms(
    connection: Connection, alarms: Sequence[AlarmStatus], gateway_id: str, now: datetime
) -> None:
    """Keep each alarm as it stands; one of a device that is no door of that estate is passed over."""
    known = _doors(connection)
    rows = [
        {
            "alarm_id": one.alarm_id,
            "estate_id": one.estate,
            "device_id": one.device,
            "kind": one.kind,
            "raised_at": one.raised_at,
            "repeated_at": one.repeated_at,
            "times": one.times,
            "person_id": one.person,
            "cleared_at": one.cleared_at,
            "gateway_id": gateway_id,
            "reported_at": now,
        }
        for one in sorted(alarms, key=lambda one: one.alarm_id)
        if known.get(one.device) == one.estate
    ]
    if rows:
        upsert = postgresql.insert(device_alarm)
        changing = ("repeated_at", "times", "cleared_at", "reported_at")
        connection.execute(
            upsert.on_conflict_do_update(
                index_elements=["alarm_id"],
                set_={name: upsert.excluded[name] for name in changing},
                # An id of another gateway's alarm changes nothing there.
                where=device_alarm.c.gateway_id == gateway_id,
            ),
            rows,
        )


def store_panels(
    connection: Connection, panels: Sequence[PanelStatus], gateway_id: str, now: datetime
) -> None:
    """Keep what each panel holds, who may still open it, and what it has erased."""
    known = _doors(connection)
    for one in sorted(panels, key=lambda one: one.device):
        if known.get(one.device) == one.estate:
            _store_panel(connection, one, gateway_id, now)


def devices(connection: Connection, estate_ids: Scope) -> list[DeviceView]:
    """Every device that was ever provisioned, by estate and id."""
    query = (
        select(
            door.c.device_id, door.c.estate_id, door.c.name_zh, door.c.name_en, door.c.protocol,
            door.c.active, device_state.c.state, device_state.c.since, device_state.c.clock_offset_ms,
            device_state.c.contact, device_state.c.battery_percent,
        )
        .outerjoin(device_state, device_state.c.device_id == door.c.device_id)
        .order_by(door.c.estate_id, door.c.device_id)
    )  # fmt: skip
    return [DeviceView(*row) for row in connection.execute(_within(query, door.c.estate_id, estate_ids))]


def alarms(connection: Connection, estate_ids: Scope, now: datetime) -> list[AlarmView]:
    """Those that stand, and what was over within a day; what nobody has seen first, then the newest."""
    query = (
        select(
            device_alarm.c.alarm_id, device_alarm.c.estate_id, device_alarm.c.device_id,
            device_alarm.c.kind, device_alarm.c.raised_at, device_alarm.c.repeated_at,
            device_alarm.c.times, device_alarm.c.cleared_at, device_alarm.c.seen_at, person.c.ref,
        )
        .outerjoin(person, person.c.person_id == device_alarm.c.person_id)
        .where(device_alarm.c.cleared_at.is_(None) | (device_alarm.c.cleared_at > now - CLEARED_SHOWN))
        .order_by(
            device_alarm.c.cleared_at.is_not(None),
            device_alarm.c.seen_at.is_not(None),
            device_alarm.c.raised_at.desc(),
        )
    )  # fmt: skip
    found = connection.execute(_within(query, device_alarm.c.estate_id, estate_ids))
    return [AlarmView(*row) for row in found]


def see_alarm(connection: Connection, alarm_id: UUID, *, actor: Principal, now: datetime) -> None:
    """Somebody has seen an alarm and takes care of it; the first one stands.

    Raises:
        UnknownThingError, NotAllowedError.
    """
    row = connection.execute(
        select(device_alarm.c.estate_id, device_alarm.c.device_id, device_alarm.c.kind).where(
            device_alarm.c.alarm_id == alarm_id
        )
    ).one_or_none()
    if row is None:
        raise UnknownThingError("alarm", alarm_id)
    check_role(actor, "see_alarm", row.estate_id, "operator", "admin")
    seen = connection.execute(
        update(device_alarm)
        .where(device_alarm.c.alarm_id == alarm_id, device_alarm.c.seen_at.is_(None))
        .values(seen_at=now, seen_by=actor.principal_id)
    )
    if seen.rowcount:
        audit(connection, actor, "see_alarm", "done", "device", row.device_id, row.estate_id, row.kind, now)


def panels(connection: Connection, estate_ids: Scope) -> list[PanelView]:
    """The panels that match by themselves."""
    columns = [panel_state.c[name] for name in PanelView.__dataclass_fields__]
    query = select(*columns).order_by(panel_state.c.estate_id, panel_state.c.device_id)
    found = connection.execute(_within(query, panel_state.c.estate_id, estate_ids))
    return [PanelView(*row) for row in found]


def may_still_open(connection: Connection, estate_ids: Scope) -> list[LeavingView]:
    """Who may not enter any more, and may still be let in by a panel that opens by itself."""
    query = (
        select(
            panel_leaving.c.device_id, panel_leaving.c.estate_id, panel_leaving.c.person_id, person.c.ref,
            panel_leaving.c.since, panel_leaving.c.until_at,
        )
        .outerjoin(person, person.c.person_id == panel_leaving.c.person_id)
        .order_by(panel_leaving.c.estate_id, panel_leaving.c.device_id, panel_leaving.c.since)
    )  # fmt: skip
    found = connection.execute(_within(query, panel_leaving.c.estate_id, estate_ids))
    return [LeavingView(*row) for row in found]


def panel_erasures(connection: Connection, person_ids: Collection[UUID]) -> dict[UUID, list[PanelErasure]]:
    """Each panel's part of these people's erasures, the open ones first."""
    leaving, erasure = panel_leaving.c, panel_erasure.c
    found: defaultdict[UUID, list[PanelErasure]] = defaultdict(list)
    for row in connection.execute(
        select(panel_leaving).where(among(leaving.person_id, person_ids)).order_by(leaving.device_id)
    ):
        part = PanelErasure(row.device_id, row.estate_id, row.since, None, row.until_at)
        found[row.person_id].append(part)
    for row in connection.execute(
        select(panel_erasure)
        .where(among(erasure.person_id, person_ids))
        .order_by(erasure.device_id, erasure.erased_at)
    ):
        part = PanelErasure(row.device_id, row.estate_id, row.since, row.erased_at, None)
        found[row.person_id].append(part)
    return dict(found)


def _store_panel(connection: Connection, one: PanelStatus, gateway_id: str, now: datetime) -> None:
    counts = ("people", "refused", "missing", "extra", "nameless", "strangers", "reconciled_at")
    row = {name: getattr(one, name) for name in counts}
    row |= {"estate_id": one.estate, "gateway_id": gateway_id, "reported_at": now}
    upsert = postgresql.insert(panel_state).values(device_id=one.device, **row)
    connection.execute(upsert.on_conflict_do_update(index_elements=["device_id"], set_=row))
    connection.execute(delete(panel_leaving).where(panel_leaving.c.device_id == one.device))
    if one.may_still_open:
        leaving = [
            {
                "device_id": one.device,
                "estate_id": one.estate,
                "person_id": each.person,
                "since": each.since,
                "until_at": each.until,
            }
            for each in one.may_still_open
        ]
        connection.execute(postgresql.insert(panel_leaving).on_conflict_do_nothing(), leaving)
    if one.erased:
        erased = [
            {
                "device_id": one.device,
                "estate_id": one.estate,
                "person_id": each.person,
                "since": each.since,
                "erased_at": each.erased_at,
                "gateway_id": gateway_id,
            }
            for each in one.erased
        ]
        # Told again until the gateway has heard that we have it.
        connection.execute(postgresql.insert(panel_erasure).on_conflict_do_nothing(), erased)


def _doors(connection: Connection) -> dict[str, str]:
    rows = connection.execute(select(door.c.device_id, door.c.estate_id))
    return {row.device_id: row.estate_id for row in rows}


def _within(query: Select[Any], column: ColumnElement[str], estate_ids: Scope) -> Select[Any]:
    """Only of those estates."""
    if isinstance(estate_ids, AllEstates):
        return query
    return query.where(column.in_(sorted(estate_ids)))
