"""What the builders of all rooms share, and the entries that no other room builds. Pure.

`docs/vouchers.md` lists every business event with its entry; a builder is held to its table by a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from backend.ledger.chart import Chart, Role
from backend.ledger.rules import Dimensions, Line, NewEntry, credit, debit, without_zeros

WRITTEN_OFF = "write_off"
RECOVERED = "recovery"
SUBSIDY_RECEIVED = "subsidy_received"
CASH_BANKED = "cash_banked"
REMITTED = "remittance"
PAID_ON = "paid_on"
BANK_CHARGED = "bank_charge"
BANK_INTEREST = "bank_interest"
FUNDED = "funding"
SUSPENSE_RECEIVED = "suspense_received"
SUSPENSE_RETURNED = "suspense_returned"
SUSPENSE_WAS_PAYOUT = "suspense_was_payout"
SUSPENSE_PAID = "suspense_paid"
SUSPENSE_CAME_BACK = "suspense_came_back"
MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class DueRoles:
    """The three accounts of something that is charged: owed to us, and owed on by us before and after."""

    receivable: Role
    uncollected: Role
    collected: Role


# What is charged, by the word of docs/vouchers.md.
DUES: Mapping[str, DueRoles] = {
    "rent": DueRoles(
        Role.RENT_RECEIVABLE, Role.RENT_FOR_TREASURY_UNCOLLECTED, Role.RENT_FOR_TREASURY_COLLECTED
    ),
    "late_fee": DueRoles(Role.LATE_FEE_RECEIVABLE, Role.LATE_FEE_UNCOLLECTED, Role.LATE_FEE_COLLECTED),
    "property_fee": DueRoles(
        Role.PROPERTY_FEE_RECEIVABLE, Role.PROPERTY_FEE_UNCOLLECTED, Role.PROPERTY_FEE_COLLECTED
    ),
    "utilities": DueRoles(Role.UTILITIES_RECEIVABLE, Role.UTILITIES_UNCOLLECTED, Role.UTILITIES_COLLECTED),
    "deposit": DueRoles(Role.DEPOSIT_RECEIVABLE, Role.DEPOSIT_UNCOLLECTED, Role.DEPOSIT),
    "damage": DueRoles(Role.DAMAGE_RECEIVABLE, Role.DAMAGE_UNCOLLECTED, Role.DAMAGE_COLLECTED),
}

# Who holds the money, by the provider that took it.
HELD_BY: Mapping[str, Role] = {
    "stripe": Role.HELD_BY_STRIPE,
    "wechat": Role.HELD_BY_WECHAT,
    "alipay": Role.HELD_BY_ALIPAY,
    "cash": Role.CASH,
    "bank": Role.BANK,
    "suspense": Role.SUSPENSE_RECEIVED,
}

# What the treasury and the companies are owed of what was collected, by the word of docs/vouchers.md.
FOR_TREASURY: Mapping[str, Role] = {
    "rent": Role.RENT_FOR_TREASURY_COLLECTED,
    "late_fee": Role.LATE_FEE_COLLECTED,
    "damage": Role.DAMAGE_COLLECTED,
    "interest": Role.INTEREST_FOR_TREASURY,
}
FOR_COMPANIES: Mapping[str, Role] = {
    "property_fee": Role.PROPERTY_FEE_COLLECTED,
    "utilities": Role.UTILITIES_COLLECTED,
}

# Events of one amount, between two accounts; None is the account of the one who holds the money.
_PAIRS: Mapping[str, tuple[str, Role | None, Role | None]] = {
    CASH_BANKED: ("现金缴存银行", Role.BANK, Role.CASH),
    BANK_CHARGED: ("银行手续费", Role.BANK_CHARGE, Role.BANK),
    BANK_INTEREST: ("银行利息", Role.BANK, Role.INTEREST_FOR_TREASURY),
    FUNDED: ("经费拨入", Role.BANK, Role.FUNDING),
    SUSPENSE_RECEIVED: ("待查收款", None, Role.SUSPENSE_RECEIVED),
    SUSPENSE_RETURNED: ("待查收款退回", Role.SUSPENSE_RECEIVED, Role.BANK),
    SUSPENSE_WAS_PAYOUT: ("待查收款确认为渠道打款", Role.SUSPENSE_RECEIVED, Role.PAYOUT_IN_TRANSIT),
    SUSPENSE_PAID: ("待查付款", Role.SUSPENSE_PAID, None),
    SUSPENSE_CAME_BACK: ("待查付款收回", Role.BANK, Role.SUSPENSE_PAID),
}
PAIR_KINDS = tuple(_PAIRS)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What every entry of one use case has in common."""

    book_id: str
    now: datetime
    on: date
    actor: str
    principal_id: UUID | None


def entry_of(occasion: Occasion, kind: str, key: str, summary_zh: str, lines: Iterable[Line]) -> NewEntry:
    """An entry of the occasion; nil lines are left out."""
    return NewEntry(
        book_id=occasion.book_id,
        event_kind=kind,
        event_key=key,
        effective_on=occasion.on,
        posted_at=occasion.now,
        summary_zh=summary_zh,
        lines=without_zeros(list(lines)),
        actor=occasion.actor,
        principal_id=occasion.principal_id,
    )


def raised(chart: Chart, about: Dimensions, due: str, fen: int) -> tuple[Line, Line]:
    """Something is owed to us, and by us once it is collected."""
    roles = DUES[due]
    return debit(chart.code(roles.receivable), fen, about), credit(chart.code(roles.uncollected), fen, about)


def dropped(chart: Chart, about: Dimensions, due: str, fen: int) -> tuple[Line, Line]:
    """Something that was not paid is owed no longer."""
    roles = DUES[due]
    return debit(chart.code(roles.uncollected), fen, about), credit(chart.code(roles.receivable), fen, about)


def paid(chart: Chart, about: Dimensions, due: str, fen: int) -> tuple[Line, Line, Line]:
    """Something that was owed is paid, and is now to be handed on; the money's own row is not here."""
    roles = DUES[due]
    return (
        credit(chart.code(roles.receivable), fen, about),
        debit(chart.code(roles.uncollected), fen, about),
        credit(chart.code(roles.collected), fen, about),
    )


def unpaid(chart: Chart, about: Dimensions, due: str, fen: int) -> tuple[Line, Line, Line]:
    """Something that was paid is owed again: what takes `paid` back."""
    receivable, uncollected, collected = (line.mirrored() for line in paid(chart, about, due, fen))
    return receivable, uncollected, collected


def write_off_entry(
    chart: Chart, occasion: Occasion, proposal_id: UUID, dues: Iterable[tuple[Dimensions, str, int]]
) -> NewEntry:
    """坏账核销: arrears are given up; `dues` are (about, word of the due, fen)."""
    lines = (line for about, due, fen in dues for line in dropped(chart, about, due, fen))
    return entry_of(occasion, WRITTEN_OFF, str(proposal_id), "坏账核销", lines)


def recovery_entry(
    chart: Chart,
    occasion: Occasion,
    proposal_id: UUID,
    receipt: str,
    dues: Iterable[tuple[Dimensions, str, int]],
) -> NewEntry:
    """核销收回: what was given up is owed again, for as much as came in."""
    lines = (line for about, due, fen in dues for line in raised(chart, about, due, fen))
    return entry_of(occasion, RECOVERED, f"{proposal_id}:{receipt}", f"已核销欠费收回（{receipt}）", lines)


def remittance_entry(
    chart: Chart, occasion: Occasion, order_no: str, about: Dimensions, parts: Mapping[str, int]
) -> NewEntry:
    """缴库: collected money goes to the treasury.

    Args:
        order_no: the number of the 缴款书.
        parts: fen by word of `FOR_TREASURY`.
    """
    lines = _handed_over(chart, about, FOR_TREASURY, parts)
    return entry_of(occasion, REMITTED, order_no, f"缴库，缴款书 {order_no}", lines)


def paid_on_entry(
    chart: Chart, occasion: Occasion, order_no: str, about: Dimensions, parts: Mapping[str, int]
) -> NewEntry:
    """代收款转付: companies get what was collected for them; `parts` by word of `FOR_COMPANIES`."""
    lines = _handed_over(chart, about, FOR_COMPANIES, parts)
    return entry_of(occasion, PAID_ON, order_no, f"代收款转付，付款单 {order_no}", lines)


def subsidy_received_entry(
    chart: Chart, occasion: Occasion, bank_ref: str, about: Dimensions, fen: int
) -> NewEntry:
    """收到租金补贴资金: the fund pays what it took over of the rents."""
    lines = [
        debit(chart.code(Role.BANK), fen, about),
        credit(chart.code(Role.SUBSIDY_RECEIVABLE), fen, about),
        debit(chart.code(Role.RENT_FOR_TREASURY_UNCOLLECTED), fen, about),
        credit(chart.code(Role.RENT_FOR_TREASURY_COLLECTED), fen, about),
    ]
    return entry_of(occasion, SUBSIDY_RECEIVED, bank_ref, "收到租金补贴资金", lines)


def pair_entry(
    chart: Chart, occasion: Occasion, kind: str, key: str, about: Dimensions, fen: int, holder: str = "bank"
) -> NewEntry:
    """An event of one amount between two accounts.

    Args:
        kind: one of `PAIR_KINDS`.
        holder: who holds the money (a word of `HELD_BY`), where the table says `channel`.
    """
    summary_zh, debited, credited = _PAIRS[kind]
    held = HELD_BY[holder]
    lines = [
        debit(chart.code(debited or held), fen, about),
        credit(chart.code(credited or held), fen, about),
    ]
    return entry_of(occasion, kind, key, f"{summary_zh} {key}", lines)


def manual_entry(occasion: Occasion, proposal_id: UUID, summary_zh: str, lines: Iterable[Line]) -> NewEntry:
    """手工凭证: exactly what two people agreed on."""
    return entry_of(occasion, MANUAL, str(proposal_id), summary_zh, lines)


def _handed_over(
    chart: Chart, about: Dimensions, roles: Mapping[str, Role], parts: Mapping[str, int]
) -> Iterable[Line]:
    for word, fen in parts.items():
        yield debit(chart.code(roles[word]), fen, about)
    yield credit(chart.code(Role.BANK), sum(parts.values()), about)
