"""The printed part of a close pack: summaries, reconciliation, and the sheet that two people sign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from sqlalchemy import Connection

from backend.closing import templates
from backend.closing.pack import PackContent
from backend.closing.pack_sheets import CASE_COLUMNS, DAY_COLUMNS, SHARE_COLUMNS, STATEMENT_COLUMNS
from backend.closing.report_specs import COLLECTION, ESTATES, REMITTANCES, TRIAL_BALANCE
from backend.closing.reports import Query, ReportSpec, read_page
from backend.documents import pdf
from backend.documents.columns import Cell, Column, Kind, total_row, written

# Longer tables are in the workbooks; paper is for what is read.
ROWS_MAX = 400
SUMMARIES = (TRIAL_BALANCE, ESTATES, COLLECTION, REMITTANCES)


@dataclass(frozen=True, slots=True)
class CloseFacts:
    """What the close sheet says besides figures.

    Attributes:
        despite: what was open when the month was closed all the same, with the reason.
    """

    closed_by: str
    despite: tuple[str, ...]
    reason: str


def documents(
    connection: Connection, query: Query, content: PackContent, facts: CloseFacts
) -> dict[str, bytes]:
    """The pack's PDF files, by name."""
    summaries = [_report(connection, spec, query) for spec in SUMMARIES]
    tables = {
        "summary.pdf": ("结账汇总", summaries, True),
        "reconciliation.pdf": ("对账报告", _reconciliation(content), True),
    }
    made = {
        name: _render(templates.TABLES, content, title, found, wide=wide, facts=_facts(content))
        for name, (title, found, wide) in tables.items()
    }
    made["close-sheet.pdf"] = _render(
        templates.CLOSE_SHEET,
        content,
        "结账单 Close sheet",
        [summaries[0]],
        wide=False,
        facts=[*_facts(content), *_despite(facts)],
        closed_by=facts.closed_by,
    )
    return made


def _render(
    template: str,
    content: PackContent,
    title: str,
    tables: Sequence[Mapping[str, Any]],
    *,
    wide: bool,
    facts: Sequence[Sequence[str]],
    closed_by: str = "",
) -> bytes:
    book, chain = content.book, content.chain
    data = {
        "title": title,
        "subtitle": f"{book.name_zh}（{book.book_id}） {book.month}",
        "foot": f"{book.book_id} {book.month} · {chain.head_hash[:16]}",
        "wide": wide,
        "facts": facts,
        "tables": tables,
        "closed_by": closed_by,
        "sequence": str(chain.head_sequence),
        # In groups of eight, so that it can be read aloud and compared.
        "head": " ".join(chain.head_hash[place : place + 8] for place in range(0, 64, 8)),
    }
    return pdf.render(template, data, content.closed_at)


def _facts(content: PackContent) -> list[list[str]]:
    inside = sum(1 for entry in content.entries if entry.effective_on in content.book.month)
    return [
        ["账簿 Book", f"{content.book.name_zh}（{content.book.book_id}）"],
        ["月份 Month", str(content.book.month)],
        ["凭证 Entries", str(inside)],
        ["结账时间 Closed at", written(Column("", Kind.MOMENT), content.closed_at)],
        ["上月链头 Head of the month before", content.chain.previous_head or "—"],
    ]


def _despite(facts: CloseFacts) -> list[list[str]]:
    if not facts.despite:
        return []
    return [["未了事项 Still open", "；".join(facts.despite)], ["说明 Reason", facts.reason]]


def _reconciliation(content: PackContent) -> list[dict[str, Any]]:
    said = [(a.account_code, a.source, a.on, a.balance_fen, a.reference) for a in content.book.assertions]
    return [
        _table("对账单余额（均与账面一致） Balances stated, each as in the books", STATEMENT_COLUMNS, said),
        _table("逐日对账 Day by day", DAY_COLUMNS, content.days),
        _table("差异 Cases", CASE_COLUMNS, content.cases),
        _table("共用账户 Accounts that books share", SHARE_COLUMNS, [astuple(one) for one in content.shares]),
    ]


def _report(connection: Connection, spec: ReportSpec, query: Query) -> dict[str, Any]:
    page = read_page(connection, spec, query, page_rows=ROWS_MAX)
    rows: list[tuple[Cell, ...]] = [row.cells for row in page.rows]
    rows.append(total_row(spec.columns, page.totals))
    return _table(f"{spec.title_zh} {spec.title_en}", spec.columns, rows, page.count)


def _table(
    title: str, columns: Sequence[Column], rows: Iterable[tuple[Cell, ...]], count: int | None = None
) -> dict[str, Any]:
    shown = list(rows)
    whole = len(shown) if count is None else count
    more = f"（前 {ROWS_MAX} 行，共 {whole} 行，见 Excel）" if whole > ROWS_MAX else ""
    return {
        "title": title + more,
        "columns": [column.title for column in columns],
        "right": [place for place, column in enumerate(columns) if column.kind not in {Kind.TEXT, Kind.DATE}],
        "rows": [
            [_printed(column, value) for column, value in zip(columns, row, strict=True)]
            for row in shown[: ROWS_MAX + 1]
        ],
    }


def _printed(column: Column, value: Cell) -> str:
    if column.kind is Kind.YUAN and isinstance(value, int):
        return f"{'-' if value < 0 else ''}{abs(value) // 100:,}.{abs(value) % 100:02d}"
    return written(column, value)
