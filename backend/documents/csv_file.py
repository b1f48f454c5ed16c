"""Writes a table as CSV that Excel opens with the right letters (UTF-8 with its mark, CRLF)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from backend.documents.columns import Kind, Sheet, Totals, written

BOM = "\ufeff"
# A text that begins like this would be run as a formula by whoever opens the file in a spreadsheet.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
# These get an apostrophe before them; its own is guarded too, so that reading takes away what writing added.
GUARDED_STARTS = (*FORMULA_STARTS, "'")


def csv_lines(sheet: Sheet) -> Iterator[str]:
    """The file piece by piece: the heading in one line where there is one, header, rows, totals."""
    totals = Totals(sheet.columns)
    yield BOM
    if sheet.heading:
        yield _line([" ".join(sheet.heading)])
    yield _line([column.title for column in sheet.columns])
    for row in sheet.rows:
        totals.add(row)
        yield _row(sheet, row)
    if totals.wanted:
        yield _row(sheet, totals.row())


def _row(sheet: Sheet, row: object) -> str:
    cells = []
    for column, value in zip(sheet.columns, row, strict=True):  # type: ignore[call-overload]
        text = written(column, value)
        if column.kind is Kind.TEXT and text.startswith(GUARDED_STARTS):
            text = f"'{text}"
        cells.append(text)
    return _line(cells)


def _line(cells: list[str]) -> str:
    target = io.StringIO()
    csv.writer(target, lineterminator="\r\n").writerow(cells)
    return target.getvalue()
