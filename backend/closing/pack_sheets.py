"""The workbooks of a close pack: the reports of the month, and how it was reconciled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple

from sqlalchemy import Connection

from backend.closing.records import Assertion, BookMonth, Share
from backend.closing.report_specs import (
    AGEING,
    CASH_BOOK,
    COLLECTION,
    GENERAL_LEDGER,
    HOUSEHOLD_LEDGER,
    OPEN_ITEMS,
    REMITTANCES,
    SHOULD_ACTUAL_OWED,
    TRIAL_BALANCE,
)
from backend.closing.reports import Query, ReportSpec, sheet_of
from backend.documents.columns import Cell, Column, Kind, Sheet

REPORT_FILES: Mapping[str, tuple[ReportSpec, ...]] = {
    "trial-balance.xlsx": (TRIAL_BALANCE,),
    "general-ledger.xlsx": (GENERAL_LEDGER,),
    "household-ledger.xlsx": (HOUSEHOLD_LEDGER,),
    "cash-book.xlsx": (CASH_BOOK,),
    "remittances.xlsx": (REMITTANCES,),
    "should-actual-owed.xlsx": (SHOULD_ACTUAL_OWED,),
    "ageing.xlsx": (AGEING, OPEN_ITEMS),
    "collection.xlsx": (COLLECTION,),
}
RECONCILIATION = "reconciliation.xlsx"
STATEMENT_COLUMNS = (
    Column("科目编码", width=10),
    Column("来源"),
    Column("日期", Kind.DATE),
    Column("对方余额", Kind.YUAN),
    Column("依据", width=50),
)
DAY_COLUMNS = (
    Column("账户", width=24),
    Column("日期", Kind.DATE),
    Column("状态", width=14),
    Column("对方笔数", Kind.WHOLE, total=True),
    Column("对方金额", Kind.YUAN, total=True),
    Column("账面笔数", Kind.WHOLE, total=True),
    Column("账面金额", Kind.YUAN, total=True),
    Column("已核对", Kind.WHOLE, total=True),
    Column("待核对", Kind.WHOLE, total=True),
    Column("差异", Kind.WHOLE, total=True),
)
CASE_COLUMNS = (
    Column("编号", Kind.WHOLE),
    Column("账户", width=24),
    Column("类型"),
    Column("方向"),
    Column("日期", Kind.DATE),
    Column("差额", Kind.YUAN, total=True),
    Column("结案日期", Kind.DATE),
    Column("结案说明", width=40),
)

SHARE_COLUMNS = (
    Column("账户", width=24),
    Column("科目编码", width=10),
    Column("来源"),
    Column("日期", Kind.DATE),
    Column("对方余额", Kind.YUAN),
    Column("依据", width=40),
    Column("账簿", width=18),
    Column("该账簿余额", Kind.YUAN),
    Column("链上编号", Kind.WHOLE),
    Column("链头", width=66),
    Column("差额", Kind.YUAN),
)


def report_sheets(
    connection: Connection, specs: Iterable[ReportSpec], query: Query, heading: str
) -> Iterable[Sheet]:
    """Each report as a sheet, read while it is written."""
    for spec in specs:
        yield sheet_of(connection, spec, query, (heading,))


def reconciliation_sheets(
    assertions: Sequence[Assertion],
    days: Sequence[tuple[Cell, ...]],
    cases: Sequence[tuple[Cell, ...]],
    shares: Sequence[Share],
    heading: str,
) -> list[Sheet]:
    """What the other side says, day by day, and where it did not fit."""
    said = [(a.account_code, a.source, a.on, a.balance_fen, a.reference) for a in assertions]
    return [
        Sheet("对账单余额", STATEMENT_COLUMNS, said, (heading,)),
        Sheet("逐日对账", DAY_COLUMNS, days, (heading,)),
        Sheet("差异", CASE_COLUMNS, cases, (heading,)),
        Sheet("共用账户", SHARE_COLUMNS, [astuple(one) for one in shares], (heading,)),
    ]


def heading_of(book: BookMonth) -> str:
    """The line above each table."""
    return f"{book.name_zh}（{book.book_id}） {book.month}"
