"""A bank's CSV by the column mapping that is saved with the account."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from backend.reconciliation.accounts import CsvMapping, Words
from backend.reconciliation.errors import FileEmptyError, LineError, OtherAccountError, TruncatedError
from backend.reconciliation.importers.bank_text import kind_of
from backend.reconciliation.lines import Format, ReadFile, Side, StatementLine
from backend.reconciliation.reading import (
    Limits,
    check_balances,
    check_numbers,
    check_size,
    check_width,
    columns_of,
    day_ends,
    fen_of,
    normal,
    rows_of,
    text_of,
)
from backend.registry.rules import BEIJING


def read(raw: bytes, account_ref: str, mapping: CsvMapping, words: Words, limits: Limits) -> ReadFile:
    """Read a statement; it is complete from its first row's day to its last one's.

    Raises:
        FileRefusedError: see `backend.reconciliation.errors`.
    """
    check_size(raw, limits)
    text = text_of(raw, mapping.encoding)
    if not text.endswith("\n"):
        raise TruncatedError(text.count("\n") + 1)
    rows = rows_of(text, limits, mapping.delimiter)
    for _ in range(mapping.skip_rows):
        next(rows, None)
    head_no, header = next(rows, (mapping.skip_rows + 1, []))
    names = [normal(name) for name in header]
    columns = columns_of(names, (normal(name) for name in mapping.columns()), head_no)
    lines = [
        _Row(columns, mapping, line_no, row).line(account_ref, words)
        for line_no, row in rows
        if _is_row(row, names, line_no)
    ]
    if not lines:
        raise FileEmptyError
    if mapping.newest_first:
        lines.reverse()
    check_numbers(lines)
    opening, closing = check_balances(lines)
    days = [line.value_on for line in lines]
    return ReadFile(
        Format.BANK_CSV,
        tuple(lines),
        min(days),
        max(days) + timedelta(days=1),
        opening,
        closing,
        day_ends(lines, opening),
    )


def _is_row(row: Sequence[str], header: Sequence[str], line_no: int) -> bool:
    if not any(cell.strip() for cell in row):
        return False
    check_width(row, header, line_no)
    return True


class _Row:
    """One row, read by the mapping."""

    def __init__(self, columns: dict[str, int], mapping: CsvMapping, line_no: int, row: list[str]) -> None:
        self._columns, self._mapping, self._line_no, self._row = columns, mapping, line_no, row

    def value(self, column: str | None) -> str:
        return self._row[self._columns[normal(column)]].strip() if column else ""

    def fen(self, column: str | None) -> int:
        return fen_of(self.value(column), self._line_no, column or "")

    def amount_fen(self) -> int:
        mapping = self._mapping
        if mapping.income is not None:
            came, went = self.fen(mapping.income), abs(self.fen(mapping.expense))
            if came and went:
                raise LineError(self._line_no, mapping.income, self.value(mapping.income))
            return came - went
        amount_fen = self.fen(mapping.amount)
        if mapping.direction is None:
            return amount_fen
        said = self.value(mapping.direction)
        if said not in (mapping.direction_in, mapping.direction_out):
            raise LineError(self._line_no, mapping.direction, said)
        return amount_fen if said == mapping.direction_in else -amount_fen

    def line(self, account_ref: str, words: Words) -> StatementLine:
        mapping, line_no = self._mapping, self._line_no
        if mapping.account is not None and self.value(mapping.account) != account_ref:
            raise OtherAccountError(line_no, self.value(mapping.account), account_ref)
        try:
            on = datetime.strptime(self.value(mapping.day), mapping.day_format).replace(tzinfo=BEIJING).date()
        except ValueError:
            raise LineError(line_no, mapping.day, self.value(mapping.day)) from None
        amount_fen, balance_fen = self.amount_fen(), self.fen(mapping.balance)
        note = self.value(mapping.note)
        # Where the bank gives no number, day, amount, balance and text make one that only this row has.
        said = f"{on}|{amount_fen}|{balance_fen}|{note}"
        number = self.value(mapping.number) or hashlib.sha256(said.encode()).hexdigest()[:24]
        return StatementLine(
            line_no=line_no,
            side=Side.BANK,
            kind=kind_of(note, amount_fen, words.charge, words.interest),
            external_id=number,
            amount_fen=amount_fen,
            value_on=on,
            our_ref=self.value(mapping.reference),
            payer=self.value(mapping.payer),
            note=note,
            balance_fen=balance_fen,
        )
