"""What people type into cells, as values: days, amounts, whole numbers, yes and no, choices. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from backend.documents.table_file import Table, TableRow

AMOUNT = re.compile(r"(-?)(\d{1,3}(?:,\d{3})+|\d{1,13})(?:\.(\d{1,2}))?")
DAY = re.compile(r"(\d{4})(?:[-/.年](\d{1,2})[-/.月](\d{1,2})日?|(\d{2})(\d{2}))(?: 00:00:00)?")
YES = frozenset({"是", "有", "同意", "已同意", "y", "yes", "true", "1", "√"})
NO = frozenset({"", "否", "无", "不同意", "n", "no", "false", "0", "×"})

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class CellFault:
    """A cell that does not hold what its column asks for; `column` is titled as in the file."""

    row: int
    column: str
    zh: str
    en: str

    @property
    def place(self) -> str:
        """Where it stands: `第 7 行「出生日期」`."""
        return f"第 {self.row} 行「{self.column}」"


class WrongCellError(ValueError):
    """What a reader of a cell says; it never quotes the cell, which may hold anything about anybody."""

    def __init__(self, zh: str, en: str) -> None:
        self.zh, self.en = zh, en
        super().__init__(en)


@dataclass(slots=True)
class Cells:
    """Reads the cells of one row and remembers each fault."""

    table: Table
    row: TableRow
    faults: list[CellFault] = field(default_factory=list)

    def text(self, key: str) -> str:
        """The cell as it is; empty when the column is missing."""
        return self.row.cells.get(key, "")

    def read(self, key: str, reader: Callable[[str], ValueT]) -> ValueT | None:
        """The cell's value, or None with a fault noted."""
        try:
            return reader(self.text(key))
        except WrongCellError as wrong:
            self.fault(key, wrong.zh, wrong.en)
            return None

    def fault(self, key: str, zh: str, en: str) -> None:
        """Note what is wrong with a cell."""
        self.faults.append(CellFault(self.row.number, self.table.titles.get(key, key), zh, en))


def needed(cell: str) -> str:
    """A text that must be there."""
    if not cell:
        raise WrongCellError("不能为空", "it must not be empty")
    return cell


def day(cell: str) -> date:
    """`2026-11-03`, `2026/11/3`, `2026年11月3日` or `20261103`."""
    match = DAY.fullmatch(_narrow(cell))
    if match is not None:
        year, month, on, month_2, on_2 = match.groups()
        try:
            return date(int(year), int(month or month_2), int(on or on_2))
        except ValueError:
            pass
    raise WrongCellError("应为日期，如 2026-11-03", "a day such as 2026-11-03 is needed")


def fen(cell: str) -> int:
    """Yuan with at most two decimals, as integer fen: `1,234.50`, `¥386.4`, `386元`."""
    match = AMOUNT.fullmatch(_narrow(cell).replace("−", "-").removeprefix("¥").removesuffix("元").strip())
    if match is None:
        raise WrongCellError(
            "应为金额（元，最多两位小数）", "an amount in yuan with at most two decimals is needed"
        )
    sign, whole, decimals = match.groups()
    amount = int(whole.replace(",", "")) * 100 + int((decimals or "").ljust(2, "0") or 0)
    return -amount if sign else amount


def whole(cell: str) -> int:
    """A whole number."""
    plain = _narrow(cell)
    if not re.fullmatch(r"-?\d{1,15}", plain):
        raise WrongCellError("应为整数", "a whole number is needed")
    return int(plain)


def yes(cell: str) -> bool:
    """Yes or no; empty is no."""
    plain = _narrow(cell).casefold()
    if plain in YES:
        return True
    if plain in NO:
        return False
    raise WrongCellError("应填“是”或“否”", "yes or no is needed")


def one_of(words: Mapping[str, ValueT]) -> Callable[[str], ValueT]:
    """A reader of one of these words."""

    def read(cell: str) -> ValueT:
        found = words.get(_narrow(cell).casefold())
        if found is None:
            known = "、".join(words)
            raise WrongCellError(f"应为其中之一：{known}", f"one of these is needed: {known}")
        return found

    return read


def several(cell: str) -> list[str]:
    """Values with a semicolon between them; blanks around them do not count."""
    return [one.strip() for one in re.split(r"[;；\n]", cell) if one.strip()]


def _narrow(cell: str) -> str:
    """Full-width digits and signs as the narrow ones they mean."""
    return unicodedata.normalize("NFKC", cell).strip()
