"""Brings the registry in line with `estates.toml`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from backend.identity.audit import audit
from backend.registry.errors import AssessmentNeededError, DoorElsewhereError, UnknownThingError
from backend.registry.estates_file import Door, Estate, EstatesFile
from backend.registry.keys import KEY_BYTES, MasterKey
from backend.registry.people_tables import impact_assessment
from backend.registry.roster import publish_estate
from backend.registry.rules import assessment_ends_on, local_day, unit_numbers
from backend.registry.tables import building, door, door_group, estate, roster_version, unit


@dataclass(frozen=True, slots=True)
class EstateView:
    """An estate as pages name it."""

    estate_id: str
    name_zh: str
    name_en: str
    district: str


def load_estates(
    connection: Connection,
    file: EstatesFile,
    master_key: MasterKey,
    *,
    actor: str,
    now: datetime,
    new_id: Callable[[], UUID] = uuid.uuid4,
) -> list[str]:
    """Create or change the file's estates, and publish what changed; returns their ids.

    Estates that are not in the file stay as they are. A door that is no longer in it is taken out of
    use, not deleted: its records remain.
    """
    for one in file.estate:
        _check_assessment(one, now)
        _write_estate(connection, one, master_key, now)
        _keep_assessment(connection, one, actor, now)
        _write_buildings(connection, one, new_id)
        _write_doors(connection, one)
        publish_estate(connection, one.id)
        audit(connection, actor, "load_estate", "done", "estate", one.id, one.id, "", now)
    return [one.id for one in file.estate]


def estate_key(connection: Connection, master_key: MasterKey, estate_id: str) -> bytes:
    """The estate's 32 bytes for card references.

    Raises:
        UnknownThingError, SealBrokenError.
    """
    sealed = connection.scalar(select(estate.c.hmac_key_sealed).where(estate.c.estate_id == estate_id))
    if sealed is None:
        raise UnknownThingError("estate", estate_id)
    return master_key.open(estate_id, sealed)


def estates(connection: Connection) -> list[EstateView]:
    """Every estate, by district and id."""
    rows = connection.execute(
        select(estate.c.estate_id, estate.c.name_zh, estate.c.name_en, estate.c.district).order_by(
            estate.c.district, estate.c.estate_id
        )
    )
    return [EstateView(*row) for row in rows]


def _write_estate(connection: Connection, one: Estate, master_key: MasterKey, now: datetime) -> None:
    waiver = one.liveness_waiver
    values: dict[str, Any] = {
        "name_zh": one.name_zh,
        "name_en": one.name_en,
        "district": one.district,
        "faces_enabled": one.faces.enabled,
        "assessed_on": one.faces.assessed_on,
        "fpir": one.faces.fpir,
        "panel_lease_days": one.panels.roster_lease_days if one.panels and one.panels.match else None,
        "passback": one.passback,
        "liveness_waiver_until": waiver.until if waiver else None,
        "liveness_waiver_author": waiver.author if waiver else None,
        "liveness_waiver_reason": waiver.reason if waiver else None,
    }
    known = connection.execute(update(estate).where(estate.c.estate_id == one.id).values(values))
    if known.rowcount == 0:
        sealed = master_key.seal(one.id, os.urandom(KEY_BYTES))
        connection.execute(
            insert(estate).values(estate_id=one.id, hmac_key_sealed=sealed, created_at=now, **values)
        )
        connection.execute(insert(roster_version).values(estate_id=one.id, version=0))


def _check_assessment(one: Estate, now: datetime) -> None:
    assessed_on, today = one.faces.assessed_on, local_day(now)
    in_date = assessed_on is not None and assessed_on <= today < assessment_ends_on(assessed_on)
    if one.faces.enabled and not in_date:
        raise AssessmentNeededError(one.id)


def _keep_assessment(connection: Connection, one: Estate, actor: str, now: datetime) -> None:
    if one.faces.assessed_on is not None:
        row = {"estate_id": one.id, "assessed_on": one.faces.assessed_on}
        connection.execute(
            insert(impact_assessment)
            .values(recorded_by=actor, recorded_at=now, **row)
            .on_conflict_do_nothing()
        )


def _write_buildings(connection: Connection, one: Estate, new_id: Callable[[], UUID]) -> None:
    for each in one.building:
        values = {
            "name_zh": each.name_zh,
            "floors": each.floors,
            "units_per_floor": each.units_per_floor,
        }
        connection.execute(
            insert(building)
            .values(estate_id=one.id, building_id=each.id, **values)
            .on_conflict_do_update(index_elements=["estate_id", "building_id"], set_=values)
        )
        connection.execute(
            insert(unit).on_conflict_do_nothing(),
            [
                {
                    "unit_id": new_id(),
                    "estate_id": one.id,
                    "building_id": each.id,
                    "floor": floor,
                    "number": number,
                }
                for floor, number in unit_numbers(each.floors, each.units_per_floor)
            ],
        )


def _write_doors(connection: Connection, one: Estate) -> None:
    # A group for every building, too: rights to a building are the same before its door is fitted.
    groups = {each.group_id for each in one.door} | {each.id for each in one.building}
    for group_id in sorted(groups):
        connection.execute(
            insert(door_group).values(estate_id=one.id, group_id=group_id).on_conflict_do_nothing()
        )
    for each in one.door:
        values = _door_values(each)
        written = connection.scalar(
            insert(door)
            .values(device_id=each.id, estate_id=one.id, **values)
            .on_conflict_do_update(
                index_elements=["device_id"], set_=values, where=door.c.estate_id == one.id
            )
            .returning(door.c.device_id)
        )
        if written is None:
            raise DoorElsewhereError(each.id, one.id)
    gone = door.c.device_id.not_in([each.id for each in one.door])
    connection.execute(update(door).where(door.c.estate_id == one.id, gone).values(active=False))


def _door_values(each: Door) -> dict[str, Any]:
    return {
        "building_id": each.building,
        "group_id": each.group_id,
        "name_zh": each.name_zh,
        "name_en": each.name_en,
        "credentials": list(each.credentials),
        "way": each.way,
        "protocol": each.protocol,
        "active": each.active,
        "hours": [
            {"days": sorted(set(span.days)), "from": span.begin, "to": span.till} for span in each.hours
        ]
        if each.hours is not None
        else None,
    }
