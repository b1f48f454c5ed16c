"""ISO 20022 camt.053, any version: a small streaming reader that keeps nothing but the entry at hand."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from backend.reconciliation.accounts import Words
from backend.reconciliation.errors import (
    FileEmptyError,
    FileTooLargeError,
    HeaderError,
    LineError,
    OtherAccountError,
    TotalError,
    TruncatedError,
    yuan,
)
from backend.reconciliation.importers.bank_text import kind_of
from backend.reconciliation.importers.joining import Part, joined
from backend.reconciliation.lines import Format, ReadFile, Side, StatementLine
from backend.reconciliation.reading import Limits, check_currency, check_size, fen_of

_CHUNK = 64 * 1024
_TEXT_MAX = 4096
_DEPTH_MAX = 32
_ROOT = "Document/BkToCstmrStmt/Stmt"


def read(raw: bytes, account_ref: str, words: Words, limits: Limits) -> ReadFile:
    """Read the statements of a file.

    Raises:
        FileRefusedError: see `backend.reconciliation.errors`.
    """
    check_size(raw, limits)
    statements = _Statements(account_ref, words, limits)
    parser = XMLParser(target=statements, forbid_dtd=True)
    statements.expat = parser.parser
    stream = io.BytesIO(raw)
    try:
        while chunk := stream.read(_CHUNK):
            parser.feed(chunk)
        parser.close()
    except (ParseError, DefusedXmlException) as error:
        line_no = getattr(error, "position", (parser.parser.CurrentLineNumber, 0))[0]
        if "no element found" in str(error) or "unclosed" in str(error):
            raise TruncatedError(line_no) from error
        raise LineError(line_no, "XML", str(error)) from error
    if not statements.parts:
        raise FileEmptyError
    return joined(Format.CAMT053, statements.parts)


class _Statements:
    """What the parser tells, collected by path; an entry becomes a line as soon as it ends."""

    def __init__(self, account_ref: str, words: Words, limits: Limits) -> None:
        self.parts: list[Part] = []
        self.expat: Any = None
        self._account_ref, self._words, self._limits = account_ref, words, limits
        self._path: list[str] = []
        self._text: list[str] = []
        self._begin_statement()

    def _begin_statement(self) -> None:
        self._begun_no = 0
        self._facts: dict[str, str] = {}
        self._balance: dict[str, str] = {}
        self._balances: dict[str, tuple[int, date]] = {}
        self._entry: dict[str, str] = {}
        self._entry_no = 0
        self._lines: list[StatementLine] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = tag.rpartition("}")[2]
        self._path.append(name)
        if len(self._path) > _DEPTH_MAX:
            raise LineError(self._now(), "XML", "depth")
        self._text = []
        here = self._here()
        if here == "":
            self._begin_statement()
            self._begun_no = self._now()
        elif here == "Ntry":
            self._entry, self._entry_no = {}, self._now()
        elif here == "Bal":
            self._balance = {}
        if "Ccy" in attributes and here in ("Ntry/Amt", "Bal/Amt"):
            check_currency(attributes["Ccy"], self._now())

    def data(self, text: str) -> None:
        if sum(map(len, self._text)) < _TEXT_MAX:
            self._text.append(text)

    def end(self, _: str) -> None:
        here, text = self._here(), "".join(self._text).strip()
        self._path.pop()
        self._text = []
        if here is None:
            return
        if here == "":
            self._end_statement()
        elif here == "Ntry":
            self._end_entry()
        elif here == "Bal":
            self._end_balance()
        elif here.startswith("Ntry/") and text:
            self._entry[here[5:]] = f"{self._entry.get(here[5:], '')} {text}".strip()
        elif here.startswith("Bal/") and text:
            self._balance[here[4:]] = text
        elif text:
            self._facts[here] = text

    def close(self) -> None:
        if self._path:
            raise TruncatedError(self._now())

    def _here(self) -> str | None:
        """The path below the statement; "" is the statement itself."""
        path = "/".join(self._path)
        if path == _ROOT:
            return ""
        return path[len(_ROOT) + 1 :] if path.startswith(_ROOT + "/") else None

    def _now(self) -> int:
        return int(self.expat.CurrentLineNumber)

    def _signed(self, facts: Mapping[str, str]) -> int:
        fen = fen_of(facts.get("Amt", "?"), self._now(), "Amt")
        match facts.get("CdtDbtInd"):
            case "CRDT":
                return fen
            case "DBIT":
                return -fen
            case other:
                raise LineError(self._now(), "CdtDbtInd", str(other))

    def _day(self, facts: Mapping[str, str], *names: str) -> date:
        for name in names:
            if found := facts.get(name):
                try:
                    return date.fromisoformat(found[:10])
                except ValueError:
                    raise LineError(self._now(), name, found) from None
        raise LineError(self._now(), names[0], "")

    def _end_balance(self) -> None:
        code = self._balance.get("Tp/CdOrPrtry/Cd", "")
        day = self._day(self._balance, "Dt/Dt", "Dt/DtTm")
        self._balances[code] = (self._signed(self._balance), day)

    def _end_entry(self) -> None:
        if len(self._lines) >= self._limits.lines_max:
            raise FileTooLargeError("流水过多", "it has too many entries")
        facts = self._entry
        # Only what is booked has moved; what is announced comes again when it is.
        if facts.get("Sts/Cd", facts.get("Sts", "BOOK")) != "BOOK":
            return
        amount_fen = self._signed(facts)
        note = " ".join(
            facts[name] for name in ("NtryDtls/TxDtls/RmtInf/Ustrd", "AddtlNtryInf") if name in facts
        )
        number = facts.get("AcctSvcrRef") or facts.get("NtryRef")
        if not number:
            raise LineError(self._entry_no, "AcctSvcrRef", "")
        reference = facts.get("NtryDtls/TxDtls/Refs/EndToEndId", "")
        self._lines.append(
            StatementLine(
                line_no=self._entry_no,
                side=Side.BANK,
                kind=kind_of(note, amount_fen, self._words.charge, self._words.interest),
                external_id=number,
                amount_fen=amount_fen,
                value_on=self._day(facts, "BookgDt/Dt", "BookgDt/DtTm", "ValDt/Dt"),
                our_ref="" if reference == "NOTPROVIDED" else reference,
                payer=facts.get(
                    "NtryDtls/TxDtls/RltdPties/Dbtr/Nm",
                    facts.get("NtryDtls/TxDtls/RltdPties/Dbtr/Pty/Nm", ""),
                ),
                note=note,
            )
        )

    def _end_statement(self) -> None:
        account = self._facts.get("Acct/Id/Othr/Id") or self._facts.get("Acct/Id/IBAN", "")
        if account != self._account_ref:
            raise OtherAccountError(self._begun_no, account, self._account_ref)
        opening = self._balances.get("OPBD") or self._balances.get("PRCD")
        closing = self._balances.get("CLBD")
        if opening is None or closing is None:
            raise HeaderError(self._begun_no, "OPBD, CLBD")
        self._check_totals(opening[0], closing[0])
        from_on = min([line.value_on for line in self._lines] + [opening[1] + timedelta(days=1), closing[1]])
        to_on = closing[1] + timedelta(days=1)
        self.parts.append(Part(tuple(self._lines), from_on, to_on, opening[0], closing[0], self._begun_no))

    def _check_totals(self, opening_fen: int, closing_fen: int) -> None:
        counted = opening_fen + sum(line.amount_fen for line in self._lines)
        if counted != closing_fen:
            raise TotalError(self._now(), "CLBD", yuan(closing_fen), yuan(counted))
        said = self._facts.get("TxsSummry/TtlNtries/NbOfNtries")
        if said is not None and said != str(len(self._lines)):
            raise TotalError(self._now(), "NbOfNtries", said, str(len(self._lines)))
