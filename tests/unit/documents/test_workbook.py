"""Workbooks and CSV: exact figures, typed cells, the same bytes each time."""

import csv
import io
import zipfile
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.closing.verify_pack import DamagedError, read_sheet
from backend.documents import workbook
from backend.documents.columns import CellError, Column, Kind, Sheet, exact_yuan, written
from backend.documents.csv_file import csv_lines
from backend.documents.workbook import workbook_bytes, write_workbook

COLUMNS = (
    Column("户号"),
    Column("金额", Kind.YUAN, total=True),
    Column("笔数", Kind.WHOLE, total=True),
    Column("收缴率", Kind.SHARE),
    Column("日期", Kind.DATE),
    Column("时刻", Kind.MOMENT),
)
MOMENT = datetime(2026, 11, 3, 16, 30, tzinfo=UTC)
# Spreadsheets know no time zones.
MIDNIGHT = datetime.combine(date(2026, 11, 3), time())
ROWS = [
    ("=1+1", 995, 2, 985, date(2026, 11, 3), MOMENT),
    ("h2", -5, 1, None, None, None),
]


def sheet(rows: list[tuple[object, ...]], columns: tuple[Column, ...] = COLUMNS) -> Sheet:
    return Sheet("应收", columns, iter(rows), ("示例账簿 2026-11",))  # type: ignore[arg-type]


def test_each_cell_comes_back_as_what_its_column_says() -> None:
    page = openpyxl.load_workbook(io.BytesIO(workbook_bytes([sheet(ROWS)])))["应收"]
    lines = [[cell.value for cell in row] for row in page.iter_rows()]
    assert lines[0][0] == "示例账簿 2026-11"
    assert lines[1] == ["户号", "金额", "笔数", "收缴率", "日期", "时刻"]
    assert lines[2] == ["=1+1", 9.95, 2, 0.985, MIDNIGHT, "2026-11-04 00:30:00"]
    assert lines[3] == ["h2", -0.05, 1, None, None, None]
    assert lines[4] == ["合计 Total", 9.9, 3, None, None, None]
    assert page.freeze_panes == "A3"
    assert page["A3"].data_type != "f"


def cells_written(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        tree = ElementTree.fromstring(package.read("xl/worksheets/sheet1.xml"))
    name = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    return [found.text or "" for found in tree.iter(f"{name}v")]


@given(st.lists(st.integers(-(10**15) + 1, 10**15 - 1), min_size=1, max_size=20))
def test_the_digits_in_the_file_are_the_amounts_to_the_fen(amounts: list[int]) -> None:
    content = workbook_bytes([Sheet("金额", (Column("金额", Kind.YUAN),), [(fen,) for fen in amounts])])
    assert [Decimal(text) for text in cells_written(content)] == [Decimal(fen) / 100 for fen in amounts]


def test_an_amount_that_binary_rounding_spoils_keeps_its_digits() -> None:
    content = workbook_bytes([Sheet("金额", (Column("金额", Kind.YUAN),), [(995,)])])
    assert cells_written(content) == ["9.95"]
    assert f"{9.95:.16G}" != "9.95"


def test_an_amount_beyond_a_spreadsheets_digits_is_refused() -> None:
    with pytest.raises(OverflowError):
        exact_yuan(10**15)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.YUAN, 9.95),
        (Kind.YUAN, "995"),
        (Kind.WHOLE, True),
        (Kind.DATE, MOMENT),
        (Kind.MOMENT, MIDNIGHT),
        (Kind.TEXT, 3),
    ],
)
def test_a_value_of_another_kind_is_refused(kind: Kind, value: object) -> None:
    with pytest.raises(CellError):
        written(Column("列", kind), value)  # type: ignore[arg-type]
    with pytest.raises(CellError):
        workbook_bytes([Sheet("表", (Column("列", kind),), [(value,)])])  # type: ignore[list-item]


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.from_regex("_x[0-9A-F]{4}_"))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    content = workbook_bytes([sheet([(text,)], (Column("文字"),))])
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        ElementTree.fromstring(package.read("xl/worksheets/sheet1.xml"))
    assert read_sheet(content, "a.xlsx", "应收", "t") == [(text,)]


KINDS = "tfwsd"
# What a forger, or a spreadsheet that saved it again, may have made of a row.
OTHERWISE = {
    "an amount": ("<v>9.95</v>", "<v>9.9</v>", ("=1+1", 990, 2, 985, date(2026, 11, 3))),
    "a longer amount": ("<v>9.95</v>", "<v>9.950</v>", None),
    "a formula": ("<v>9.95</v>", "<f>1+1</f><v>9.95</v>", ("=1+1", "", 2, 985, date(2026, 11, 3))),
    "a blank": ("<is><t>=1+1</t></is>", "", ("", 995, 2, 985, date(2026, 11, 3))),
    "nothing": ("<is><t>=1+1</t></is>", "<is><t></t></is>", ("", 995, 2, 985, date(2026, 11, 3))),
    "a cell between rows": (
        '<row r="4">',
        '<c r="A3"><is><t>x</t></is></c><row r="4">',
        ("x", 995, 2, 985, date(2026, 11, 3)),
    ),
    "a column more": ("</c></row>", '</c><c r="F3"><v>1</v></c></row>', None),
}


@pytest.mark.parametrize("change", OTHERWISE)
def test_the_verifier_reads_the_rows_and_what_was_made_of_them(change: str) -> None:
    rows = [row[: len(KINDS)] for row in ROWS]
    content = workbook_bytes([Sheet("应收", COLUMNS[: len(KINDS)], rows, ("示例账簿 2026-11",))])
    total = ("合计 Total", 990, 3, None, None)
    assert read_sheet(content, "a.xlsx", "应收", KINDS) == [*rows, total]
    written_so, otherwise, first = OTHERWISE[change]
    spoiled = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(spoiled, "w") as package:
        for name in given.namelist():
            page = given.read(name).decode()
            if name.endswith("sheet1.xml"):
                start = page.index('<row r="3"')
                assert written_so in page[start:]
                page = page[:start] + page[start:].replace(written_so, otherwise, 1)
            package.writestr(name, page)
    if first is None:
        with pytest.raises(DamagedError):
            read_sheet(spoiled.getvalue(), "a.xlsx", "应收", KINDS)
    else:
        assert read_sheet(spoiled.getvalue(), "a.xlsx", "应收", KINDS) == [first, *rows[1:], total]


def test_a_row_above_the_others_is_read_however_it_is_numbered() -> None:
    content = workbook_bytes([Sheet("应收", COLUMNS[:1], [("h1",)], ("示例账簿 2026-11",))])
    spoiled = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(spoiled, "w") as package:
        for name in given.namelist():
            page = given.read(name).decode()
            more = '<row r="077"><c r="A077"><is><t>more</t></is></c></row>'
            package.writestr(name, page.replace('<row r="3"', f'{more}<row r="3"'))
    assert read_sheet(spoiled.getvalue(), "a.xlsx", "应收", "t") == [("more",), ("h1",)]


@pytest.mark.parametrize(
    "more",
    [
        "<row><c><v>9</v></c></row>",
        '<row\nr="9"><c\nr="A9"><v>9</v></c></row>',
        "<row r='9'><c r='A9'><v>9</v></c></row>",
        '<row s="1" r="9"><c s="1" r="A9"><v>9</v></c></row>',
        '<x:row xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main" r="9"></x:row>',
        "<!-- nothing -->",
    ],
)
def test_a_row_that_only_a_spreadsheet_would_see_is_refused(more: str) -> None:
    content = workbook_bytes([Sheet("应收", COLUMNS[:1], [("h1",)], ("示例账簿 2026-11",))])
    spoiled = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(spoiled, "w") as package:
        for name in given.namelist():
            page = given.read(name).decode()
            package.writestr(name, page.replace("</sheetData>", f"{more}</sheetData>"))
    with pytest.raises(DamagedError):
        read_sheet(spoiled.getvalue(), "a.xlsx", "应收", "t")


def test_a_text_that_a_cell_cannot_hold_is_refused() -> None:
    with pytest.raises(CellError):
        workbook_bytes([Sheet("文字", (Column("文字"),), [("长" * 32_768,)])])


def test_tables_on_several_sheets_keep_their_styles_and_bounds() -> None:
    columns = (Column("日期", Kind.DATE), Column("金额", Kind.YUAN, total=True), Column("摘要"))
    none, some = Sheet("空表", columns, []), Sheet("有行", columns, [(date(2026, 11, 3), 5, "甲")], ("示例",))
    book = openpyxl.load_workbook(io.BytesIO(workbook_bytes([none, some])))
    assert [cell.value for cell in book["空表"][2]] == [None, 0, "合计 Total"]
    assert (book["空表"].dimensions, book["有行"].dimensions) == ("A1:C2", "A1:C4")
    assert (book["空表"].auto_filter.ref, book["有行"].auto_filter.ref) == ("A1:C1", "A2:C3")
    day, money, words = book["有行"][3]
    assert (day.number_format, money.number_format, words.number_format) == ("yyyy-mm-dd", "#,##0.00", "@")
    assert [cell.font.bold for cell in book["有行"][4][1:]] == [True, True]


def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", [sheet(ROWS)])
    write_workbook(tmp_path / "b.xlsx", [sheet(ROWS)])
    first = (tmp_path / "a.xlsx").read_bytes()
    assert first == (tmp_path / "b.xlsx").read_bytes()
    assert first != workbook_bytes([sheet(ROWS[:1])])


def test_more_rows_than_a_sheet_holds_go_on_another_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "ROWS_MAX", 5)
    columns = (Column("序号", Kind.WHOLE, total=True), Column("摘要"))
    content = workbook_bytes([Sheet("明细", columns, [(number, "x") for number in range(1, 8)])])
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert book.sheetnames == ["明细", "明细 2", "明细 3"]
    numbers = [row[0].value for page in book for row in page.iter_rows(min_row=2)]
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 28]
    assert all(page.max_row <= 5 for page in book)


def test_csv_has_the_same_figures_and_runs_no_formula() -> None:
    text = "".join(csv_lines(sheet(ROWS)))
    assert text.startswith("\ufeff")
    assert list(csv.reader(io.StringIO(text.removeprefix("\ufeff")))) == [
        ["示例账簿 2026-11"],
        ["户号", "金额", "笔数", "收缴率", "日期", "时刻"],
        ["'=1+1", "9.95", "2", "98.5%", "2026-11-03", "2026-11-04 00:30:00"],
        ["h2", "-0.05", "1", "", "", ""],
        ["合计 Total", "9.90", "3", "", "", ""],
    ]
