"""MT940 statements, read by the mt-940 library; balances are checked here."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import mt940

from backend.reconciliation.accounts import Words
from backend.reconciliation.errors import (
    CurrencyError,
    FileEmptyError,
    FileTooLargeError,
    LineError,
    OtherAccountError,
    TotalError,
    TruncatedError,
    yuan,
)
from backend.reconciliation.importers.bank_text import kind_of
from backend.reconciliation.importers.joining import Part, joined
from backend.reconciliation.lines import Format, ReadFile, Side, StatementLine
from backend.reconciliation.reading import Limits, check_size, text_of

_TAG = re.compile(r"^:(20|61|62F|62M):", re.MULTILINE)


def read(raw: bytes, account_ref: str, words: Words, limits: Limits) -> ReadFile:
    """Read one or several statements that follow each other.

    Raises:
        FileRefusedError: see `backend.reconciliation.errors`.
    """
    check_size(raw, limits)
    text = text_of(raw, "utf-8").replace("\r\n", "\n")
    if text.count("\n:61:") > limits.lines_max:
        raise FileTooLargeError(f"超过 {limits.lines_max} 笔", f"it has more than {limits.lines_max} entries")
    parts, first_no = [], 1
    for block in _blocks(text):
        parts.append(_part(block, first_no, account_ref, words))
        first_no += block.count("\n")
    if not parts:
        raise FileEmptyError
    return joined(Format.MT940, parts)


def _blocks(text: str) -> list[str]:
    """The statements of a file, each from its :20: on."""
    starts = [found.start() for found in re.finditer(r"^:20:", text, re.MULTILINE)]
    ends = [*starts[1:], len(text)]
    # What stands before the first statement (a SWIFT header) is part of its block.
    return [
        text[0 if place == 0 else start : end]
        for place, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _part(block: str, first_no: int, account_ref: str, words: Words) -> Part:
    numbers = [
        first_no + block.count("\n", 0, found.start()) for found in _TAG.finditer(block) if found[1] == "61"
    ]
    last_no = first_no + block.rstrip("\n").count("\n")
    if not any(found[1].startswith("62") for found in _TAG.finditer(block)):
        raise TruncatedError(last_no)
    try:
        statement: Any = mt940.parse(block)
    except Exception as error:  # the library raises what its regular expressions and Decimal raise
        raise LineError(first_no, "MT940", type(error).__name__) from error
    found: dict[str, Any] = statement.data
    account = str(found.get("account_identification", ""))
    if account.rpartition("/")[2] != account_ref:
        raise OtherAccountError(first_no, account, account_ref)
    opening = found.get("final_opening_balance") or found.get("intermediate_opening_balance")
    closing = found.get("final_closing_balance") or found.get("intermediate_closing_balance")
    if opening is None or closing is None:
        raise TruncatedError(last_no)
    transactions = list(statement)
    if len(transactions) != len(numbers):
        raise LineError(numbers[0] if numbers else first_no, ":61:", f"{len(transactions)}/{len(numbers)}")
    lines = tuple(_line(one.data, line_no, words) for one, line_no in zip(transactions, numbers, strict=True))
    opening_fen, closing_fen = _fen(opening.amount, first_no), _fen(closing.amount, last_no)
    if opening_fen + sum(line.amount_fen for line in lines) != closing_fen:
        counted = opening_fen + sum(line.amount_fen for line in lines)
        raise TotalError(last_no, ":62F:", yuan(closing_fen), yuan(counted))
    # The opening balance is dated the day before the statement, or its first day.
    opened, closed = _day(opening.date), _day(closing.date)
    from_on = min([line.value_on for line in lines] + [opened + timedelta(days=1), closed])
    return Part(lines, from_on, closed + timedelta(days=1), opening_fen, closing_fen, first_no)


def _line(data: dict[str, Any], line_no: int, words: Words) -> StatementLine:
    amount_fen = _fen(data["amount"], line_no)
    note = " ".join(str(data.get("transaction_details") or "").split())
    reference = str(data.get("customer_reference") or "")
    number = str(data.get("bank_reference") or "")
    if not number:
        raise LineError(line_no, ":61: //", "")
    return StatementLine(
        line_no=line_no,
        side=Side.BANK,
        kind=kind_of(note, amount_fen, words.charge, words.interest),
        external_id=number,
        amount_fen=amount_fen,
        value_on=_day(data["date"]),
        our_ref="" if reference == "NONREF" else reference,
        payer=str(data.get("applicant_name") or ""),
        note=note,
    )


def _fen(amount: Any, line_no: int) -> int:
    if amount.currency != "CNY":
        raise CurrencyError(line_no, str(amount.currency))
    fen: Decimal = amount.amount * 100
    if fen != fen.to_integral_value():
        raise LineError(line_no, "amount", str(amount.amount))
    return int(fen)


def _day(value: Any) -> date:
    return date(value.year, value.month, value.day)
