"""Asks the provider for the last word on refunds and disputes whose answer or whose notice was lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine, Row, Table, select, text, update

from backend.payments import disputes, refunds
from backend.payments.money_back_tables import dispute, refund
from backend.payments.port import DisputeDesk, Provider, ProviderRefusedError, ProviderUnavailableError
from backend.payments.providers import Providers

AT_ONCE = 20
LEASE = timedelta(seconds=120)
CHECK_EVERY_MAX = timedelta(hours=6)
FIRST_WAIT = timedelta(minutes=5)

log = structlog.get_logger()


def sweep_money_back(engine: Engine, providers: Providers, now: datetime) -> int:
    """Look after the refunds and disputes that are due for it; returns how many."""

    def ask_refund(row: Row[Any]) -> None:
        if row.state == "asked":
            refunds.ask_provider(engine, providers, row, now)
        else:
            told = providers.get(row.provider).refund_status(row.provider_ref)
            refunds.take_word(engine, row.provider, told, now)

    def ask_dispute(row: Row[Any]) -> None:
        desk: Provider = providers.get(row.provider)
        if isinstance(desk, DisputeDesk):
            disputes.take_word(engine, row.provider, desk.dispute_status(row.provider_ref), now)

    done = _each(engine, refund, now, ask_refund)
    return done + _each(engine, dispute, now, ask_dispute)


def _each(engine: Engine, table: Table, now: datetime, ask: Callable[[Row[Any]], None]) -> int:
    key = next(iter(table.primary_key.columns))
    with engine.begin() as connection:
        claimed = (
            connection.execute(
                text(
                    f"UPDATE {table.name} SET checks = checks + 1, next_check_at = :until WHERE {key.name} IN"  # noqa: S608
                    f" (SELECT {key.name} FROM {table.name} WHERE next_check_at <= :now"
                    " ORDER BY next_check_at LIMIT :most FOR UPDATE SKIP LOCKED)"
                    f" RETURNING {key.name}"
                ),
                {"now": now, "until": now + LEASE, "most": AT_ONCE},
            )
            .scalars()
            .all()
        )
        rows = connection.execute(select(table).where(key.in_(claimed)).order_by(key)).all()
    for row in rows:
        try:
            ask(row)
        except (ProviderUnavailableError, ProviderRefusedError) as error:
            log.warning("money_back_not_checked", what=table.name, reason=error.reason)
        except Exception:
            log.exception("money_back_check_failed", what=table.name)
        wait = min(FIRST_WAIT * 2 ** min(row.checks, 10), CHECK_EVERY_MAX)
        with engine.begin() as connection:
            # Only what is still open: the last word takes the question away.
            connection.execute(
                update(table)
                .where(key == row[0], table.c.next_check_at == now + LEASE)
                .values(next_check_at=now + wait)
            )
    return len(rows)
