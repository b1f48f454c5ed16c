"""Areas, meters and readings: what was measured, by whom, and never changed afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry import tables as registry
from backend.rent.errors import (
    DatesReversedError,
    MeterExistsError,
    MeterUnknownError,
    PriceError,
    ReadingExistsError,
    ReadingFallsError,
    ReadingNegativeError,
    UnitUnknownError,
)
from backend.rent.pricing_tables import meter, meter_reading, unit_area

AREA_HUNDREDTHS_MAX = 10_000_000


@dataclass(frozen=True, slots=True)
class NewMeter:
    """A meter to be installed; `kind` is `water`, `electricity` or `gas`."""

    unit_id: UUID
    kind: str
    plan_id: str
    serial: str
    rollover_hundredths: int
    first_hundredths: int
    installed_on: date


def set_area(
    connection: Connection, unit_id: UUID, hundredths: int, from_on: date, principal: Principal, now: datetime
) -> None:
    """What a unit measures from a day on; entered again for the same day, the later entry counts.

    Raises:
        UnitUnknownError, PriceError
        NotAllowedError: the principal is not of the estate's finance staff.
    """
    _check_unit(connection, unit_id, "rent.set_area", principal)
    if not 1 <= hundredths <= AREA_HUNDREDTHS_MAX:
        raise PriceError("面积", "area", hundredths)
    mine = (unit_area.c.unit_id == unit_id) & (unit_area.c.from_on == from_on)
    entry_no = connection.execute(
        select(func.coalesce(func.max(unit_area.c.entry_no), 0) + 1).where(mine)
    ).scalar_one()
    connection.execute(
        insert(unit_area).values(
            unit_id=unit_id,
            from_on=from_on,
            entry_no=entry_no,
            area_hundredths=hundredths,
            principal_id=principal.principal_id,
            created_at=now,
        )
    )


def install_meter(connection: Connection, new: NewMeter, principal: Principal, now: datetime) -> UUID:
    """Register a meter with what it shows on the day of its installation.

    Raises:
        UnitUnknownError, NotAllowedError
        MeterExistsError: one of that kind and number is registered.
        ReadingNegativeError: it cannot show that.
    """
    _check_unit(connection, new.unit_id, "rent.install_meter", principal)
    _check_range(new.first_hundredths, new.rollover_hundredths)
    meter_id: UUID | None = connection.execute(
        upsert(meter)
        .values(
            meter_id=uuid4(),
            unit_id=new.unit_id,
            kind=new.kind,
            plan_id=new.plan_id,
            serial=new.serial,
            rollover_hundredths=new.rollover_hundredths,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(meter.c.meter_id)
    ).scalar_one_or_none()
    if meter_id is None:
        raise MeterExistsError(new.serial)
    _keep(connection, meter_id, new.installed_on, new.first_hundredths, False, 1, principal, now)
    return meter_id


def read_meter(
    connection: Connection,
    kind: str,
    serial: str,
    read_on: date,
    hundredths: int,
    principal: Principal,
    now: datetime,
    *,
    rolled_over: bool = False,
    corrects: bool = False,
) -> None:
    """Keep what a meter showed at the end of a day; the same reading again changes nothing.

    Args:
        rolled_over: it began at zero again since the reading before.
        corrects: it takes the place of another figure of that day.
    Raises:
        MeterUnknownError: no such meter, or it was removed before.
        ReadingNegativeError, ReadingFallsError, ReadingExistsError, NotAllowedError
    """
    found = _meter(connection, kind, serial)
    _check_unit(connection, found.unit_id, "rent.read_meter", principal)
    if found.removed_on is not None and read_on > found.removed_on:
        raise MeterUnknownError(serial)
    _check_range(hundredths, found.rollover_hundredths)
    before, same, after = _neighbours(connection, found.meter_id, read_on)
    if same is not None and (same.value_hundredths, same.rolled_over) == (hundredths, rolled_over):
        return
    if same is not None and not corrects:
        raise ReadingExistsError(read_on)
    if before is not None and not rolled_over and hundredths < before.value_hundredths:
        raise ReadingFallsError(read_on, hundredths, before.read_on, before.value_hundredths)
    if after is not None and not after.rolled_over and hundredths > after.value_hundredths:
        raise ReadingFallsError(read_on, hundredths, after.read_on, after.value_hundredths)
    entry_no = same.entry_no + 1 if same is not None else 1
    _keep(connection, found.meter_id, read_on, hundredths, rolled_over, entry_no, principal, now)


def replace_meter(
    connection: Connection,
    kind: str,
    serial: str,
    last_hundredths: int,
    new_serial: str,
    first_hundredths: int,
    on: date,
    principal: Principal,
    now: datetime,
) -> UUID:
    """Take a meter out with its last reading, and put another one in with its first, on the same day.

    Raises:
        MeterUnknownError, MeterExistsError, ReadingFallsError, ReadingNegativeError, NotAllowedError
        DatesReversedError: it has a reading behind that day.
    """
    old = _meter(connection, kind, serial)
    _, _, after = _neighbours(connection, old.meter_id, on)
    if after is not None:
        raise DatesReversedError(after.read_on, on)
    read_meter(connection, kind, serial, on, last_hundredths, principal, now, corrects=True)
    connection.execute(update(meter).where(meter.c.meter_id == old.meter_id).values(removed_on=on))
    new = NewMeter(old.unit_id, kind, old.plan_id, new_serial, old.rollover_hundredths, first_hundredths, on)
    return install_meter(connection, new, principal, now)


def _meter(connection: Connection, kind: str, serial: str) -> Row[Any]:
    # Locked: two readings at the same time are checked one after the other.
    found = connection.execute(
        select(meter).where(meter.c.kind == kind, meter.c.serial == serial).with_for_update()
    ).one_or_none()
    if found is None:
        raise MeterUnknownError(serial)
    return found


def _neighbours(
    connection: Connection, meter_id: UUID, read_on: date
) -> tuple[Row[Any] | None, Row[Any] | None, Row[Any] | None]:
    """The reading before that day, of that day, and behind it; of one day, the last entry."""
    mine = select(meter_reading).where(meter_reading.c.meter_id == meter_id).limit(1)
    last_entry = meter_reading.c.entry_no.desc()
    before = mine.where(meter_reading.c.read_on < read_on).order_by(
        meter_reading.c.read_on.desc(), last_entry
    )
    same = mine.where(meter_reading.c.read_on == read_on).order_by(last_entry)
    after = mine.where(meter_reading.c.read_on > read_on).order_by(meter_reading.c.read_on, last_entry)
    return (
        connection.execute(before).one_or_none(),
        connection.execute(same).one_or_none(),
        connection.execute(after).one_or_none(),
    )


def _keep(
    connection: Connection,
    meter_id: UUID,
    read_on: date,
    hundredths: int,
    rolled_over: bool,
    entry_no: int,
    principal: Principal,
    now: datetime,
) -> None:
    connection.execute(
        insert(meter_reading).values(
            meter_id=meter_id,
            read_on=read_on,
            entry_no=entry_no,
            value_hundredths=hundredths,
            rolled_over=rolled_over,
            principal_id=principal.principal_id,
            recorded_at=now,
        )
    )


def _check_range(hundredths: int, rollover_hundredths: int) -> None:
    if not 0 <= hundredths < rollover_hundredths:
        raise ReadingNegativeError(hundredths, rollover_hundredths - 1)


def _check_unit(connection: Connection, unit_id: UUID, action: str, principal: Principal) -> None:
    estate_id = connection.execute(
        select(registry.unit.c.estate_id).where(registry.unit.c.unit_id == unit_id)
    ).scalar_one_or_none()
    if estate_id is None:
        raise UnitUnknownError
    check_role(principal, action, estate_id, "finance")
