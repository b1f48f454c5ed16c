"""What the old system says on its last evening, as Excel (a sheet for each part) or one CSV. Pure.

The file states its own totals: whatever does not agree with them to the fen is refused whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from backend.documents.cells import CellFault, Cells, WrongCellError, day, fen, needed, one_of, whole
from backend.documents.columns import Column, Kind, Sheet
from backend.documents.table_file import ZIP, Heading, Table, TableFileError, TableRow, read_table
from backend.rent.rules import LineKind

FEN_MAX = 10**12
ARREARS, PREPAID, DEPOSITS, MONEY, TOTALS = "欠费", "预收", "押金", "资金", "合计"
SHEETS = (ARREARS, PREPAID, DEPOSITS, MONEY, TOTALS)

ITEMS: Mapping[str, LineKind] = {
    "租金": LineKind.RENT,
    "滞纳金": LineKind.LATE_FEE,
    "物业费": LineKind.PROPERTY_FEE,
    "水费": LineKind.WATER,
    "电费": LineKind.ELECTRICITY,
    "燃气费": LineKind.GAS,
    "押金": LineKind.DEPOSIT,
    "损坏赔偿": LineKind.DAMAGE,
}
# By the word of `opening_balance` in docs/vouchers.md: where the money is, and whom it is owed to.
HELD: Mapping[str, str] = {
    "银行存款": "bank",
    "库存现金": "cash",
    "Stripe在途": "stripe",
    "微信支付在途": "wechat",
    "支付宝在途": "alipay",
}
OWED: Mapping[str, str] = {
    "待缴租金": "rent_unremitted",
    "待缴滞纳金": "late_fee_unremitted",
    "待缴损坏赔偿": "damage_unremitted",
    "待付物业费": "property_fee_unpaid",
    "待付水电费": "utilities_unpaid",
}
HELD_TOTAL, OWED_TOTAL, BANK_TOTAL = "资金", "待缴待付", "银行对账单余额"
COUNTED = (ARREARS, PREPAID, DEPOSITS)
STATED = (*COUNTED, HELD_TOTAL, OWED_TOTAL, BANK_TOTAL)

_HOUSEHOLD = Heading("household", ("家庭编号", "户号", "household"))
_UNIT = Heading("unit", ("房源", "房号", "unit"), required=False)
_MONTH = Heading("month", ("费用月份", "month"))
_DUE = Heading("due", ("到期日", "due on"), required=False)
HEADINGS: Mapping[str, tuple[Heading, ...]] = {
    ARREARS: (
        _HOUSEHOLD,
        _UNIT,
        _MONTH,
        _DUE,
        Heading("item", ("欠费项目", "arrears item")),
        Heading("amount", ("欠费金额（元）", "欠费金额(元)", "欠费金额", "arrears")),
    ),
    PREPAID: (_HOUSEHOLD, Heading("amount", ("预收金额（元）", "预收金额(元)", "预收金额", "prepaid"))),
    DEPOSITS: (
        _HOUSEHOLD,
        _UNIT,
        Heading("amount", ("押金金额（元）", "押金金额(元)", "押金金额", "deposit")),
    ),
    MONEY: (
        Heading("item", ("资金项目", "money item")),
        Heading("amount", ("资金余额（元）", "资金余额(元)", "资金余额", "balance")),
    ),
    TOTALS: (
        Heading("item", ("合计项目", "total of")),
        Heading("count", ("笔数", "rows"), required=False),
        Heading("amount", ("合计金额（元）", "合计金额(元)", "合计金额", "total")),
    ),
}
# In a CSV all parts stand in one table, told by its first column.
FLAT = (
    Heading("sheet", ("表", "sheet")),
    Heading("household", _HOUSEHOLD.titles, required=False),
    _UNIT,
    Heading("month", _MONTH.titles, required=False),
    _DUE,
    Heading("item", ("项目", "item")),
    Heading("count", ("笔数", "rows"), required=False),
    Heading("amount", ("金额（元）", "金额(元)", "金额", "yuan")),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where: the row as the sender's program counts; 0 for the sheet as a whole."""

    sheet: str
    row: int
    column: str
    zh: str
    en: str

    @property
    def place(self) -> str:
        """`欠费 第 7 行「费用月份」`."""
        column = f"「{self.column}」" if self.column else ""
        return f"{self.sheet} 第 {self.row} 行{column}" if self.row else f"{self.sheet}{column}"


@dataclass(frozen=True, slots=True)
class ArrearRow:
    """What a household owes of one item of one month."""

    row: int
    household: str
    unit: str
    month: date
    due_on: date | None
    item: LineKind
    fen: int


@dataclass(frozen=True, slots=True)
class PrepaidRow:
    """What a household paid in advance."""

    row: int
    household: str
    fen: int


@dataclass(frozen=True, slots=True)
class DepositRow:
    """A deposit that was paid and is held."""

    row: int
    household: str
    unit: str
    fen: int


@dataclass(frozen=True, slots=True)
class Stated:
    """A total of the old system."""

    row: int
    count: int | None
    fen: int


@dataclass(slots=True)
class OldBooks:
    """Everything that could be read, and each fault; rows with a fault are left out."""

    arrears: list[ArrearRow] = field(default_factory=list)
    prepaid: list[PrepaidRow] = field(default_factory=list)
    deposits: list[DepositRow] = field(default_factory=list)
    money: dict[str, int] = field(default_factory=dict)
    totals: dict[str, Stated] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def held_fen(self) -> int:
        """The money."""
        return sum(self.money.get(word, 0) for word in HELD.values())

    @property
    def owed_fen(self) -> int:
        """What of it is the treasury's and the companies'."""
        return sum(self.money.get(word, 0) for word in OWED.values())


def read_old_books(body: bytes) -> OldBooks:
    """Read a file; what cannot be read of it is a fault."""
    found = OldBooks()
    try:
        tables = _workbook(body, found.faults) if body.startswith(ZIP) else _flat(body, found.faults)
    except TableFileError as error:
        found.faults.append(Fault("文件", 0, "", error.zh, error.en))
        return found
    readers = {
        ARREARS: _read_arrear,
        PREPAID: _read_prepaid,
        DEPOSITS: _read_deposit,
        MONEY: _read_money,
        TOTALS: _read_total,
    }
    for sheet, table in tables.items():
        for row in table.rows:
            cells = Cells(table, row)
            readers[sheet](cells, found)
            found.faults += [_fault(sheet, fault) for fault in cells.faults]
    return found


def _workbook(body: bytes, faults: list[Fault]) -> dict[str, Table]:
    tables: dict[str, Table] = {}
    for sheet, headings in HEADINGS.items():
        try:
            tables[sheet] = read_table(body, headings)
        except TableFileError as error:
            faults.append(Fault(sheet, 0, "", error.zh, error.en))
    return tables


def _flat(body: bytes, faults: list[Fault]) -> dict[str, Table]:
    table = read_table(body, FLAT)
    rows: dict[str, list[TableRow]] = {sheet: [] for sheet in SHEETS}
    for row in table.rows:
        sheet = row.cells["sheet"]
        if sheet in rows:
            rows[sheet].append(row)
        else:
            words = "、".join(SHEETS)
            faults.append(
                Fault(
                    "CSV",
                    row.number,
                    table.titles["sheet"],
                    f"应为其中之一：{words}",
                    f"one of these is needed: {words}",
                )
            )
    return {sheet: Table(table.header, table.titles, mine) for sheet, mine in rows.items()}


def _read_arrear(cells: Cells, found: OldBooks) -> None:
    household, month = cells.read("household", needed), cells.read("month", charge_month)
    item, amount = cells.read("item", one_of(ITEMS)), cells.read("amount", owed)
    due_on = cells.read("due", day) if cells.text("due") else None
    if due_on is not None and month is not None and due_on < month:
        cells.fault("due", "到期日早于费用月份", "it lies before the month that is charged")
    if household is None or month is None or item is None or amount is None:
        return
    row = ArrearRow(cells.row.number, household, cells.text("unit"), month, due_on, item, amount)
    found.arrears.append(row)


def _read_prepaid(cells: Cells, found: OldBooks) -> None:
    household, amount = cells.read("household", needed), cells.read("amount", owed)
    if household is not None and amount is not None:
        found.prepaid.append(PrepaidRow(cells.row.number, household, amount))


def _read_deposit(cells: Cells, found: OldBooks) -> None:
    household, amount = cells.read("household", needed), cells.read("amount", owed)
    if household is not None and amount is not None:
        found.deposits.append(DepositRow(cells.row.number, household, cells.text("unit"), amount))


def _read_money(cells: Cells, found: OldBooks) -> None:
    word = cells.read("item", one_of({key.casefold(): word for key, word in {**HELD, **OWED}.items()}))
    amount = cells.read("amount", not_below_zero)
    if word is None or amount is None:
        return
    if word in found.money:
        cells.fault("item", "这一项出现了两次", "this stands here twice")
    else:
        found.money[word] = amount


def _read_total(cells: Cells, found: OldBooks) -> None:
    word = cells.read("item", one_of({name: name for name in STATED}))
    amount = cells.read("amount", not_below_zero)
    needs_count = word in COUNTED
    count = cells.read("count", whole) if needs_count or cells.text("count") else None
    if word is None or amount is None or (needs_count and count is None):
        return
    if word in found.totals:
        cells.fault("item", "这一项出现了两次", "this stands here twice")
    else:
        found.totals[word] = Stated(cells.row.number, count, amount)


def charge_month(cell: str) -> date:
    """`2026-03`, `2026/3`, `2026年3月`, `202603`, or any day of it, as its first day."""
    plain = re.fullmatch(r"(\d{4})(?:[-/.年](\d{1,2})月?|(\d{2}))", cell.strip(), re.ASCII)
    try:
        if plain is not None:
            return date(int(plain[1]), int(plain[2] or plain[3]), 1)
        return day(cell).replace(day=1)
    except (ValueError, WrongCellError):
        raise WrongCellError("应为月份，如 2026-03", "a month such as 2026-03 is needed") from None


def owed(cell: str) -> int:
    """An amount above nought."""
    amount = not_below_zero(cell)
    if amount == 0:
        raise WrongCellError("金额须大于零", "an amount above nought is needed")
    return amount


def not_below_zero(cell: str) -> int:
    """An amount, perhaps nought."""
    amount = fen(cell)
    if not 0 <= amount <= FEN_MAX:
        raise WrongCellError("金额超出范围（不能为负）", "the amount is below nought or too large")
    return amount


def _fault(sheet: str, fault: CellFault) -> Fault:
    return Fault(sheet, fault.row, fault.column, fault.zh, fault.en)


def pattern() -> list[Sheet]:
    """The workbook to fill in: every sheet with its header, and the items that have to be named."""
    rows: Mapping[str, Sequence[tuple[str | int | None, ...]]] = {
        MONEY: [(name, 0) for name in (*HELD, *OWED)],
        TOTALS: [(name, 0 if name in COUNTED else None, 0) for name in STATED],
    }
    return [_sheet(sheet, rows.get(sheet, ())) for sheet in SHEETS]


def _sheet(sheet: str, rows: Iterable[tuple[str | int | None, ...]]) -> Sheet:
    kinds = {"amount": Kind.YUAN, "count": Kind.WHOLE}
    columns = tuple(Column(one.titles[0], kinds.get(one.key, Kind.TEXT)) for one in HEADINGS[sheet])
    return Sheet(sheet, columns, rows, NOTES[sheet])


NOTES: Mapping[str, tuple[str, ...]] = {
    ARREARS: (
        f"每户每月每项一行；欠费项目：{'、'.join(ITEMS)}。房源、到期日可不填；一户多份租约时须填房源。",
    ),
    PREPAID: ("每户一行：已交、还没有用于任何月份的钱。",),
    DEPOSITS: ("每份租约一行：已收、在押的押金（没交的押金填在“欠费”）。",),
    MONEY: ("接管前一日晚的余额；没有的填 0。",),
    TOTALS: ("原系统自己的合计，逐项照抄；与各表加总不符则整份退回。",),
}
