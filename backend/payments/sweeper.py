"""Asks the provider for what it never told us: checkouts whose answer or whose notice was lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine, Row, text, update

from backend.payments.checkouts import FIRST_CHECK_AFTER, ask_provider
from backend.payments.port import CheckoutState, Provider, ProviderRefusedError, ProviderUnavailableError
from backend.payments.settings import PaymentRules
from backend.payments.settlement import DEFAULTS, NotOurs, settle
from backend.payments.tables import checkout

SWEEP_AT_ONCE = 20
LEASE = timedelta(seconds=120)
CHECK_EVERY_MAX = timedelta(hours=1)

log = structlog.get_logger()

_CLAIM = text("""
    UPDATE checkout SET checks = checks + 1, next_check_at = :until
    WHERE checkout_id IN (
        SELECT checkout_id FROM checkout WHERE provider = :provider AND next_check_at <= :now
        ORDER BY next_check_at, checkout_id LIMIT :most FOR UPDATE SKIP LOCKED
    )
    RETURNING *
""")


def sweep(
    engine: Engine,
    provider: Provider,
    now: datetime,
    most: int | None = None,
    rules: PaymentRules = DEFAULTS,
) -> int:
    """Look after the checkouts that are due for it, all or about `most` of them; returns how many."""
    done = 0
    while (most is None or done < most) and (rows := _claimed(engine, provider.name, now)):
        for row in rows:
            _look_after(engine, provider, row, now, rules)
        done += len(rows)
    return done


def _claimed(engine: Engine, provider: str, now: datetime) -> Sequence[Row[Any]]:
    with engine.begin() as connection:
        return connection.execute(
            _CLAIM, {"provider": provider, "now": now, "until": now + LEASE, "most": SWEEP_AT_ONCE}
        ).all()


def _look_after(
    engine: Engine, provider: Provider, row: Row[Any], now: datetime, rules: PaymentRules
) -> None:
    """One checkout; a failure of any kind leaves it due again later and never stops the others."""
    try:
        if row.provider_ref is None:
            _ask_again(engine, provider, row, now)
        else:
            _check(engine, provider, row, now, rules)
    except (ProviderUnavailableError, ProviderRefusedError) as error:
        log.warning("checkout_not_checked", checkout_id=str(row.checkout_id), reason=error.reason)
        _next(engine, row, now)
    except Exception:
        log.exception("checkout_check_failed", checkout_id=str(row.checkout_id))
        _next(engine, row, now)


def _ask_again(engine: Engine, provider: Provider, row: Row[Any], now: datetime) -> None:
    if now < row.expires_at:
        ask_provider(engine, provider, row, now)
        return
    # Its page was never given to anybody, and by now it would be closed.
    with engine.begin() as connection:
        connection.execute(
            update(checkout)
            .where(checkout.c.checkout_id == row.checkout_id, checkout.c.state == CheckoutState.ASKED.value)
            .values(state=CheckoutState.EXPIRED.value, next_check_at=None)
        )


def _check(engine: Engine, provider: Provider, row: Row[Any], now: datetime, rules: PaymentRules) -> None:
    status = provider.status(row.provider_ref)
    with engine.begin() as connection:
        outcome = settle(connection, provider.name, status, now, rules)
        if isinstance(outcome, NotOurs):
            log.error("checkout_not_settled", checkout_id=str(row.checkout_id), reason=outcome.reason)
            connection.execute(
                update(checkout)
                .where(checkout.c.checkout_id == row.checkout_id)
                .values(reason=outcome.reason)
            )
    _next(engine, row, now)


def _next(engine: Engine, row: Row[Any], now: datetime) -> None:
    """Look again after twice as long, unless it has ended meanwhile."""
    wait = min(FIRST_CHECK_AFTER * 2 ** min(row.checks, 10), CHECK_EVERY_MAX)
    with engine.begin() as connection:
        connection.execute(
            update(checkout)
            .where(checkout.c.checkout_id == row.checkout_id, checkout.c.next_check_at.is_not(None))
            .values(next_check_at=now + wait)
        )
