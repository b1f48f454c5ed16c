"""Tables from outside: any usual encoding, headings by name, bounded, and each faulty cell named."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime, time

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.documents import table_file
from backend.documents.cells import Cells, WrongCellError, day, fen, one_of, several, whole, yes
from backend.documents.columns import Column, Kind, Sheet
from backend.documents.csv_file import csv_lines
from backend.documents.table_file import Heading, Table, TableFileError, read_table
from backend.documents.workbook import workbook_bytes

HEADINGS = (
    Heading("name", ("姓名", "name")),
    Heading("rent", ("月租金", "rent")),
    Heading("note", ("备注",), required=False),
)


def cells_of(table: Table) -> list[dict[str, str]]:
    return [row.cells for row in table.rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_a_csv_is_read_in_every_usual_encoding(encoding: str) -> None:
    table = read_table("姓名,月租金\r\n陈桂芳,386.40\r\n".encode(encoding), HEADINGS)
    assert cells_of(table) == [{"name": "陈桂芳", "rent": "386.40"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_is_read_with_every_usual_delimiter(delimiter: str) -> None:
    body = f"备注{delimiter}姓名{delimiter}月租金\n无{delimiter}陈{delimiter}1\n".encode()
    assert cells_of(read_table(body, HEADINGS)) == [{"name": "陈", "rent": "1", "note": "无"}]


def test_lines_for_people_may_stand_above_the_header_and_rows_keep_their_numbers() -> None:
    body = "北苑住户表\n\n 月 租金 ,姓名\n1,甲\n,\n2,乙\n".encode()
    table = read_table(body, HEADINGS)
    assert [(row.number, row.cells["name"]) for row in table.rows] == [(4, "甲"), (6, "乙")]
    assert table.titles == {"name": "姓名", "rent": "月 租金"}


def test_a_workbook_gives_dates_and_amounts_as_exact_text() -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    for line in (
        ["姓名", "月租金", "备注"],
        ["甲", 9.95, date(2026, 11, 3)],
        ["乙", 386, datetime.combine(date(2026, 11, 3), time(8, 30))],
        ["丙", 0.1 + 0.2, True],
    ):
        page.append(line)
    target = io.BytesIO()
    book.save(target)
    assert [list(cells.values()) for cells in cells_of(read_table(target.getvalue(), HEADINGS))] == [
        ["甲", "9.95", "2026-11-03"],
        ["乙", "386", "2026-11-03 08:30:00"],
        ["丙", "0.3", "TRUE"],
    ]


def test_the_table_may_stand_on_any_sheet() -> None:
    first = Sheet("说明", (Column("说明"),), [("填写说明",)])
    second = Sheet("住户", (Column("姓名"), Column("月租金", Kind.YUAN)), [("甲", 995)])
    assert cells_of(read_table(workbook_bytes([first, second]), HEADINGS)) == [{"name": "甲", "rent": "9.95"}]


def bomb() -> bytes:
    target = io.BytesIO()
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(table_file.UNPACKED_BYTES_MAX // 1024 // 1024 + 1):
            part.write(b"0" * 1024 * 1024)
    return target.getvalue()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"\xd0\xcf\x11\xe0rest", "old .xls"),
        (b"PK\x03\x04broken", "damaged"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "neither"),
        ("电话,地址\n1,2\n".encode(), "missing: 姓名、月租金"),
        ("姓名,地址\n1,2\n".encode(), "missing: 月租金"),
        (b"x" * (table_file.FILE_BYTES_MAX + 1), "too large"),
        ("姓名,月租金\n".encode() + b"a,1\n" * (table_file.ROWS_MAX + 1), "too large"),
        ("姓名,月租金\n".encode() + b"," * (table_file.COLUMNS_MAX + 1), "too large"),
    ],
)
def test_what_is_no_table_is_refused_with_a_sentence(body: bytes, words: str) -> None:
    with pytest.raises(TableFileError) as refused:
        read_table(body, HEADINGS)
    assert words in refused.value.en
    assert refused.value.zh


def test_a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    body = bomb()
    assert len(body) < 1024 * 1024
    with pytest.raises(TableFileError, match="too large"):
        read_table(body, HEADINGS)


def test_a_workbook_that_names_entities_is_refused() -> None:
    good = workbook_bytes([Sheet("住户", (Column("姓名"), Column("月租金")), [("甲", "1")])])
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as source, zipfile.ZipFile(target, "w") as archive:
        for part in source.namelist():
            content = source.read(part)
            if part == "xl/worksheets/sheet1.xml":
                head, _, rest = content.partition(b"?>")
                content = head + b'?><!DOCTYPE x [<!ENTITY a "aaaa">]>' + rest
            archive.writestr(part, content)
    with pytest.raises(TableFileError, match="damaged"):
        read_table(target.getvalue(), HEADINGS)


def test_faults_name_row_and_column_as_the_file_calls_them_and_never_quote_the_cell() -> None:
    table = read_table("name,rent\n甲,13912345678x\n".encode(), HEADINGS)
    cells = Cells(table, table.rows[0])
    assert cells.read("rent", fen) is None
    assert [(fault.row, fault.column, fault.place) for fault in cells.faults] == [
        (2, "rent", "第 2 行「rent」")
    ]
    assert "139" not in cells.faults[0].zh + cells.faults[0].en


@pytest.mark.parametrize(
    ("cell", "amount"),
    [("386.4", 38_640), ("¥1,234.50", 123_450), ("386元", 38_600), ("１２.3", 1_230), ("-5", -500), ("0", 0)],
)
def test_amounts_are_read_exactly(cell: str, amount: int) -> None:
    assert fen(cell) == amount


@pytest.mark.parametrize("cell", ["", "1.234", "1,23", "一百", "1e3", "--1", "1.", "9" * 20])
def test_what_is_no_amount_is_refused(cell: str) -> None:
    with pytest.raises(WrongCellError):
        fen(cell)


@pytest.mark.parametrize(
    "cell", ["2026-11-03", "2026/11/3", "2026年11月3日", "2026.11.03", "20261103", "2026-11-03 00:00:00"]
)
def test_days_are_read_as_people_write_them(cell: str) -> None:
    assert day(cell) == date(2026, 11, 3)


@pytest.mark.parametrize("cell", ["", "2026-02-30", "3.11.2026", "45964", "2026-13-01"])
def test_what_is_no_day_is_refused(cell: str) -> None:
    with pytest.raises(WrongCellError):
        day(cell)


def test_other_cells() -> None:
    assert (yes("是"), yes("否"), yes("")) == (True, False, False)
    assert whole("１２") == 12
    assert several("a；b ; ;c") == ["a", "b", "c"]
    assert one_of({"承租人": 1})("承租人") == 1
    for reader, cell in ((yes, "也许"), (whole, "1.5"), (one_of({"a": 1}), "b")):
        with pytest.raises(WrongCellError):
            reader(cell)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20).map(str.strip)
ROWS = st.lists(
    st.tuples(TEXTS.filter(bool), st.integers(-(10**12), 10**12), st.dates(date(1901, 1, 1))), max_size=8
)
TYPED = (Column("姓名"), Column("月租金", Kind.YUAN), Column("备注", Kind.DATE))


@pytest.mark.parametrize("form", ["xlsx", "csv"])
@given(rows=ROWS)
def test_what_was_written_is_read_again_unchanged(form: str, rows: list[tuple[str, int, date]]) -> None:
    sheet = Sheet("表", TYPED, rows)
    body = workbook_bytes([sheet]) if form == "xlsx" else "".join(csv_lines(sheet)).encode()
    table = read_table(body, HEADINGS)
    read = [(row.cells["name"], fen(row.cells["rent"]), day(row.cells["note"])) for row in table.rows]
    assert read == rows
