"""What a column of a table for people holds, and how a cell of it is written. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum

# China has one time zone and has had no summer time since 1991, so a fixed offset is exact.
BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")
TOTAL = "合计 Total"
# What a spreadsheet keeps of a number: more digits would come back changed.
DIGITS_MAX = 15

Cell = str | int | date | datetime | None


class Kind(StrEnum):
    """How a column's cells are meant."""

    TEXT = "text"
    YUAN = "yuan"  # cells are integer fen, written as yuan with two decimals
    WHOLE = "whole"
    SHARE = "share"  # cells are integer permille, written as per cent with one decimal
    DATE = "date"
    MOMENT = "moment"  # cells are aware datetimes, written on the clock of Jiangmen


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        width: in characters; None for what its kind usually needs.
        total: whether the last row adds it up.
    """

    title: str
    kind: Kind = Kind.TEXT
    width: int | None = None
    total: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table that can be written as a workbook's sheet or as CSV.

    Attributes:
        name: up to 31 characters, unique in its workbook.
        rows: read once; may be a generator of any length.
        heading: lines above the header, for people.
    """

    name: str
    columns: tuple[Column, ...]
    rows: Iterable[Sequence[Cell]]
    heading: tuple[str, ...] = field(default=())


class CellError(ValueError):
    """A cell does not hold what its column says: a mistake of the program that made the table."""

    def __init__(self, column: Column, value: object) -> None:
        self.column, self.value = column, value
        super().__init__(f"column {column.title!r} ({column.kind}) cannot hold {value!r}")


def exact_yuan(fen: int) -> Decimal:
    """`123450` as the number 1234.50; a binary number would show 9.95 as 9.949999999999999.

    Raises:
        OverflowError: more digits than a spreadsheet keeps.
    """
    if len(str(abs(fen))) > DIGITS_MAX:
        raise OverflowError(f"{fen} fen has more digits than a spreadsheet keeps")
    return Decimal(fen).scaleb(-2)


def written(column: Column, value: Cell) -> str:
    """A cell as plain text, without thousands commas: `1234.50`, `98.5%`, `2026-11-03`.

    Raises:
        CellError: the value is not of the column's kind.
    """
    if value is None:
        return ""
    check(column, value)
    match column.kind, value:
        case Kind.YUAN, int(fen):
            return str(exact_yuan(fen))
        case Kind.SHARE, int(permille):
            return f"{Decimal(permille).scaleb(-1)}%"
        case Kind.MOMENT, datetime() as moment:
            return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"
        case Kind.DATE, date() as day:
            return day.isoformat()
    return str(value)


def check(column: Column, value: Cell) -> None:
    """Refuse a value of another kind; a float never passes.

    Raises:
        CellError
    """
    match column.kind:
        case Kind.TEXT:
            fits = isinstance(value, str)
        case Kind.YUAN | Kind.WHOLE | Kind.SHARE:
            fits = isinstance(value, int) and not isinstance(value, bool)
        case Kind.DATE:
            fits = isinstance(value, date) and not isinstance(value, datetime)
        case Kind.MOMENT:
            fits = isinstance(value, datetime) and value.tzinfo is not None
    if not fits:
        raise CellError(column, value)


class Totals:
    """Adds up the columns that want it, row by row."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._sums = [0] * len(columns)
        self._added = [place for place, column in enumerate(columns) if column.total]
        self.wanted = bool(self._added)

    def add(self, row: Sequence[Cell]) -> None:
        """Count one row."""
        for place in self._added:
            value = row[place]
            if isinstance(value, int):
                self._sums[place] += value

    def row(self) -> tuple[Cell, ...]:
        """The last row."""
        return total_row(self._columns, self._sums)


def total_row(columns: Sequence[Column], sums: Sequence[int | None]) -> tuple[Cell, ...]:
    """The row below a table: its sums, and the word for it in the first text column that has none."""
    cells: list[Cell] = [fen if column.total else None for column, fen in zip(columns, sums, strict=True)]
    for place, column in enumerate(columns):
        if not column.total and column.kind is Kind.TEXT:
            cells[place] = TOTAL
            break
    return tuple(cells)


# When a generated file says it was made: always the same, so that equal content has equal bytes.
MADE_AT = datetime(2000, 1, 1, tzinfo=UTC)
