"""Writes Excel workbooks: typed columns, exact amounts, any number of rows in constant memory.

XlsxWriter makes the frame: sheets, styles, heading and header. The rows are written here as the file format
has them (ECMA-376 part 1, 18.3.1), because a cell by way of the library takes five times as long, and a
month's general ledger has millions of them.

The same tables give the same bytes (on one version of the library), so a workbook's hash can be kept.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from io import BytesIO
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from backend.documents.columns import (
    DIGITS_MAX,
    MADE_AT,
    Cell,
    CellError,
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
TEXT_MAX = 32_767
FEN_SHORT = 10**DIGITS_MAX
SERIAL_ZERO = date(1899, 12, 30)
WIDTHS = {Kind.TEXT: 18, Kind.YUAN: 15, Kind.WHOLE: 10, Kind.SHARE: 9, Kind.DATE: 12, Kind.MOMENT: 20}
FORMATS = {Kind.YUAN: "#,##0.00", Kind.WHOLE: "0", Kind.SHARE: "0.0%", Kind.DATE: "yyyy-mm-dd"}


STYLE = re.compile(r'<c r="[A-Z]+\d+" s="(\d+)"/>')
DIMENSION = re.compile(r'<dimension ref="[^"]*"/>')
# What XML does not let through, and what would be read as the sign for it (18.4.1, ST_Xstring).
NOT_XML = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_x(?=[0-9A-Fa-f]{4}_)")

Encoder = Callable[[Cell], str]


def workbook_bytes(sheets: Iterable[Sheet]) -> bytes:
    """A workbook in memory, for a download."""
    target = BytesIO()
    _write(target, sheets)
    return target.getvalue()


def write_workbook(path: Path, sheets: Iterable[Sheet]) -> None:
    """A workbook as a file; the rows pass through and are never held all at once."""
    with path.open("wb") as target:
        _write(target, sheets)


@dataclass(frozen=True, slots=True)
class _Part:
    """What stands on one sheet: as many rows of a table as fit, and below the last of them the totals.

    Attributes:
        body: the file with the rows, as XML; None as long as there is none.
        rows: how many rows the table has here, without the totals.
        last: the number of the last row in use, as Excel counts.
    """

    table: Sheet
    name: str
    body: Path | None
    rows: int
    last: int

    @property
    def first(self) -> int:
        """The number of the first row below the header."""
        return len(self.table.heading) + 2


@dataclass(frozen=True, slots=True)
class _Styles:
    """Numbers of the styles of a table's columns: of its rows, and of the totals."""

    rows: tuple[str, ...]
    totals: tuple[str, ...]


def _write(target: BinaryIO, sheets: Iterable[Sheet]) -> None:
    tables = list(sheets)
    # Which number a style has in the file is the library's to say.
    bare = _frame([_Part(table, table.name[:NAME_MAX], None, 0, 0) for table in tables])
    with tempfile.TemporaryDirectory(prefix="estate-xlsx-") as folder:
        parts: list[_Part] = []
        with zipfile.ZipFile(bare) as package:
            for place, table in enumerate(tables):
                page = package.read(_page_name(place)).decode()
                parts += _parts(table, _styles(page, table), Path(folder) / str(place))
        _fill(_frame(parts), parts, target)


# ------------------------------------------------------------------------------------------- the frame


def _frame(parts: Sequence[_Part]) -> BytesIO:
    """The workbook without its rows: in place of them, two blank rows that show each column's styles."""
    content = BytesIO()
    book = xlsxwriter.Workbook(content, {"constant_memory": True})
    book.set_properties({"created": MADE_AT.replace(tzinfo=None), "author": ""})
    formats = {kind: book.add_format({"num_format": FORMATS.get(kind, "@")}) for kind in Kind}
    of_totals = {
        kind: book.add_format({"num_format": FORMATS.get(kind, "@"), "bold": True, "top": 1}) for kind in Kind
    }
    header = book.add_format({"bold": True, "bg_color": "#E8EEF4", "bottom": 1, "text_wrap": True})
    bold = book.add_format({"bold": True})
    for part in parts:
        page, columns = book.add_worksheet(part.name), part.table.columns
        for place, column in enumerate(columns):
            page.set_column(place, place, column.width or WIDTHS[column.kind])
        top = len(part.table.heading)
        page.freeze_panes(top + 1, 0)
        page.repeat_rows(top)
        page.set_landscape()
        page.set_paper(9)  # A4
        page.fit_to_pages(1, 0)
        page.autofilter(top, 0, top + part.rows, len(columns) - 1)
        for row, line in enumerate(part.table.heading):
            page.write_string(row, 0, line, bold)
        for row, styles in enumerate((None, formats, of_totals), start=top):
            for place, column in enumerate(columns):
                if styles is None:
                    page.write_string(row, place, column.title, header)
                else:
                    page.write_blank(row, place, None, styles[column.kind])
    book.close()
    return content


def _page_name(place: int) -> str:
    return f"xl/worksheets/sheet{place + 1}.xml"


def _styles(page: str, table: Sheet) -> _Styles:
    found = STYLE.findall(page[page.index(_row_start(len(table.heading) + 2)) :])
    count = len(table.columns)
    return _Styles(tuple(found[:count]), tuple(found[count : 2 * count]))


def _row_start(number: int) -> str:
    return f'<row r="{number}"'


def _fill(frame: BytesIO, parts: Sequence[_Part], target: BinaryIO) -> None:
    """The frame with its rows."""
    of_page = {_page_name(place): part for place, part in enumerate(parts)}
    with zipfile.ZipFile(frame) as given, zipfile.ZipFile(target, "w") as package:
        for member in given.infolist():
            content = given.read(member)
            with package.open(member, "w") as file:
                if (part := of_page.get(member.filename)) is None:
                    file.write(content)
                    continue
                page = content.decode()
                corner = f"{xl_col_to_name(len(part.table.columns) - 1)}{part.last}"
                page = DIMENSION.sub(f'<dimension ref="A1:{corner}"/>', page, count=1)
                before, rest = page.split(_row_start(part.first), 1)
                file.write(before.encode())
                if part.body is not None:
                    with part.body.open("rb") as body:
                        shutil.copyfileobj(body, file, 1 << 20)
                file.write(rest[rest.index("</sheetData>") :].encode())


# -------------------------------------------------------------------------------------------- the rows


def _parts(table: Sheet, styles: _Styles, path: Path) -> Iterator[_Part]:
    """The table's rows as XML, on as many sheets as they need."""
    encoders, totals = _encoders(table.columns, styles.rows), Totals(table.columns)
    first = len(table.heading) + 2
    # One row stays free for the totals.
    size = ROWS_MAX - first
    rows = iter(table.rows)
    for number in count(1):
        suffix = f" {number}" if number > 1 else ""
        body = path.with_name(f"{path.name}-{number}")
        with body.open("w", encoding="utf-8", newline="") as file:
            written_rows, at = 0, first
            for row in islice(rows, size):
                totals.add(row)
                file.write(_row_xml(at, encoders, row))
                at += 1
            written_rows = at - first
            following = next(rows, None)
            if following is not None:
                rows = chain((following,), rows)
            elif totals.wanted:
                file.write(_row_xml(at, _encoders(table.columns, styles.totals), totals.row()))
                at += 1
        yield _Part(table, table.name[: NAME_MAX - len(suffix)] + suffix, body, written_rows, at - 1)
        if following is None:
            return


def _row_xml(number: int, encoders: Sequence[tuple[str, Encoder]], row: Sequence[Cell]) -> str:
    cells = [
        f"{start}{number}{encode(value)}"
        for (start, encode), value in zip(encoders, row, strict=True)
        if value is not None
    ]
    return f'<row r="{number}">{"".join(cells)}</row>'


def _encoders(columns: Sequence[Column], styles: Sequence[str]) -> list[tuple[str, Encoder]]:
    """For each column, how its cells begin, and what follows the number of the row."""
    return [
        (f'<c r="{xl_col_to_name(place)}', _encoder(column, f'" s="{style}"'))
        for place, (column, style) in enumerate(zip(columns, styles, strict=True))
    ]


def _encoder(column: Column, style: str) -> Encoder:
    # The same texts and days come again and again: names of accounts, a month's summary.
    @lru_cache(4_096)
    def text(value: str) -> str:
        if len(value) > TEXT_MAX:
            raise CellError(column, value)
        space = "" if value == value.strip() else ' xml:space="preserve"'
        # Texts are written as texts, so that none of them can become a formula.
        return f'{style} t="inlineStr"><is><t{space}>{escape(NOT_XML.sub(_sign, value))}</t></is></c>'

    def number(value: object) -> str:
        return f"{style}><v>{value}</v></c>"

    @lru_cache(4_096)
    def day(value: date) -> str:
        return number((value - SERIAL_ZERO).days)

    ways: dict[Kind, Callable[[Any], str]] = {
        Kind.TEXT: text,
        Kind.MOMENT: lambda moment: text(written(column, moment)),
        Kind.YUAN: lambda fen: number(exact_yuan(fen)),
        Kind.WHOLE: number,
        Kind.SHARE: lambda permille: number(Decimal(permille).scaleb(-3)),
        Kind.DATE: day,
    }
    way = ways[column.kind]

    def encode(value: Cell) -> str:
        check(column, value)
        return way(value)

    def encode_text(value: Cell) -> str:
        return text(value) if type(value) is str else encode(value)

    def encode_yuan(value: Cell) -> str:
        # Most amounts: as `exact_yuan` writes them, in a quarter of the time.
        if type(value) is int and 0 <= value < FEN_SHORT:
            return f"{style}><v>{value // 100}.{value % 100:02d}</v></c>"
        return encode(value)

    return {Kind.TEXT: encode_text, Kind.YUAN: encode_yuan}.get(column.kind, encode)


def _sign(found: re.Match[str]) -> str:
    """How the file format writes a character that XML does not let through."""
    return f"_x{ord(found[0][0]):04X}_{found[0][1:]}"
