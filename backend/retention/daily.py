"""What the worker does once a day: clocks, the trace of households, the count of faces, assessments."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from backend.registry.keys import MasterKey
from backend.retention.evidence import wrap_moved
from backend.retention.obligations import count_faces, switch_off_unassessed
from backend.retention.purge import purge, ran_today
from backend.retention.seen import roll_up
from backend.retention.settings import RetentionSettings

# Passages come late when a link was down; noting a day twice changes nothing.
ROLL_UP_WITHIN = timedelta(days=3)

log = structlog.get_logger()


def run_daily(connection: Connection, clocks: RetentionSettings, master_key: MasterKey, now: datetime) -> int:
    """The day's work, once; 0 when it is done already."""
    if ran_today(connection, now):
        return 0
    wrap_moved(connection, master_key)
    roll_up(connection, now - ROLL_UP_WITHIN, now)
    cuts = purge(connection, clocks, now)
    lapsed = switch_off_unassessed(connection, now)
    stands = count_faces(connection, now)
    log.info(
        "retention_run",
        purged=sum(one.purged for one in cuts),
        faces_off=lapsed,
        persons=stands.persons,
        filing=stands.state,
    )
    if stands.state != "none":
        log.warning("filing_duty", persons=stands.persons, state=stands.state, due_on=str(stands.due_on))
    return 1
