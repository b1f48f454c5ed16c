"""Writes Excel workbooks: typed columns, exact amounts, any number of rows in constant memory.

The same tables give the same bytes (on one version of the writer), so a workbook's hash can be kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import xlsxwriter

from backend.documents.columns import (
    MADE_AT,
    Cell,
    Column,
    Kind,
    Sheet,
    Totals,
    check,
    exact_yuan,
    written,
)

# Excel's own bound; what is longer goes on, on another sheet.
ROWS_MAX = 1_048_576
NAME_MAX = 31
SERIAL_ZERO = date(1899, 12, 30)
WIDTHS = {Kind.TEXT: 18, Kind.YUAN: 15, Kind.WHOLE: 10, Kind.SHARE: 9, Kind.DATE: 12, Kind.MOMENT: 20}
FORMATS = {Kind.YUAN: "#,##0.00", Kind.WHOLE: "0", Kind.SHARE: "0.0%", Kind.DATE: "yyyy-mm-dd"}


def workbook_bytes(sheets: Iterable[Sheet]) -> bytes:
    """A workbook in memory, for a download."""
    target = BytesIO()
    _write(target, sheets)
    return target.getvalue()


def write_workbook(path: Path, sheets: Iterable[Sheet]) -> None:
    """A workbook as a file; the rows pass through and are never held all at once."""
    _write(str(path), sheets)


def _write(target: str | BytesIO, sheets: Iterable[Sheet]) -> None:
    with tempfile.TemporaryDirectory(prefix="estate-xlsx-") as folder:
        book = xlsxwriter.Workbook(target, {"constant_memory": True, "tmpdir": folder})
        book.set_properties({"created": MADE_AT.replace(tzinfo=None), "author": ""})
        try:
            for sheet in sheets:
                _Writer(book, sheet).write()
        finally:
            # Also after a failure: it takes its own temporary files away.
            book.close()


class _Writer:
    """One table, on one or more sheets."""

    def __init__(self, book: Any, sheet: Sheet) -> None:
        self._book, self._sheet = book, sheet
        self._formats = {kind: book.add_format({"num_format": FORMATS.get(kind, "@")}) for kind in Kind}
        self._totals_formats = {
            kind: book.add_format({"num_format": FORMATS.get(kind, "@"), "bold": True, "top": 1})
            for kind in Kind
        }
        self._header = book.add_format({"bold": True, "bg_color": "#E8EEF4", "bottom": 1, "text_wrap": True})
        self._bold = book.add_format({"bold": True})
        self._parts = 0

    def write(self) -> None:
        """Heading, header, rows and totals."""
        columns, totals = self._sheet.columns, Totals(self._sheet.columns)
        self._begin()
        for row in self._sheet.rows:
            # One row stays free for the totals.
            if self._row >= ROWS_MAX - 1:
                self._end()
                self._begin()
            self._put(columns, row, self._formats)
            totals.add(row)
        self._end()
        if totals.wanted:
            self._put(columns, totals.row(), self._totals_formats)

    def _begin(self) -> None:
        self._parts += 1
        suffix = f" {self._parts}" if self._parts > 1 else ""
        self._page = self._book.add_worksheet(self._sheet.name[: NAME_MAX - len(suffix)] + suffix)
        self._row = 0
        for place, column in enumerate(self._sheet.columns):
            self._page.set_column(place, place, column.width or WIDTHS[column.kind])
        for line in self._sheet.heading:
            self._page.write_string(self._row, 0, line, self._bold)
            self._row += 1
        for place, column in enumerate(self._sheet.columns):
            self._page.write_string(self._row, place, column.title, self._header)
        self._header_row = self._row
        self._row += 1
        self._page.freeze_panes(self._row, 0)
        self._page.repeat_rows(self._header_row)
        self._page.set_landscape()
        self._page.set_paper(9)  # A4
        self._page.fit_to_pages(1, 0)

    def _end(self) -> None:
        self._page.autofilter(
            self._header_row, 0, max(self._row - 1, self._header_row), len(self._sheet.columns) - 1
        )

    def _put(self, columns: Sequence[Column], row: Sequence[Cell], formats: dict[Kind, Any]) -> None:
        for place, (column, value) in enumerate(zip(columns, row, strict=True)):
            if value is not None:
                self._cell(place, column, value, formats[column.kind])
        self._row += 1

    def _cell(self, place: int, column: Column, value: Cell, cell_format: Any) -> None:
        # Texts are written as texts, so that none of them can become a formula.
        if column.kind is Kind.TEXT or column.kind is Kind.MOMENT:
            self._page.write_string(self._row, place, written(column, value), cell_format)
        else:
            check(column, value)
            self._page.write_number(self._row, place, _number(column.kind, value), cell_format)


def _number(kind: Kind, value: Cell) -> Decimal | int:
    """What the writer is given: it formats Decimal and int exactly, and a float in binary."""
    match kind, value:
        case Kind.YUAN, int(fen):
            return exact_yuan(fen)
        case Kind.SHARE, int(permille):
            return Decimal(permille).scaleb(-3)
        case Kind.DATE, date() as day:
            return (day - SERIAL_ZERO).days
        case _, int(whole):
            return whole
    raise TypeError(f"{kind} does not hold {value!r}")
