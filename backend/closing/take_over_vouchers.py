"""The opening entries, as `docs/vouchers.md` lists them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from uuid import UUID

from backend.ledger.chart import Chart, Role
from backend.ledger.rules import Dimensions, NewEntry, credit, debit
from backend.ledger.vouchers import Occasion, entry_of, raised
from backend.rent.allocation import DUE_OF
from backend.rent.rules import LineKind

OPENING_ARREARS = "opening_arrears"
OPENING_BALANCE = "opening_balance"
_HELD: Mapping[str, Role] = {
    "bank": Role.BANK,
    "cash": Role.CASH,
    "stripe": Role.HELD_BY_STRIPE,
    "wechat": Role.HELD_BY_WECHAT,
    "alipay": Role.HELD_BY_ALIPAY,
}
_OWED: Mapping[str, Role] = {
    "prepaid": Role.PREPAID_RENT,
    "deposit": Role.DEPOSIT,
    "rent_unremitted": Role.RENT_FOR_TREASURY_COLLECTED,
    "late_fee_unremitted": Role.LATE_FEE_COLLECTED,
    "damage_unremitted": Role.DAMAGE_COLLECTED,
    "property_fee_unpaid": Role.PROPERTY_FEE_COLLECTED,
    "utilities_unpaid": Role.UTILITIES_COLLECTED,
}


def opening_arrears_entry(
    chart: Chart,
    occasion: Occasion,
    tenancy_id: UUID,
    month: date,
    about: Dimensions,
    items: Iterable[tuple[LineKind, int]],
) -> NewEntry:
    """期初欠费: what a tenancy owes of one month."""
    lines = (line for item, fen in items for line in raised(chart, about, DUE_OF[item].value, fen))
    key = f"{tenancy_id}:{month:%Y-%m}"
    return entry_of(occasion, OPENING_ARREARS, key, f"期初欠费 {month:%Y年%m月}", lines)


def opening_balance_entry(
    chart: Chart, occasion: Occasion, key: str, summary_zh: str, about: Dimensions, amounts: Mapping[str, int]
) -> NewEntry:
    """期初余额: money, and what it is owed for; `amounts` by the words of the table."""
    opening = chart.code(Role.OPENING)
    held = [debit(chart.code(role), amounts.get(word, 0), about) for word, role in _HELD.items()]
    owed = [credit(chart.code(role), amounts.get(word, 0), about) for word, role in _OWED.items()]
    lines = [
        *held,
        credit(opening, sum(line.debit_fen for line in held), about),
        debit(opening, sum(line.credit_fen for line in owed), about),
        *owed,
    ]
    return entry_of(occasion, OPENING_BALANCE, key, summary_zh, lines)
