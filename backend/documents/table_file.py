"""Reads a table that somebody sends as Excel (.xlsx) or CSV: rows by heading, every cell as text.

A file from outside may be anything: it is bounded before it is unpacked, its letters may be UTF-8, UTF-16 or
GBK, and lines for people may stand above the header. What is wrong with a cell is told by row and column, as
the sender's own program numbers them.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import ParseError

import openpyxl
from defusedxml.common import DefusedXmlException

from backend.documents.csv_file import GUARDED_STARTS
from backend.errors import ExplainedError

FILE_BYTES_MAX = 32 * 1024 * 1024
UNPACKED_BYTES_MAX = 128 * 1024 * 1024
PARTS_MAX = 2_000  # files inside a workbook
ROWS_MAX = 200_000
COLUMNS_MAX = 300
HEADER_WITHIN = 20  # lines for people that may stand above the header
ZIP, OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
# A spreadsheet keeps 15 digits of a number; the rest is what binary made of it.
NUMBER = ".15g"
# What a broken or malicious workbook raises, from the zip down to a cell.
BROKEN = (
    zipfile.BadZipFile, ParseError, DefusedXmlException, KeyError, ValueError, TypeError, AttributeError,
    IndexError, OSError, EOFError, OverflowError, NotImplementedError,
)  # fmt: skip


class TableFileError(ExplainedError):
    """A file that is no table we can read; nothing of it was used."""

    code = "table_file"


@dataclass(frozen=True, slots=True)
class Heading:
    """A column that is looked for by its title.

    Attributes:
        key: what the program calls it.
        titles: how it may be titled; blanks and case do not count.
    """

    key: str
    titles: tuple[str, ...]
    required: bool = True


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row that holds something; `number` as the sender's program counts, from 1."""

    number: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """What was read.

    Attributes:
        header: its titles as they stand in the file.
        titles: of each column that was found, by key: how the file calls it.
    """

    header: tuple[str, ...]
    titles: dict[str, str]
    rows: list[TableRow]


def read_table(body: bytes, headings: Sequence[Heading]) -> Table:
    """The first table of the file that has all required headings.

    Raises:
        TableFileError: too large, no table, or a heading is missing.
    """
    if len(body) > FILE_BYTES_MAX:
        raise _too_large()
    if not body.strip():
        raise TableFileError("文件是空的。", "The file is empty.")
    if body.startswith(OLD_EXCEL):
        raise TableFileError(
            "这是旧版 Excel（.xls）或加了密码的文件，请另存为不加密的 .xlsx 或 CSV。",
            "This is an old .xls or a file with a password; save it as a plain .xlsx or as CSV.",
        )
    sheets = _workbook(body) if body.startswith(ZIP) else iter([_csv(body, headings)])
    missing: list[str] | None = None
    for lines in sheets:
        found, lacking = _table(lines, headings)
        if found is not None:
            return found
        if missing is None or len(lacking) < len(missing):
            missing = lacking
    words = "、".join(missing or [])
    raise TableFileError(
        f"没有找到表头：缺少“{words}”。请使用导出的表格作样板。",
        f"There is no header with all columns; missing: {words}. Use an exported file as the pattern.",
    )


def _too_large() -> TableFileError:
    return TableFileError(
        f"文件过大（最多 {FILE_BYTES_MAX // 1024 // 1024} MB、{ROWS_MAX} 行、{COLUMNS_MAX} 列），请分批。",
        f"The file is too large (at most {FILE_BYTES_MAX // 1024 // 1024} MB, {ROWS_MAX} rows, "
        f"{COLUMNS_MAX} columns); send it in parts.",
    )


def _table(lines: Iterable[Sequence[str]], headings: Sequence[Heading]) -> tuple[Table | None, list[str]]:
    """The table below the first line that fits, or what the best line lacks."""
    lacking = [heading.titles[0] for heading in headings if heading.required]
    numbered = enumerate(lines, 1)
    for number, line in numbered:
        places = _places(line, headings)
        missing = [one.titles[0] for one in headings if one.required and one.key not in places]
        if not missing:
            return _below(line, places, numbered), []
        lacking = missing if len(missing) < len(lacking) else lacking
        if number >= HEADER_WITHIN:
            break
    return None, lacking


def _below(
    header: Sequence[str], places: dict[str, int], numbered: Iterator[tuple[int, Sequence[str]]]
) -> Table:
    rows = []
    for number, line in numbered:
        cells = {key: line[place].strip() if place < len(line) else "" for key, place in places.items()}
        if any(cells.values()):
            rows.append(TableRow(number, cells))
    titles = {key: header[place].strip() for key, place in places.items()}
    return Table(tuple(title.strip() for title in header if title.strip()), titles, rows)


def _places(line: Sequence[str], headings: Sequence[Heading]) -> dict[str, int]:
    by_title = {_plain(title): place for place, title in reversed(list(enumerate(line)))}
    return {
        heading.key: by_title[_plain(title)]
        for heading in headings
        for title in reversed(heading.titles)
        if _plain(title) in by_title
    }


def _plain(title: str) -> str:
    return re.sub(r"\s+", "", title).casefold()


def _csv(body: bytes, headings: Sequence[Heading]) -> Iterator[list[str]]:
    text = _decoded(body)
    try:
        for number, line in enumerate(
            csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text, headings)), 1
        ):
            if number > ROWS_MAX or len(line) > COLUMNS_MAX:
                raise _too_large()
            yield [_unguarded(cell) for cell in line]
    except csv.Error as error:
        raise TableFileError(f"不是有效的 CSV：{error}", f"Not valid CSV: {error}") from error


def _decoded(body: bytes) -> str:
    marked = body.startswith((b"\xff\xfe", b"\xfe\xff"))
    # Excel in Chinese writes GBK unless it is asked for UTF-8; hardly any GBK text is valid UTF-8.
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise TableFileError(
        "文件不是 .xlsx，也不是 UTF-8 或 GBK 编码的 CSV。",
        "The file is neither .xlsx nor CSV in UTF-8 or GBK.",
    )


def _delimiter(text: str, headings: Sequence[Heading]) -> str:
    """Whatever separates most of the wanted titles in the first lines."""
    first = text.splitlines()[:HEADER_WITHIN]

    def fitting(delimiter: str) -> int:
        return max(
            (len(_places(line.replace('"', "").split(delimiter), headings)) for line in first), default=0
        )

    return max((",", "\t", ";"), key=fitting)


def _unguarded(cell: str) -> str:
    """Our own CSV puts an apostrophe before a text that a spreadsheet would take for a formula."""
    guarded = cell.startswith("'") and cell[1:].startswith(GUARDED_STARTS)
    return cell[1:] if guarded else cell


def _workbook(body: bytes) -> Iterator[Iterator[list[str]]]:
    """The sheets of a workbook, each read line by line."""
    try:
        _check_parts(body)
        book = openpyxl.load_workbook(io.BytesIO(body), read_only=True, data_only=True, keep_links=False)
    except BROKEN as error:
        raise _broken(error) from error
    for sheet in book.worksheets:
        yield _sheet(sheet)


def _check_parts(body: bytes) -> None:
    """Refuse what unpacks to more than we hold: zip's reader gives out no more than the directory says."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        parts = archive.infolist()
    if len(parts) > PARTS_MAX or sum(part.file_size for part in parts) > UNPACKED_BYTES_MAX:
        raise _too_large()


def _sheet(sheet: Any) -> Iterator[list[str]]:
    try:
        # What a sheet says of its own size may be wrong, and is not believed.
        sheet.reset_dimensions()
        for number, line in enumerate(sheet.iter_rows(values_only=True), 1):
            cells = list(line)
            while cells and cells[-1] is None:
                cells.pop()
            if number > ROWS_MAX or len(cells) > COLUMNS_MAX:
                raise _too_large()
            yield [_text(cell) for cell in cells]
    except BROKEN as error:
        raise _broken(error) from error


def _text(cell: object) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "TRUE" if cell else "FALSE"
        case float():
            return f"{Decimal(format(cell, NUMBER)):f}"
        case datetime():
            return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ", "seconds")
        case date():
            return cell.isoformat()
    return str(cell)


def _broken(error: BaseException) -> TableFileError:
    kind = type(error).__name__
    return TableFileError(
        f"这个 Excel 文件已损坏或不是表格（{kind}），请重新另存后再试。",
        f"The Excel file is damaged or no workbook ({kind}); save it again and try once more.",
    )
