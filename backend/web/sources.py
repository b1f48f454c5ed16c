"""What an entry was made from: the charge with its lines, or the payment and what it paid for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, select

from backend.ledger.service import EntryView
from backend.registry.tables import building, unit
from backend.rent.rules import read_month
from backend.rent.tables import rent_charge, rent_charge_line
from backend.web import words
from backend.web.receipts import Receipt, by_entry, by_id, read_receipt
from backend.web.rent_view import LINES_EN, method_zh


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known about the source."""

    zh: str
    en: str
    value: str


@dataclass(frozen=True, slots=True)
class Amount:
    """One figure that the source is made of; relief and subsidies are negative."""

    zh: str
    en: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Source:
    """A business event as its own records tell it.

    Attributes:
        household_id: whose it is, for the audit log; None where it is nobody's.
    """

    zh: str
    en: str
    facts: tuple[Fact, ...]
    amounts: tuple[Amount, ...]
    household_id: UUID | None


def source_of(connection: Connection, entry: EntryView) -> Source | None:
    """The source of an entry; None for a kind of event that has no records here."""
    read = _READERS.get(entry.event_kind)
    return read(connection, entry) if read is not None else None


def _charge(connection: Connection, entry: EntryView) -> Source | None:
    tenancy_id, month, revision = entry.event_key.split(":")
    charge = connection.execute(
        select(rent_charge, building.c.name_zh, unit.c.number)
        .join(unit, unit.c.unit_id == rent_charge.c.unit_id)
        .join(
            building,
            (building.c.estate_id == unit.c.estate_id) & (building.c.building_id == unit.c.building_id),
        )
        .where(
            rent_charge.c.tenancy_id == UUID(tenancy_id),
            rent_charge.c.month == read_month(month),
            rent_charge.c.revision == int(revision),
        )
    ).one_or_none()
    if charge is None:
        return None
    lines = connection.execute(
        select(rent_charge_line)
        .where(rent_charge_line.c.charge_id == charge.charge_id)
        .order_by(rent_charge_line.c.line_no)
    )
    return Source(
        "租金应收",
        "Rent charge",
        (
            Fact("房源", "Unit", f"{charge.name_zh} {charge.number}"),
            Fact("月份", "Month", words.month_zh(charge.month)),
            Fact("交费日", "Due", words.day_zh(charge.due_on)),
            Fact("应收编号", "Charge", words.short_id(charge.charge_id)),
        ),
        tuple(Amount(row.label_zh, LINES_EN.get(row.kind, row.kind), row.amount_fen) for row in lines),
        charge.household_id,
    )


def _payment(connection: Connection, entry: EntryView) -> Source | None:
    return _receipt_source(read_receipt(connection, by_entry(entry.entry_id)))


def _prepaid(connection: Connection, entry: EntryView) -> Source | None:
    payment_id, _, _ = entry.event_key.partition(":")
    return _receipt_source(read_receipt(connection, by_id(UUID(payment_id))))


def _receipt_source(receipt: Receipt | None) -> Source | None:
    if receipt is None:
        return None
    amounts = [
        Amount(
            f"抵{words.month_zh(part.month)}房租", f"towards {words.month_en(part.month)}", part.amount_fen
        )
        for part in receipt.parts
    ]
    if receipt.in_advance_fen:
        amounts.append(Amount("预收，尚未抵用", "in advance, not used yet", receipt.in_advance_fen))
    return Source(
        "收款",
        "Payment",
        (
            Fact("收据号", "Receipt", receipt.receipt_number),
            Fact("付款时间", "Paid at", words.moment_zh(receipt.paid_at)),
            Fact("方式", "Method", method_zh(receipt.channel)),
            Fact("渠道", "Provider", receipt.provider),
            Fact("渠道单号", "Provider's number", receipt.provider_ref),
        ),
        tuple(amounts),
        receipt.household_id,
    )


_READERS: Mapping[str, Callable[[Connection, EntryView], Source | None]] = {
    "rent_charge": _charge,
    "payment": _payment,
    "prepaid_use": _prepaid,
}
