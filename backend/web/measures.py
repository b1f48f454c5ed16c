"""Finance: meter readings, meters and areas, typed in one by one or from a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, Row, select
from werkzeug.datastructures import MultiDict

from backend.api.errors import status_of
from backend.db.arrays import among
from backend.documents.cells import WrongCellError, day
from backend.errors import ExplainedError
from backend.identity.principal import Principal, Role
from backend.identity.web import required_principal, requires
from backend.registry import tables as registry
from backend.rent.errors import PriceError
from backend.rent.measure_files import (
    METER_KINDS_ZH,
    MeasuresRefusedError,
    What,
    hundredths,
    import_measures,
    unit_by_number,
)
from backend.rent.measures import NewMeter, install_meter, read_meter, replace_meter, set_area
from backend.rent.pricing_tables import meter, meter_reading, tariff
from backend.rent.quantities import in_words
from backend.services import services
from backend.web import words
from backend.web.estates import estates_of

ROLES: tuple[Role, ...] = ("finance",)
READINGS_SHOWN = 30
# What a meter shows at most, in hundredths: five figures and two decimals.
ROLLOVER = 10_000_000

blueprint = Blueprint("measures", __name__, url_prefix="/finance/measures")


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a table."""

    rows: int
    refused: ExplainedError | None
    done: bool


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """The forms, and what was read last."""
    return _page()


@blueprint.post("")
@requires(*ROLES)
def enter() -> ResponseReturnValue:
    """Keep one reading, meter, replacement or area."""
    act = ACTS.get(request.form.get("act", ""), ACTS["reading"])
    try:
        with services().engine.begin() as connection:
            said = act(connection, request.form, required_principal(), datetime.now(UTC))
    except (ExplainedError, WrongCellError) as refused:
        return _page(refused), status_of(refused) if isinstance(refused, ExplainedError) else 422
    flash(said, "ok")
    return redirect(url_for("measures.index"), 303)


@blueprint.post("/table")
@requires(*ROLES)
def table() -> ResponseReturnValue:
    """Check a table of readings or areas, or keep it; each faulty row is named."""
    sent = request.files.get("file")
    body, for_good = (sent.read() if sent else b""), request.form.get("step") == "import"
    what: What = "areas" if request.form.get("what") == "areas" else "readings"
    try:
        with services().engine.connect() as connection, connection.begin() as everything:
            rows = import_measures(connection, what, body, required_principal(), datetime.now(UTC))
            if not for_good:
                everything.rollback()
    except ExplainedError as refused:
        return _page(tried=Tried(0, refused, False)), 422
    return _page(tried=Tried(rows, None, for_good))


def _reading(connection: Connection, sent: MultiDict[str, str], who: Principal, now: datetime) -> str:
    value, read_on = hundredths(sent.get("value", "").strip()), day(sent.get("day", ""))
    serial = sent.get("serial", "").strip()
    read_meter(
        connection, sent.get("kind", ""), serial, read_on, value, who, now,
        rolled_over=sent.get("special") == "rolled_over", corrects=sent.get("special") == "corrects",
    )  # fmt: skip
    return f"{serial} 读数 {in_words(value)} 已记录。 The reading is kept."


def _meter(connection: Connection, sent: MultiDict[str, str], who: Principal, now: datetime) -> str:
    kind, _, plan_id = sent.get("plan", "").partition(":")
    if kind not in METER_KINDS_ZH:
        raise PriceError("收费标准", "plan", sent.get("plan", ""))
    new = NewMeter(
        _unit(connection, sent),
        kind,
        plan_id,
        _serial(sent.get("serial", "")),
        ROLLOVER,
        hundredths(sent.get("value", "").strip()),
        day(sent.get("day", "")),
    )
    install_meter(connection, new, who, now)
    return f"已登记{METER_KINDS_ZH[kind]}表 {new.serial}。 The meter is registered."


def _replacement(connection: Connection, sent: MultiDict[str, str], who: Principal, now: datetime) -> str:
    last, first = (hundredths(sent.get(name, "").strip()) for name in ("value", "first"))
    serial, new_serial = sent.get("serial", "").strip(), _serial(sent.get("new_serial", ""))
    kind, on = sent.get("kind", ""), day(sent.get("day", ""))
    replace_meter(connection, kind, serial, last, new_serial, first, on, who, now)
    return "已换表，旧表读数和新表起数都已记录。 The meter is replaced; both readings are kept."


def _area(connection: Connection, sent: MultiDict[str, str], who: Principal, now: datetime) -> str:
    area = hundredths(sent.get("value", "").strip())
    set_area(connection, _unit(connection, sent), area, day(sent.get("day", "")), who, now)
    return f"面积 {in_words(area)} 平方米已登记；已计收的月份请到住户页面重新计算。 The area is kept."


ACTS: Mapping[str, Callable[[Connection, MultiDict[str, str], Principal, datetime], str]] = {
    "reading": _reading,
    "meter": _meter,
    "replace": _replacement,
    "area": _area,
}


def _unit(connection: Connection, sent: Mapping[str, str]) -> UUID:
    estate, building = sent.get("estate", ""), sent.get("building", "").strip()
    return unit_by_number(connection, estate, building, sent.get("number", "").strip())


def _serial(typed: str) -> str:
    serial = typed.strip()
    if not 1 <= len(serial) <= 40:
        raise PriceError("表号", "meter's number", typed)
    return serial


def _page(refused: ExplainedError | WrongCellError | None = None, tried: Tried | None = None) -> str:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        mine = estates_of(connection, who, ROLES)
        plans = connection.execute(
            select(tariff.c.kind, tariff.c.plan_id, tariff.c.name_zh)
            .where(tariff.c.kind.in_(METER_KINDS_ZH), tariff.c.to_on.is_(None))
            .order_by(tariff.c.kind, tariff.c.plan_id)
        ).all()
        latest = _latest(connection, [one.estate_id for one in mine])
    faults = tried.refused.faults if tried and isinstance(tried.refused, MeasuresRefusedError) else ()
    return render_template(
        "measures.html",
        estates=mine,
        plans=plans,
        latest=latest,
        kinds=METER_KINDS_ZH,
        in_words=in_words,
        sent=request.form if refused else {},
        today=words.today(now),
        refused=refused,
        tried=tried,
        faults=faults,
    )


def _latest(connection: Connection, estate_ids: list[str]) -> list[Row[Any]]:
    """What was read last in these estates, the newest entry first."""
    unit, building = registry.unit, registry.building
    return list(
        connection.execute(
            select(meter.c.kind, meter.c.serial, meter_reading, building.c.name_zh, unit.c.number)
            .join(meter, meter.c.meter_id == meter_reading.c.meter_id)
            .join(unit, unit.c.unit_id == meter.c.unit_id)
            .join(
                building,
                (building.c.estate_id == unit.c.estate_id) & (building.c.building_id == unit.c.building_id),
            )
            .where(among(unit.c.estate_id, estate_ids))
            .order_by(meter_reading.c.recorded_at.desc(), meter.c.serial, meter_reading.c.entry_no.desc())
            .limit(READINGS_SHOWN)
        )
    )
