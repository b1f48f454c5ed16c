"""Receipt, statement and demand as PDF, the statement as a workbook; the templates are in `documents/`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Connection, cast, func, select

from backend.documents.columns import Column, Kind, Sheet
from backend.documents.pdf import qr_svg, render
from backend.documents.workbook import workbook_bytes
from backend.registry import tables as registry
from backend.registry.rules import BEIJING, local_day
from backend.rent.account_book import AccountBook, account_book, unit_of
from backend.rent.allocation import Due
from backend.rent.capitals import capital_zh
from backend.rent.dunning_tables import dunning_case, dunning_step
from backend.rent.errors import DemandUnknownError, ReceiptUnknownError
from backend.rent.fiscal import left_of, live_number, token_of
from backend.rent.tables import payment, payment_allocation, rent_charge
from backend.rent.vouchers import CHANNELS_ZH

DUES_ZH = {
    Due.RENT: "租金",
    Due.LATE_FEE: "滞纳金",
    Due.PROPERTY_FEE: "物业费",
    Due.UTILITIES: "水电燃气费",
    Due.DEPOSIT: "押金",
    Due.DAMAGE: "赔偿及其他",
}


@dataclass(frozen=True, slots=True)
class Office:
    """Who issues papers, where receipts are checked, and where the fonts are."""

    issuer_zh: str
    contact_zh: str
    public_url: str
    font_folder: Path


def receipt_pdf(connection: Connection, receipt_number: str, office: Office, now: datetime) -> bytes:
    """The receipt of a payment; the same bytes each time, as long as what it says is the same.

    Raises:
        ReceiptUnknownError, FontMissingError
    """
    row = connection.execute(select(payment).where(payment.c.receipt_number == receipt_number)).one_or_none()
    if row is None:
        raise ReceiptUnknownError
    token = token_of(connection, row.payment_id, now)
    fiscal = live_number(connection, row.payment_id)
    left_fen = left_of(connection, [row.payment_id])[row.payment_id]
    url = f"{office.public_url}/r/{token}"
    data: dict[str, Any] = {
        "title": "收款收据",
        "issuer": office.issuer_zh,
        "number": row.receipt_number,
        "fiscal_number": fiscal.number if fiscal else "待开具",
        "paid_on": _day(local_day(row.paid_at)),
        "channel": CHANNELS_ZH.get(row.channel, row.channel),
        "unit": unit_of(connection, row.household_id),
        "household": _ref(connection, row.household_id),
        "rows": _receipt_rows(connection, row.payment_id, row.amount_fen),
        "amount": yuan(row.amount_fen),
        "amount_words": capital_zh(row.amount_fen),
        "cancelled": _gone(row.amount_fen, left_fen),
        "qr": qr_svg(url),
        "verify_url": url,
    }
    return render(template("receipt.typ"), data, row.paid_at, office.font_folder)


def statement_pdf(connection: Connection, household_id: UUID, office: Office, now: datetime) -> bytes:
    """The household's account as a paper.

    Raises:
        HouseholdUnknownError, FontMissingError
    """
    book = account_book(connection, household_id)
    data = {
        "title": "分户账",
        "issuer": office.issuer_zh,
        "household": book.household_ref,
        "unit": book.unit_zh,
        "printed_on": _day(local_day(now)),
        "rows": [
            {
                "on": one.on.isoformat(),
                "words": one.words_zh,
                "charged": yuan(one.charged_fen) if one.charged_fen else "",
                "paid": yuan(one.paid_fen) if one.paid_fen else "",
                "balance": yuan(one.balance_fen),
            }
            for one in book.movements
        ],
        "charged": yuan(book.charged_fen),
        "paid": yuan(book.paid_fen),
        "balance": yuan(book.balance_fen),
    }
    return render(template("statement.typ"), data, now, office.font_folder)


def statement_workbook(book: AccountBook) -> bytes:
    """The household's account for Excel."""
    columns = (
        Column("日期", Kind.DATE),
        Column("摘要", Kind.TEXT),
        Column("应收", Kind.YUAN, total=True),
        Column("实收", Kind.YUAN, total=True),
        Column("余额", Kind.YUAN),
    )
    rows = ((one.on, one.words_zh, one.charged_fen, one.paid_fen, one.balance_fen) for one in book.movements)
    heading = (f"分户账 {book.household_ref} {book.unit_zh}",)
    return workbook_bytes([Sheet("分户账", columns, rows, heading=heading)])


def demand_pdf(connection: Connection, case_id: UUID, office: Office) -> bytes:
    """The written demand of a case, with what was owed on its day and its deadline.

    Raises:
        DemandUnknownError, FontMissingError
    """
    row = connection.execute(
        select(dunning_step, dunning_case.c.household_id)
        .join(dunning_case, dunning_case.c.case_id == dunning_step.c.case_id)
        .where(dunning_step.c.case_id == case_id, dunning_step.c.kind == "demand")
    ).first()
    if row is None:
        raise DemandUnknownError
    data = {
        "title": "书面催缴通知",
        "issuer": office.issuer_zh,
        "contact": office.contact_zh,
        "unit": unit_of(connection, row.household_id),
        "household": _ref(connection, row.household_id),
        "taken_on": _day(row.taken_on),
        "deadline_on": _day(row.deadline_on),
        "rows": [
            {"month": one["month"], "due_on": one["due_on"], "amount": yuan(one["owed_fen"])}
            for one in row.months
        ],
        "others": yuan(row.owed_fen - sum(one["owed_fen"] for one in row.months)),
        "amount": yuan(row.owed_fen),
        "amount_words": capital_zh(row.owed_fen),
    }
    made_at = datetime.combine(row.taken_on, time(), BEIJING).astimezone(UTC)
    return render(template("demand.typ"), data, made_at, office.font_folder)


def template(name: str) -> Path:
    """A template that comes with the software."""
    with resources.as_file(resources.files("backend.rent") / "documents" / name) as path:
        return path


def yuan(amount_fen: int) -> str:
    """`123450` as `1,234.50`."""
    whole, fen = divmod(abs(amount_fen), 100)
    return f"{'-' if amount_fen < 0 else ''}{whole:,}.{fen:02d}"


def _receipt_rows(connection: Connection, payment_id: UUID, amount_fen: int) -> list[dict[str, str]]:
    total = cast(func.sum(payment_allocation.c.amount_fen), BigInteger)
    rows = connection.execute(
        select(rent_charge.c.month, payment_allocation.c.due, total.label("fen"))
        .join(rent_charge, rent_charge.c.charge_id == payment_allocation.c.charge_id)
        .where(payment_allocation.c.payment_id == payment_id)
        .group_by(rent_charge.c.month, payment_allocation.c.due)
        .having(total > 0)
        .order_by(rent_charge.c.month)
    ).all()
    order = list(Due)
    found = [
        {"item": DUES_ZH[Due(row.due)], "month": f"{row.month:%Y年%m月}", "amount": yuan(row.fen)}
        for row in sorted(rows, key=lambda row: (row.month, order.index(Due(row.due))))
    ]
    ahead = amount_fen - sum(row.fen for row in rows)
    if ahead > 0:
        found.append({"item": "预存或已退回", "month": "", "amount": yuan(ahead)})
    return found


def _gone(amount_fen: int, left_fen: int) -> str | None:
    if left_fen == amount_fen:
        return None
    return "本收据已冲红作废" if left_fen == 0 else f"已退回 {yuan(amount_fen - left_fen)} 元"


def _ref(connection: Connection, household_id: UUID) -> str:
    ref: str = connection.execute(
        select(registry.household.c.ref).where(registry.household.c.household_id == household_id)
    ).scalar_one()
    return ref


def _day(day: Any) -> str:
    return f"{day.year}年{day.month}月{day.day}日"
