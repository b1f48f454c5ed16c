"""Several statements in one file: each has to begin where the one before it ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from backend.reconciliation.errors import RunningBalanceError
from backend.reconciliation.lines import Format, ReadFile, StatementLine
from backend.reconciliation.reading import check_numbers, day_ends


@dataclass(frozen=True, slots=True)
class Part:
    """One statement of a file, with the line it begins on."""

    lines: tuple[StatementLine, ...]
    from_on: date
    to_on: date
    opening_fen: int
    closing_fen: int
    line_no: int


def joined(format_: Format, parts: Sequence[Part]) -> ReadFile:
    """One file of all parts.

    Raises:
        RunningBalanceError: a part does not begin where the one before it ended.
        DuplicateLineError: a number occurs twice.
    """
    ends: dict[date, int] = {}
    balance = parts[0].opening_fen
    for part in parts:
        if part.opening_fen != balance:
            raise RunningBalanceError(part.line_no, part.opening_fen, balance)
        ends |= day_ends(part.lines, part.opening_fen)
        balance = part.closing_fen
    to_on = max(part.to_on for part in parts)
    ends[to_on - timedelta(days=1)] = balance
    lines = tuple(line for part in parts for line in part.lines)
    check_numbers(lines)
    return ReadFile(
        format_,
        lines,
        min(part.from_on for part in parts),
        to_on,
        parts[0].opening_fen,
        balance,
        ends,
    )
