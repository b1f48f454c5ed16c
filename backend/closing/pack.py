"""Writes a close pack: a folder whose every figure can be checked with tools that are not ours."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import astuple, dataclass, replace
from datetime import date, datetime
from pathlib import Path

from backend.closing import verify_pack
from backend.closing.beancount_file import beancount_lines
from backend.closing.book_reading import Opening, in_days
from backend.closing.helpers import Helpers
from backend.closing.hledger_file import hledger_lines
from backend.closing.records import BookMonth, Entry, Share
from backend.documents.columns import Cell, Sheet
from backend.documents.workbook import write_workbook

BEANCOUNT, JOURNAL, VERIFIER = "book.beancount", "book.journal", "verify_pack.py"
# The usual 6 takes more than twice as long for a tenth less.
COMPRESSION = 3
JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
README = """这是一个月的结账包。核对：python3 verify_pack.py . --head 结账单上的链头
This is the close pack of a month. To check it: python3 verify_pack.py . --head HEAD-OF-THE-CLOSE-SHEET
It needs Python 3.11 or later and nothing else. bean-check book.beancount and
hledger -f book.journal check -s (in a UTF-8 locale) check the books with tools that are not ours.
"""


@dataclass(frozen=True, slots=True)
class Chain:
    """The part of a book's chain that a pack holds: after `before`, up to the head.

    Attributes:
        before_sequence, before_hash: where it begins; nought and sixty-four noughts at the very beginning.
        head_sequence, head_hash: what is printed on the close sheet and kept outside.
        previous_head: the head of the month before; None where there is no closed month before.
    """

    before_sequence: int
    before_hash: str
    head_sequence: int
    head_hash: str
    previous_head: str | None


@dataclass(frozen=True, slots=True)
class OpenItem:
    """What is left of a charge at the end of the month."""

    household_id: str
    month: str | None
    due_on: date | None
    left_fen: int


@dataclass(frozen=True, slots=True)
class ChargeMonth:
    """What was charged for a month up to the end of the closed one, and what of it is left."""

    estate: str
    month: str
    charged_fen: int
    left_fen: int


@dataclass(frozen=True, slots=True)
class PackContent:
    """Everything that goes into a pack, except the manifest.

    Attributes:
        entries: the chain's, in their order; those of the month are among them.
        shares: of accounts that books share, by account and book.
        days, cases: rows of the reconciliation, as `verify_pack` names their fields.
        workbooks: their sheets by file name; read once.
        documents: finished files by name.
    """

    book: BookMonth
    chain: Chain
    entries: list[Entry]
    opening: list[Opening]
    households: Mapping[str, tuple[str, str]]
    items: list[OpenItem]
    months: list[ChargeMonth]
    days: list[tuple[Cell, ...]]
    cases: list[tuple[Cell, ...]]
    shares: list[Share]
    closed_at: datetime


def write_beancount(folder: Path, content: PackContent) -> None:
    """The month for beancount, by itself: its own program reads it while the rest is written."""
    month_entries = in_days(content.entries, content.book.month)
    _write(folder / BEANCOUNT, beancount_lines(content.book, month_entries))


def write_texts(folder: Path, content: PackContent) -> None:
    """The canonical files, the journal for hledger and the verifier."""
    month_entries = in_days(content.entries, content.book.month)
    _write(folder / JOURNAL, hledger_lines(content.book, month_entries))
    _write(folder / "entries.jsonl", (_json(entry_record(entry)) for entry in content.entries))
    _write_records(folder, content)
    (folder / "README.txt").write_text(README, "utf-8")
    shutil.copyfile(verify_pack.__file__, folder / VERIFIER)


def write_workbooks(
    helpers: Helpers, folder: Path, workbooks: Mapping[str, Iterable[Sheet]]
) -> list[Future[None]]:
    """The tables for people; the long ones side by side, while the next is read."""
    written = []
    for name, sheets in workbooks.items():
        tables, rows = _read(sheets)
        written.append(helpers.start(rows, write_workbook, folder / name, tables))
    return written


def _read(sheets: Iterable[Sheet]) -> tuple[list[Sheet], int]:
    """The tables with all of their rows, and how many there are."""
    tables, count = [], 0
    for sheet in sheets:
        rows = list(sheet.rows)
        tables.append(replace(sheet, rows=rows))
        count += len(rows)
    return tables, count


def write_manifest(folder: Path, content: PackContent) -> str:
    """The list of all files with their hashes; its own SHA-256 in hexadecimal."""
    names = sorted(path.name for path in folder.iterdir() if path.name != verify_pack.MANIFEST)
    chain = content.chain
    manifest = {
        "format": verify_pack.FORMAT,
        "book": content.book.book_id,
        "name_zh": content.book.name_zh,
        "month": str(content.book.month),
        "closed_at": content.closed_at.isoformat(),
        "chain": {
            "before_sequence": chain.before_sequence,
            "before_hash": chain.before_hash,
            "head_sequence": chain.head_sequence,
            "head_hash": chain.head_hash,
        },
        "previous_head": chain.previous_head,
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    (folder / verify_pack.MANIFEST).write_text(text, "utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def zip_pack(folder: Path, target: Path) -> None:
    """The files of the manifest, and itself, as one file; the same files give the same bytes."""
    manifest = json.loads((folder / verify_pack.MANIFEST).read_bytes())
    with zipfile.ZipFile(target, "w") as package:
        for name in sorted([*manifest["files"], verify_pack.MANIFEST]):
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            # A workbook is compressed already.
            member.compress_type = zipfile.ZIP_STORED if name.endswith(".xlsx") else zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            package.writestr(member, (folder / name).read_bytes(), compresslevel=COMPRESSION)


def entry_record(entry: Entry) -> dict[str, object]:
    """An entry as a line of `entries.jsonl`."""
    return {
        "sequence": entry.sequence,
        "hash": entry.entry_hash,
        "entry_id": entry.entry_id,
        "event_kind": entry.event_kind,
        "event_key": entry.event_key,
        "effective_on": entry.effective_on.isoformat(),
        "posted_at": entry.posted_at,
        "summary_zh": entry.summary_zh,
        "actor": entry.actor,
        "principal_id": entry.principal_id,
        "reverses_entry_id": entry.reverses_entry_id,
        "reverses_kind": entry.reverses_kind,
        "reason": entry.reason,
        "external_id": entry.external_id,
        "postings": entry.postings,
    }


def _write_records(folder: Path, content: PackContent) -> None:
    book = content.book
    files: dict[str, Iterable[tuple[object, ...]]] = {
        "accounts.jsonl": ((a.code, a.name_zh, a.kind, a.role) for a in book.accounts),
        "opening.jsonl": ((o.account_code, o.household_id, o.fen) for o in content.opening),
        "households.jsonl": ((key, *content.households[key]) for key in sorted(content.households)),
        "statements.jsonl": (
            (a.account_code, a.on.isoformat(), a.balance_fen, a.source, a.reference) for a in book.assertions
        ),
        "open-items.jsonl": (
            (i.household_id, i.month, i.due_on.isoformat() if i.due_on else None, i.left_fen)
            for i in content.items
        ),
        "months.jsonl": ((m.estate, m.month, m.charged_fen, m.left_fen) for m in content.months),
        "days.jsonl": (_plain(row) for row in content.days),
        "cases.jsonl": (_plain(row) for row in content.cases),
        "shares.jsonl": (_plain(astuple(one)) for one in content.shares),
    }
    for name, rows in files.items():
        fields = verify_pack.FIELDS[name].split()
        _write(folder / name, (_json(dict(zip(fields, row, strict=True))) for row in rows))


def _plain(row: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(value.isoformat() if isinstance(value, date) else value for value in row)


def _json(record: Mapping[str, object]) -> str:
    return JSON.encode(record) + "\n"


def _write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
