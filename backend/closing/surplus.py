"""期末结转: what the month's income and expense leave goes to the surplus. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from backend.closing.records import Account, Month
from backend.ledger.chart import Chart, Role
from backend.ledger.rules import Dimensions, Line, NewEntry, credit, debit

PERIOD_CLOSE = "period_close"
CARRIED_KINDS = ("income", "expense")


def closing_entry(
    chart: Chart,
    accounts: Iterable[Account],
    balances_fen: Mapping[str, int],
    book_id: str,
    estate_id: str | None,
    month: Month,
    number: int,
    now: datetime,
    actor: str,
    principal_id: UUID,
) -> NewEntry | None:
    """The entry that empties income and expense; None where they are empty.

    Args:
        balances_fen: debit less credit of each account at the end of the month.
        number: counts the closes of the month.
    """
    surplus, about = chart.code(Role.SURPLUS), Dimensions(estate_id)
    lines: list[Line] = []
    for account in accounts:
        fen = balances_fen.get(account.code, 0)
        if account.kind in CARRIED_KINDS and fen < 0:
            lines += [debit(account.code, -fen, about), credit(surplus, -fen, about)]
        elif account.kind in CARRIED_KINDS and fen > 0:
            lines += [debit(surplus, fen, about), credit(account.code, fen, about)]
    if not lines:
        return None
    return NewEntry(
        book_id=book_id,
        event_kind=PERIOD_CLOSE,
        event_key=f"{month}:{number}",
        effective_on=month.last_on,
        posted_at=now,
        summary_zh=f"{month} 期末结转",
        lines=tuple(lines),
        actor=actor,
        principal_id=principal_id,
    )
