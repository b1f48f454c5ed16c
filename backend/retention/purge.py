"""Lets go of what its clock has run out for, and writes down how much that was."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Connection,
    TextClause,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from backend.access.tables import access_passage
from backend.identity.audit import audit
from backend.identity.tables import login_session
from backend.registry.people_tables import erasure_certificate
from backend.registry.roster import forget_removals
from backend.registry.rules import local_day, start_of_day
from backend.registry.tables import card, consent
from backend.retention.evidence import DESKS, Kind
from backend.retention.holds import live_holds
from backend.retention.seen import roll_up
from backend.retention.settings import RetentionSettings
from backend.retention.tables import evidence, household_seen, retention_run

ACTOR = "system:retention"
ERASED_NAME = "（已删除）"
ERASED_BIRTHDAY = date(1900, 1, 1)
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)

PEOPLE = text("""
SELECT person_id FROM person
WHERE created_at < :cutoff AND name <> :erased AND person_id <> ALL (:holding)
    AND NOT EXISTS (SELECT 1 FROM door_right WHERE door_right.person_id = person.person_id
        AND (ends_at IS NULL OR ends_at >= :cutoff))
    AND NOT EXISTS (SELECT 1 FROM household_member AS member WHERE member.person_id = person.person_id
        AND (to_on IS NULL OR to_on >= :cutoff_on))
    AND NOT EXISTS (SELECT 1 FROM consent WHERE consent.person_id = person.person_id)
""")


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of one class: how much went, and how much a hold keeps."""

    name: str
    cutoff: datetime
    purged: int
    held: int = 0


Purge = Callable[[Connection, datetime, list[UUID]], tuple[int, int]]


def purge(connection: Connection, clocks: RetentionSettings, now: datetime) -> list[Cut]:
    """Let go of everything whose time is over; safe to repeat. One report row a class."""
    holding = [one.person_id for one in live_holds(connection)]
    cuts = []
    for name, act in CLASSES.items():
        cutoff = now - timedelta(days=getattr(clocks, name))
        purged, held = act(connection, cutoff, holding)
        cuts.append(Cut(name, cutoff, purged, held))
    run_id = uuid.uuid4()
    rows = [
        {
            "run_id": run_id,
            "class": one.name,
            "ran_at": now,
            "cutoff": one.cutoff,
            "purged": one.purged,
            "held": one.held,
        }
        for one in cuts
    ]
    connection.execute(insert(retention_run), rows)
    counts = " ".join(f"{one.name}={one.purged}" for one in cuts if one.purged)
    audit(connection, ACTOR, "purge", "done", "retention_run", str(run_id), None, counts, now)
    return cuts


def ran_today(connection: Connection, now: datetime) -> bool:
    """Whether the purge has run on this day in Jiangmen."""
    last = connection.scalar(select(func.max(retention_run.c.ran_at)))
    return last is not None and last >= start_of_day(local_day(now))


def last_run(connection: Connection) -> list[Cut]:
    """The newest report, by class."""
    newest = select(retention_run.c.run_id).order_by(retention_run.c.ran_at.desc()).limit(1)
    rows = connection.execute(
        select(
            retention_run.c["class"], retention_run.c.cutoff, retention_run.c.purged, retention_run.c.held
        ).where(retention_run.c.run_id == newest.scalar_subquery())
    )
    return [Cut(*row) for row in rows]


def _access_records(connection: Connection, cutoff: datetime, holding: list[UUID]) -> tuple[int, int]:
    # First the trace that stays.
    roll_up(connection, BEGINNING, cutoff)
    query = text("SELECT purged, held FROM purge_access_records(:cutoff, :holding)")
    row = connection.execute(_with_holding(query), {"cutoff": cutoff, "holding": holding}).one()
    return row.purged, row.held


def _passage_keys(connection: Connection, cutoff: datetime, _: list[UUID]) -> tuple[int, int]:
    return connection.execute(delete(access_passage).where(access_passage.c.stored_at < cutoff)).rowcount, 0


def _seen(connection: Connection, cutoff: datetime, _: list[UUID]) -> tuple[int, int]:
    gone = delete(household_seen).where(household_seen.c.seen_on < local_day(cutoff))
    return connection.execute(gone).rowcount, 0


def _consents(connection: Connection, cutoff: datetime, holding: list[UUID]) -> tuple[int, int]:
    query = _with_holding(text("SELECT purge_consents(:cutoff, :holding)"))
    return int(connection.scalar(query, {"cutoff": cutoff, "holding": holding}) or 0), 0


def _certificates(connection: Connection, cutoff: datetime, holding: list[UUID]) -> tuple[int, int]:
    found = erasure_certificate.c
    gone = delete(erasure_certificate).where(found.received_at < cutoff, found.person_id.not_in(holding))
    return connection.execute(gone).rowcount, 0


def _evidence(kind: Kind) -> Purge:
    def purge_kind(connection: Connection, cutoff: datetime, holding: list[UUID]) -> tuple[int, int]:
        kept = evidence.c
        old = (kept.kind == kind) & (kept.added_at < cutoff) & kept.erased_at.is_(None)
        if kind == "consent":  # the paper is the proof for as long as what it proves is kept
            old &= ~select(consent.c.consent_id).where(consent.c.person_id == kept.person_id).exists()
        in_hold = kept.person_id.in_(holding)
        held = connection.scalar(select(func.count()).select_from(evidence).where(old, in_hold)) or 0
        # The row stays as a trace; the file and its key are gone.
        gone = update(evidence).where(old, kept.person_id.is_(None) | ~in_hold)
        erased = connection.execute(gone.values(sealed=None, wrapped_key=None, erased_at=func.now()))
        return erased.rowcount, held

    return purge_kind


def _cards(connection: Connection, cutoff: datetime, holding: list[UUID]) -> tuple[int, int]:
    gone = delete(card).where(card.c.ended_at < cutoff, card.c.person_id.not_in(holding))
    return connection.execute(gone).rowcount, 0


def _people(connection: Connection, cutoff: datetime, holding: list[UUID]) -> tuple[int, int]:
    values = {
        "cutoff": cutoff,
        "cutoff_on": local_day(cutoff),
        "erased": ERASED_NAME,
        "holding": holding,
    }
    gone = list(connection.scalars(_with_holding(PEOPLE), values))
    erase = _with_people(
        text("UPDATE person SET name = :erased, born_on = :birthday WHERE person_id = ANY (:people)")
    )
    connection.execute(erase, {"erased": ERASED_NAME, "birthday": ERASED_BIRTHDAY, "people": gone})
    names = _with_people(
        text("UPDATE principal SET display_name = :erased, disabled_at = coalesce(disabled_at, now())"
             " WHERE person_id = ANY (:people)")
    )  # fmt: skip
    connection.execute(names, {"erased": ERASED_NAME, "people": gone})
    return len(gone), 0


def _sessions(connection: Connection, cutoff: datetime, _: list[UUID]) -> tuple[int, int]:
    return connection.execute(delete(login_session).where(login_session.c.created_at < cutoff)).rowcount, 0


def _removals(connection: Connection, cutoff: datetime, _: list[UUID]) -> tuple[int, int]:
    return forget_removals(connection, cutoff), 0


def _with_holding(query: TextClause) -> TextClause:
    return query.bindparams(bindparam("holding", type_=ARRAY(Uuid)))


def _with_people(query: TextClause) -> TextClause:
    return query.bindparams(bindparam("people", type_=ARRAY(Uuid)))


# In this order: consents go before the people who gave them.
CLASSES: Mapping[str, Purge] = {
    "access_record": _access_records,
    "access_passage": _passage_keys,
    "household_seen": _seen,
    "consent": _consents,
    "erasure_certificate": _certificates,
    **{f"evidence_{kind}": _evidence(kind) for kind in DESKS},
    "card": _cards,
    "person": _people,
    "login_session": _sessions,
    "roster_removal": _removals,
}
