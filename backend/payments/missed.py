"""Notices that never arrived: a provider that keeps what it sent is asked for it, and it goes the usual way.

Checkouts and known refunds are asked for one by one. A dispute, or a refund that somebody made in the
provider's own pages, is known from its notice alone; without this, a lost one would never be in the books.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import Engine, func, select
from sqlalchemy.dialects.postgresql import insert

from backend.payments.port import NoticeLog, Provider, ProviderRefusedError, ProviderUnavailableError
from backend.payments.providers import Providers
from backend.payments.tables import provider_notice

ASK_EVERY = timedelta(hours=1)
# Providers try to deliver for three days: what is older than that before their last answer came, or was asked
# for. Whoever knows of no answer asks for all that is kept.
LOOK_BACK, LOOK_BACK_AT_START = timedelta(days=4), timedelta(days=30)
AT_ONCE = 500

log = structlog.get_logger()


def ask_missed(engine: Engine, provider: Provider, since: datetime, now: datetime) -> int:
    """Keep the notices of a provider since then that are not kept yet; returns how many.

    Raises:
        ProviderUnavailableError, ProviderRefusedError
    """
    if not isinstance(provider, NoticeLog):
        return 0
    found = [
        {
            "provider": provider.name,
            "event_id": event_id,
            "body": raw,
            "received_at": now,
            "state": "waiting",
            "attempts": 0,
            "next_try_at": now,
        }
        for event_id, raw in provider.notices_since(since)
    ]
    new = 0
    for first in range(0, len(found), AT_ONCE):
        with engine.begin() as connection:
            kept = connection.execute(
                insert(provider_notice)
                .on_conflict_do_nothing(
                    index_elements=[provider_notice.c.provider, provider_notice.c.event_id]
                )
                .returning(provider_notice.c.notice_id),
                found[first : first + AT_ONCE],
            )
            new += len(kept.all())
            connection.execute(select(func.pg_notify("provider_notice", "")))
    return new


class MissedNotices:
    """Asks every provider once an hour; after a start, as far back as providers keep their notices."""

    def __init__(self, engine: Engine, providers: Providers) -> None:
        self._engine, self._providers = engine, providers
        self._asked_at: dict[str, datetime] = {}

    def __call__(self, now: datetime) -> int:
        """Ask those that are due; returns how many notices were missing."""
        return sum(
            self._ask(provider, now) for provider in self._providers.all() if self._is_due(provider, now)
        )

    def _is_due(self, provider: Provider, now: datetime) -> bool:
        asked_at = self._asked_at.get(provider.name)
        return asked_at is None or now - asked_at >= ASK_EVERY

    def _ask(self, provider: Provider, now: datetime) -> int:
        asked_at = self._asked_at.get(provider.name)
        since = now - LOOK_BACK_AT_START if asked_at is None else asked_at - LOOK_BACK
        try:
            missing = ask_missed(self._engine, provider, since, now)
        except (ProviderUnavailableError, ProviderRefusedError) as error:
            log.warning("missed_notices_not_asked", provider=provider.name, reason=error.reason)
            return 0
        self._asked_at[provider.name] = now
        if missing:
            log.warning("notices_had_not_arrived", provider=provider.name, notices=missing)
        return missing
