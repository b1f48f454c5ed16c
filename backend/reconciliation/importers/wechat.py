"""What both WeChat bills have in common: a header, values behind backticks, and two lines of totals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backend.reconciliation.errors import FileTooLargeError, LineError, TotalError, TruncatedError
from backend.reconciliation.reading import Limits, columns_of, text_of


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill taken apart: columns by name, rows with their line, totals with theirs."""

    columns: Mapping[str, int]
    rows: tuple[tuple[int, list[str]], ...]
    totals: Mapping[str, str]
    totals_no: int

    def check_total(self, name: str, counted: int | str) -> None:
        """Hold a total against what was counted.

        Raises:
            TotalError: it says something else, or is not there.
        """
        said = self.totals.get(name)
        if said != str(counted):
            raise TotalError(self.totals_no, name, said or "—", str(counted))


def take_apart(raw: bytes, wanted: tuple[str, ...], totals_begin: str, limits: Limits) -> Bill:
    """Read the text of a bill.

    Args:
        wanted: the columns that are needed.
        totals_begin: the first heading of the totals.
    Raises:
        EncodingError, HeaderError, LineError, TruncatedError, FileTooLargeError
    """
    lines = text_of(raw, "utf-8").splitlines()
    if len(lines) > limits.lines_max:
        raise FileTooLargeError(f"超过 {limits.lines_max} 行", f"it has more than {limits.lines_max} lines")
    header = lines[0].split(",") if lines else []
    columns = columns_of(header, wanted, 1)
    rows = tuple(_rows(lines, len(header), totals_begin))
    at = len(rows) + 1
    if len(lines) < at + 2 or not raw.endswith(b"\n"):
        raise TruncatedError(len(lines))
    names, values = lines[at].split(","), _values(lines[at + 1])
    if len(names) != len(values) or len(lines) > at + 2:
        raise LineError(at + 2, "合计 totals", lines[at + 1])
    return Bill(columns, rows, dict(zip(names, values, strict=True)), at + 2)


def _rows(lines: list[str], width: int, totals_begin: str) -> Iterator[tuple[int, list[str]]]:
    for line_no, line in enumerate(lines[1:], start=2):
        if line.startswith(totals_begin):
            return
        if not line.startswith("`"):
            raise LineError(line_no, "`", line)
        values = _values(line)
        if len(values) < width:
            raise TruncatedError(line_no)
        if len(values) > width:
            raise LineError(line_no, "列数 columns", str(len(values)))
        yield line_no, values


def _values(line: str) -> list[str]:
    # Between values stands comma and backtick, so a comma within a value does no harm.
    return line[1:].split(",`")
