"""What an authority is told: how many people use their faces, when filing is due, and the pack for it.

Source: 人脸识别技术应用安全管理办法 art. 15: filing within 30 working days after 100,000 persons.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

import holidays
from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from backend.documents.columns import Column, Kind, Sheet
from backend.documents.workbook import workbook_bytes
from backend.identity.audit import audit
from backend.registry.roster import publish_estate
from backend.registry.rules import assessment_ends_on, local_day
from backend.registry.tables import consent_notice, estate
from backend.retention.settings import RetentionSettings
from backend.retention.tables import face_count

WARN_PERSONS, FILE_PERSONS, FILE_WORKING_DAYS = 80_000, 100_000, 30
State = Literal["none", "warning", "due"]

CONSENTING = """
    FROM consent JOIN person USING (person_id)
    WHERE purpose = 'open_doors' AND withdrawn_at IS NULL AND (ends_at IS NULL OR ends_at > :now)
"""
BY_ESTATE = text(f"SELECT person.estate_id, count(*) AS persons {CONSENTING} GROUP BY 1 ORDER BY 1")


@dataclass(frozen=True, slots=True)
class Filing:
    """How things stand: `reached_on` and `due_on` once 100,000 were counted."""

    persons: int
    state: State
    reached_on: date | None
    due_on: date | None


def filing_due_on(reached_on: date) -> date:
    """The 30th working day after a day, by China's calendar with its swapped weekends."""
    calendar = holidays.country_holidays("CN", years=[reached_on.year, reached_on.year + 1])
    return next(_working_days_after(reached_on, calendar, FILE_WORKING_DAYS))


def count_faces(connection: Connection, now: datetime) -> Filing:
    """Count who uses their face today, in all estates, and keep the day's figure."""
    rows = connection.execute(BY_ESTATE, {"now": now})
    persons = sum(row.persons for row in rows)
    upsert = insert(face_count).values(counted_on=local_day(now), persons=persons)
    greatest = func.greatest(face_count.c.persons, upsert.excluded.persons)
    connection.execute(
        upsert.on_conflict_do_update(index_elements=["counted_on"], set_={"persons": greatest})
    )
    return filing(connection)


def filing(connection: Connection) -> Filing:
    """How things stand by the figures that were kept."""
    newest = connection.scalar(select(face_count.c.persons).order_by(face_count.c.counted_on.desc()).limit(1))
    reached_on = connection.scalar(
        select(func.min(face_count.c.counted_on)).where(face_count.c.persons >= FILE_PERSONS)
    )
    if reached_on is not None:
        return Filing(newest or 0, "due", reached_on, filing_due_on(reached_on))
    return Filing(newest or 0, "warning" if (newest or 0) >= WARN_PERSONS else "none", None, None)


def switch_off_unassessed(connection: Connection, now: datetime) -> list[str]:
    """Switch faces off where the impact assessment is out of date; returns the estates."""
    today = local_day(now)
    rows = connection.execute(
        select(estate.c.estate_id, estate.c.assessed_on).where(estate.c.faces_enabled)
    ).all()
    lapsed = [row.estate_id for row in rows if today >= assessment_ends_on(row.assessed_on)]
    for estate_id in lapsed:
        connection.execute(update(estate).where(estate.c.estate_id == estate_id).values(faces_enabled=False))
        publish_estate(connection, estate_id)
        audit(
            connection, "system:obligations", "switch_faces_off", "done", "estate", estate_id, estate_id,
            "assessment out of date", now,
        )  # fmt: skip
    return lapsed


def filing_pack(connection: Connection, clocks: RetentionSettings, actor: str, now: datetime) -> bytes:
    """A zip for the authority: counts, notices, assessments and clocks, without any person."""
    facts = _facts(connection, clocks, now)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("filing.json", json.dumps(facts, ensure_ascii=False, indent=2, default=str))
        archive.writestr("filing.xlsx", workbook_bytes(_sheets(facts)))
    audit(connection, actor, "filing_pack", "done", "filing", str(local_day(now)), None, "", now)
    return target.getvalue()


def _working_days_after(day: date, calendar: holidays.HolidayBase, wanted: int) -> Iterator[date]:
    counted = 0
    while True:
        day += timedelta(days=1)
        counted += calendar.is_working_day(day)
        if counted == wanted:
            yield day


def _facts(connection: Connection, clocks: RetentionSettings, now: datetime) -> dict[str, Any]:
    stands = filing(connection)
    persons = {row.estate_id: row.persons for row in connection.execute(BY_ESTATE, {"now": now})}
    estates = connection.execute(select(estate).order_by(estate.c.estate_id)).all()
    notices = connection.execute(select(consent_notice).order_by(consent_notice.c.purpose)).all()
    return {
        "made_at": now,
        "filing": {
            "persons": stands.persons,
            "state": stands.state,
            "reached_on": stands.reached_on,
            "due_on": stands.due_on,
        },
        "estates": [
            {
                "estate": row.estate_id,
                "name": row.name_zh,
                "district": row.district,
                "faces": row.faces_enabled,
                "assessed_on": row.assessed_on,
                "persons": persons.get(row.estate_id, 0),
            }
            for row in estates
        ],
        "notices": [dict(row._mapping) for row in notices],
        "retention_days": {name: getattr(clocks, name) for name in clocks.__struct_fields__},
    }


def _sheets(facts: dict[str, Any]) -> list[Sheet]:
    estates = Sheet(
        "小区",
        (
            Column("小区"),
            Column("名称"),
            Column("县区"),
            Column("影响评估日期", Kind.DATE),
            Column("使用人脸人数", Kind.WHOLE, total=True),
        ),
        [
            (one["estate"], one["name"], one["district"], one["assessed_on"], one["persons"])
            for one in facts["estates"]
        ],
    )
    clocks = Sheet(
        "保存期限",
        (Column("类别"), Column("天数", Kind.WHOLE)),
        list(facts["retention_days"].items()),
    )
    return [estates, clocks]
