"""Readings and areas from a table: each row is tried, each fault named, and all of it is kept or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, select

from backend.documents.cells import CellFault, Cells, WrongCellError, day, needed, one_of, yes
from backend.documents.table_file import Heading, read_table
from backend.errors import ExplainedError
from backend.identity.principal import Principal
from backend.registry import tables as registry
from backend.rent.errors import UnitUnknownError
from backend.rent.measures import read_meter, set_area
from backend.rent.quantities import read_hundredths

What = Literal["readings", "areas"]
METER_KINDS_ZH: Mapping[str, str] = {"water": "水", "electricity": "电", "gas": "气"}
METER_KINDS: Mapping[str, str] = {
    **{word: kind for kind, word in METER_KINDS_ZH.items()},
    **{f"{word}表": kind for kind, word in METER_KINDS_ZH.items()},
    "燃气": "gas",
    **{kind: kind for kind in METER_KINDS_ZH},
}

READINGS = (
    Heading("kind", ("表别", "kind")),
    Heading("serial", ("表号", "serial")),
    Heading("read_on", ("抄表日期", "抄表日", "read on")),
    Heading("value", ("读数", "reading")),
    Heading("rolled_over", ("已归零", "rolled over"), required=False),
    Heading("corrects", ("更正", "corrects"), required=False),
)
AREAS = (
    Heading("estate", ("小区", "estate")),
    Heading("building", ("楼栋", "building")),
    Heading("unit", ("房号", "unit")),
    Heading("area", ("面积（平方米）", "面积", "area")),
    Heading("from", ("起用日期", "起用日", "from")),
)


class MeasuresRefusedError(ExplainedError):
    """A table with faults; nothing of it was kept."""

    code = "measures_refused"

    def __init__(self, faults: Iterable[CellFault]) -> None:
        self.faults = tuple(faults)
        first = self.faults[0]
        super().__init__(
            f"有 {len(self.faults)} 处问题，什么都没有写入。第一处：{first.place}：{first.zh}",
            f"{len(self.faults)} faults, nothing was kept. The first: row {first.row}: {first.en}",
        )


def import_measures(
    connection: Connection, what: What, body: bytes, principal: Principal, now: datetime
) -> int:
    """Keep every row of a table; returns how many there were. To try it only, roll the transaction back.

    Raises:
        TableFileError: it is no such table.
        MeasuresRefusedError: the faults, row by row; what was written before is rolled back.
    """
    table = read_table(body, READINGS if what == "readings" else AREAS)
    one_row = _reading if what == "readings" else _area
    faults: list[CellFault] = []
    with connection.begin_nested() as all_rows:
        for row in table.rows:
            cells = Cells(table, row)
            _keep(connection, cells, one_row(connection, cells, principal, now))
            faults += cells.faults
        if faults:
            all_rows.rollback()
    if faults:
        raise MeasuresRefusedError(faults)
    return len(table.rows)


def unit_by_number(connection: Connection, estate: str, building: str, number: str) -> UUID:
    """A unit by what stands on its door; estate and building by their id or their Chinese name.

    Raises:
        UnitUnknownError
    """
    known = registry.unit
    found = (
        connection.execute(
            select(known.c.unit_id)
            .join(registry.estate, registry.estate.c.estate_id == known.c.estate_id)
            .join(
                registry.building,
                (registry.building.c.estate_id == known.c.estate_id)
                & (registry.building.c.building_id == known.c.building_id),
            )
            .where(
                (registry.estate.c.estate_id == estate) | (registry.estate.c.name_zh == estate),
                (registry.building.c.building_id == building) | (registry.building.c.name_zh == building),
                known.c.number == number,
            )
        )
        .scalars()
        .all()
    )
    if len(found) != 1:
        raise UnitUnknownError
    return UUID(str(found[0]))


def hundredths(cell: str) -> int:
    """A quantity with at most two decimals, exactly."""
    found = read_hundredths(cell.replace(",", ""))
    if found is None:
        raise WrongCellError("应为数字，最多两位小数", "a figure with at most two decimals is needed")
    return found


def _keep(connection: Connection, cells: Cells, keep: Callable[[], None]) -> None:
    if cells.faults:
        return
    try:
        with connection.begin_nested():
            keep()
    except ExplainedError as refused:
        cells.fault(next(iter(cells.table.titles)), refused.zh, refused.en)


def _reading(connection: Connection, cells: Cells, principal: Principal, now: datetime) -> Callable[[], None]:
    kind, serial = cells.read("kind", one_of(METER_KINDS)), cells.read("serial", needed)
    read_on, value = cells.read("read_on", day), cells.read("value", hundredths)
    rolled_over, corrects = cells.read("rolled_over", yes), cells.read("corrects", yes)

    def keep() -> None:
        if kind is not None and serial is not None and read_on is not None and value is not None:
            read_meter(
                connection, kind, serial, read_on, value, principal, now,
                rolled_over=bool(rolled_over), corrects=bool(corrects),
            )  # fmt: skip

    return keep


def _area(connection: Connection, cells: Cells, principal: Principal, now: datetime) -> Callable[[], None]:
    estate, building = cells.read("estate", needed), cells.read("building", needed)
    number, area = cells.read("unit", needed), cells.read("area", hundredths)
    from_on = cells.read("from", day)

    def keep() -> None:
        if estate and building and number and area is not None and from_on is not None:
            unit_id = unit_by_number(connection, estate, building, number)
            set_area(connection, unit_id, area, from_on, principal, now)

    return keep
