"""Attempt counters in PostgreSQL, shared by all web processes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, case, delete, update
from sqlalchemy.dialects.postgresql import insert

from backend.identity.tables import rate_limit


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `hits_max` attempts of one subject in a window that starts with the first of them."""

    bucket: str
    hits_max: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Charged:
    """What a counter says after an attempt was counted.

    Attributes:
        hits: attempts in the window, this one included.
        retry_after_s: until the window ends; 0 while attempts are left.
    """

    hits: int
    retry_after_s: int


def charge(connection: Connection, limit: Limit, subject: str, now: datetime) -> Charged:
    """Count one attempt and say whether it is one too many.

    Commit it before the attempt is looked at: counted afterwards, parallel attempts would all pass.
    """
    over = rate_limit.c.window_started_at <= bindparam("began_before")
    row = (
        insert(rate_limit)
        .values(bucket=limit.bucket, subject_sha256=_digest(subject), window_started_at=now, hits=1)
        .on_conflict_do_update(
            index_elements=["bucket", "subject_sha256"],
            set_={
                "window_started_at": case((over, now), else_=rate_limit.c.window_started_at),
                "hits": case((over, 1), else_=rate_limit.c.hits + 1),
            },
        )
        .returning(rate_limit.c.hits, rate_limit.c.window_started_at)
    )
    hits, started_at = connection.execute(row, {"began_before": now - limit.window}).one()
    if hits <= limit.hits_max:
        return Charged(hits, 0)
    left = started_at + limit.window - now
    return Charged(hits, max(1, int(left.total_seconds()) + 1))


def refund(connection: Connection, limit: Limit, subject: str, *, whole: bool = False) -> None:
    """Take back an attempt that succeeded; `whole` forgets the earlier failures as well."""
    hits = 0 if whole else rate_limit.c.hits - 1
    connection.execute(
        update(rate_limit)
        .where(rate_limit.c.bucket == limit.bucket, rate_limit.c.subject_sha256 == _digest(subject))
        .where(rate_limit.c.hits > 0)
        .values(hits=hits)
    )


def forget_old(connection: Connection, limit: Limit, now: datetime) -> None:
    """Drop counters whose window has passed."""
    connection.execute(
        delete(rate_limit).where(
            rate_limit.c.bucket == limit.bucket, rate_limit.c.window_started_at <= now - limit.window
        )
    )


def _digest(subject: str) -> bytes:
    return hashlib.sha256(subject.encode()).digest()
