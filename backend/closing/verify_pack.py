#!/usr/bin/env python3
"""Checks a close pack: python3 verify_pack.py PACK [--head HEX] [--previous PACK], or several of one month.

One file on the standard library alone. A copy of it lies in every pack; take yours from elsewhere, and the
chain head from the signed close sheet, so that whoever could change the pack could not change these as well.

What is checked, in this order:
  manifest    every file is there, no other, each with its SHA-256
  chain       every entry's hash from its own content and the hash before it, up to the head
  entries     balanced, positive, each business event and each number of the other side once
  opening     sums to nothing, and is what the previous pack ended with
  statements  what bank, channel and provider say an account held is what the entries make of it
  shares      of an account that books share, their shares make what is stated, and ours is our entries'
  beancount, hledger, Excel    each figure is that of the entries
  together    (several packs) each says of the others' shares and chains what their own packs prove
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import cached_property, lru_cache
from html import unescape
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import Any

FORMAT = "estate-close-pack/1"
MANIFEST = "manifest.json"
GENESIS = "0" * 64
Row = tuple[Any, ...]


# The canonical files, one JSON object a line, and the fields of each.
FIELDS = {
    "accounts.jsonl": "code name_zh kind role",
    "opening.jsonl": "account household fen",
    "households.jsonl": "household ref unit",
    "entries.jsonl": "sequence hash entry_id event_kind event_key effective_on posted_at summary_zh actor"
    " principal_id reverses_entry_id reverses_kind reason external_id postings",
    "statements.jsonl": "account on balance_fen source reference",
    "open-items.jsonl": "household month due_on left_fen",
    "months.jsonl": "estate month charged_fen left_fen",
    "days.jsonl": "account on state line_count line_fen entry_count entry_fen matched waiting cases",
    "cases.jsonl": "case_id account kind side on difference_fen closed_on reason",
    "shares.jsonl": "account_id account source on balance_fen reference book share_fen head_sequence"
    " head_hash difference_fen",
}
POSTING = ("account", "debit_fen", "credit_fen", "estate", "unit", "household", "channel")


class DamagedError(Exception):
    """A file cannot be read as what it should be; the checks that need it are not made."""


# ---------------------------------------------------------------------------------------------- reading


def read_files(path: Path) -> dict[str, bytes]:
    """Everything in a pack, a folder or a zip file, by name."""
    if path.is_dir():
        return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}
    if not zipfile.is_zipfile(path):
        raise DamagedError(f"{path} is neither a folder nor a zip file")
    with zipfile.ZipFile(path) as package:
        return {name: package.read(name) for name in package.namelist() if not name.endswith("/")}


def read_lines(files: dict[str, bytes], name: str) -> list[Any]:
    """A file of JSON objects, one a line, each with exactly its fields."""
    rows, fields = [], FIELDS[name].split()
    # Only at line feeds: a text may hold other characters that some take for the end of a line.
    content = files.get(name, b"").decode()
    lines = content.removesuffix("\n").split("\n") if content else []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DamagedError(f"{name} line {number} is not JSON") from error
        if not isinstance(row, dict) or list(row) != fields:
            raise DamagedError(f"{name} line {number} does not have its fields in their order")
        rows.append(row)
    return rows


class Pack:
    """The canonical files of a pack, as Python values."""

    def __init__(self, path: Path) -> None:
        self.files = read_files(path)
        try:
            self.manifest: dict[str, Any] = json.loads(self.files[MANIFEST])
            if self.manifest["format"] != FORMAT:
                raise DamagedError(f"{MANIFEST} is not of the format {FORMAT}")
            self.first = date.fromisoformat(self.manifest["month"] + "-01")
            self.chain: dict[str, Any] = self.manifest["chain"]
        except (KeyError, ValueError, TypeError) as error:
            raise DamagedError(f"{MANIFEST} cannot be read: {error!r}") from error
        self.end = (self.first.replace(day=28) + timedelta(days=4)).replace(day=1)
        records = {name: read_lines(self.files, name) for name in FIELDS}
        self.accounts, self.opening = records["accounts.jsonl"], records["opening.jsonl"]
        self.households, self.entries = records["households.jsonl"], records["entries.jsonl"]
        self.statements, self.items = records["statements.jsonl"], records["open-items.jsonl"]
        self.months, self.days = records["months.jsonl"], records["days.jsonl"]
        self.cases, self.shares = records["cases.jsonl"], records["shares.jsonl"]
        self.book: str = self.manifest["book"]
        for entry in self.entries:
            entry["lines"] = [dict(zip(POSTING, line, strict=True)) for line in entry["postings"]]
        inside = [
            e for e in self.entries if self.first.isoformat() <= e["effective_on"] < self.end.isoformat()
        ]
        self.month_entries = sorted(inside, key=lambda e: (e["effective_on"], e["entry_id"]))

    def postings(self) -> Iterator[tuple[Any, int, Any]]:
        """(entry, line number, posting) of the month, in the order of days and entries."""
        for entry in self.month_entries:
            for number, line in enumerate(entry["lines"], start=1):
                yield entry, number, line

    def opening_of(self, *key: str) -> dict[Any, int]:
        """Opening balances added up by these fields."""
        return sums((tuple(row[k] for k in key), row["fen"]) for row in self.opening)

    @cached_property
    def closing(self) -> dict[Any, int]:
        """Balances at the end of the month by account and household; nil ones left out."""
        rows = [((row["account"], row["household"]), row["fen"]) for row in self.opening]
        rows += [((p["account"], p["household"]), fen_of(p)) for _, _, p in self.postings()]
        return {key: fen for key, fen in sums(rows).items() if fen}


def sums(rows: Iterable[tuple[Any, int]]) -> dict[Any, int]:
    """Amounts added up by key."""
    found: dict[Any, int] = {}
    for key, fen in rows:
        found[key] = found.get(key, 0) + fen
    return found


def fen_of(posting: dict[str, Any]) -> int:
    """Debit less credit."""
    return int(posting["debit_fen"] - posting["credit_fen"])


YUAN = re.compile(r"(-?)(\d+)(?:\.(\d{1,2}))?")


def fen_from(text: str) -> int:
    """`1234.5` as 123450; exact."""
    found = YUAN.fullmatch(text)
    if found is None:
        raise DamagedError(f"{text!r} is not an amount to the fen")
    fen = int(found[2]) * 100 + int((found[3] or "").ljust(2, "0"))
    return -fen if found[1] else fen


# ----------------------------------------------------------------------------------------------- checks


def entry_hash(previous: str, book: str, entry: dict[str, Any]) -> str:
    """The hash of an entry: SHA-256 of the hash before it and of the SHA-256 of its canonical text."""
    lines = entry["lines"]
    head = [book, entry["entry_id"], entry["event_kind"], entry["event_key"], entry["effective_on"]]
    head += [entry["posted_at"], len(lines), sum(p["debit_fen"] for p in lines), entry["summary_zh"]]
    head += [entry["principal_id"], entry["actor"], entry["reverses_entry_id"], entry["reason"]]
    text = "entry 1\n" + _fields(head)
    for number, posting in enumerate(entry["postings"], start=1):
        text += _fields([number, *posting])
    digest = hashlib.sha256(text.encode()).digest()
    return hashlib.sha256(bytes.fromhex(previous) + digest).hexdigest()


def _fields(values: Iterable[object]) -> str:
    """Each with its length in characters, a colon, itself, a comma; `-,` where there is none."""
    return "".join(["-," if v is None else f"{len(text := str(v))}:{text}," for v in values]) + "\n"


def check_manifest(pack: Pack) -> Iterator[str]:
    """Every file with its hash, and no other."""
    listed = pack.manifest.get("files", {})
    for name in sorted(set(listed) | (set(pack.files) - {MANIFEST})):
        if name not in pack.files:
            yield f"{name} is missing"
        elif name not in listed:
            yield f"{name} is not in the manifest"
        elif hashlib.sha256(pack.files[name]).hexdigest() != listed[name]:
            yield f"{name} is not the file of the manifest"
    for name in REQUIRED.split():
        if name not in listed:
            yield f"{name} belongs to every pack"


def check_chain(pack: Pack) -> Iterator[str]:
    """Sequences without a gap, each hash recomputed, up to the head."""
    sequence, previous = pack.chain["before_sequence"], pack.chain["before_hash"]
    if sequence == 0 and previous != GENESIS:
        yield "a chain begins with sixty-four noughts"
    for entry in pack.entries:
        sequence += 1
        if entry["sequence"] != sequence:
            yield f"entry {entry['sequence']} stands where {sequence} should"
            return
        if entry_hash(previous, pack.manifest["book"], entry) != entry["hash"]:
            yield f"the hash of entry {sequence} does not come out of its content and the hash before it"
            return
        previous = entry["hash"]
    if (sequence, previous) != (pack.chain["head_sequence"], pack.chain["head_hash"]):
        yield "the chain does not end with the manifest's head"


def check_head(pack: Pack, head: str) -> Iterator[str]:
    """The head of the chain is the one that was kept outside."""
    if pack.chain["head_hash"] != head.lower():
        yield f"the chain ends with {pack.chain['head_hash']}, the head kept outside is {head.lower()}"


def check_entries(pack: Pack) -> Iterator[str]:
    """Each entry balanced, one positive side a posting; each event and each number of the others once."""
    codes = {account["code"] for account in pack.accounts}
    events: set[Row] = set()
    numbers: set[str] = set()
    for entry in pack.entries:
        where, lines = f"entry {entry['sequence']}", entry["lines"]
        if any(
            min(p["debit_fen"], p["credit_fen"]) != 0 or max(p["debit_fen"], p["credit_fen"]) <= 0
            for p in lines
        ):
            yield f"{where} has a posting without exactly one positive side"
        if len(lines) < 2 or sum(map(fen_of, lines)) != 0:
            yield f"{where} is not balanced"
        if not {p["account"] for p in lines} <= codes:
            yield f"{where} is on an account that is not in the chart"
        event = (entry["event_kind"], entry["event_key"])
        if event in events:
            yield f"{where} is a second entry for {'/'.join(event)}"
        events.add(event)
        number = external_id(entry)
        if number != entry["external_id"]:
            yield f"{where} should carry the other side's number {number}, and carries {entry['external_id']}"
        if number is not None and number in numbers:
            yield f"{where} is a second entry for {number}"
        numbers.add(number or "")


BANK_KINDS = [
    "payout_arrived",
    "subsidy_received",
    "bank_charge",
    "bank_interest",
    "funding",
    "suspense_came_back",
]
CHANNEL_KINDS = ("payment", "provider_fee", "payout", "refund", "exchange_difference")
DISPUTE_KINDS = ("dispute_opened", "dispute_won", "dispute_lost")


def external_id(entry: dict[str, Any]) -> str | None:
    """The number by which the other side knows what an entry is about; None where there is no other side."""
    kind, key = entry["event_kind"], entry["event_key"]
    if kind in BANK_KINDS:
        return f"bank:{key}"
    if kind in ("suspense_received", "suspense_paid"):
        return key if ":" in key else f"bank:{key}"
    if kind in CHANNEL_KINDS:
        return str(key)
    return f"{key}:{kind}" if kind in DISPUTE_KINDS else None


def check_opening(pack: Pack) -> Iterator[str]:
    """The opening balances sum to nothing, each stands once, and in order."""
    if sum(row["fen"] for row in pack.opening):
        yield "the opening balances do not sum to nothing"
    keys = [(row["account"], row["household"] or "") for row in pack.opening]
    if keys != sorted(set(keys)) or any(row["fen"] == 0 for row in pack.opening):
        yield "the opening balances are not each once and in order"


def check_previous(pack: Pack, before: Pack) -> Iterator[str]:
    """It goes on where the previous pack ended: month, balances and chain."""
    if (before.manifest["book"], before.end) != (pack.manifest["book"], pack.first):
        yield "the previous pack is not of the month before in the same book"
    if pack.manifest["previous_head"] != before.chain["head_hash"]:
        yield "the head of the previous pack is not the one that this pack names"
    opening = {(row["account"], row["household"]): row["fen"] for row in pack.opening}
    for key in sorted(set(opening) ^ set(before.closing), key=str)[:5]:
        yield f"the opening balance of {key} is only in one of the two packs"
    for key, fen in before.closing.items():
        if key in opening and opening[key] != fen:
            yield f"{key} ended the month before with {fen} fen and begins with {opening[key]}"
    hashes = {e["sequence"]: e["hash"] for e in before.entries}
    hashes[before.chain["before_sequence"]] = before.chain["before_hash"]
    here = {e["sequence"]: e["hash"] for e in pack.entries}
    here[pack.chain["before_sequence"]] = pack.chain["before_hash"]
    both = set(hashes) & set(here)
    if not both:
        yield "the two chains have no entry in common"
    for sequence in sorted(both):
        if hashes[sequence] != here[sequence]:
            yield f"entry {sequence} has another hash than in the previous pack"
    late = {
        e["sequence"]
        for e in before.entries
        if pack.first.isoformat() <= e["effective_on"] < pack.end.isoformat()
    }
    if late - set(here):
        yield f"entries {sorted(late - set(here))} of this month stand in the previous pack only"


def check_statements(pack: Pack) -> Iterator[str]:
    """What the other side says is what the entries make, also at the end of the month."""
    balances = {key[0]: fen for key, fen in pack.opening_of("account").items()}
    moved: dict[str, dict[str, int]] = {}
    for entry, _, posting in pack.postings():
        days = moved.setdefault(posting["account"], {})
        days[entry["effective_on"]] = days.get(entry["effective_on"], 0) + fen_of(posting)
    keys = [(row["on"], row["account"], row["source"]) for row in pack.statements]
    if keys != sorted(set(keys)):
        yield "the statements' balances are not each once and in order"
    for row in pack.statements:
        ours = balances.get(row["account"], 0)
        ours += sum(fen for day, fen in moved.get(row["account"], {}).items() if day <= row["on"])
        if ours != row["balance_fen"]:
            yield (
                f"{row['source']} says {row['account']} held {row['balance_fen']} fen on {row['on']},"
                f" the entries make it {ours}"
            )
    last = (pack.end - timedelta(days=1)).isoformat()
    said = {row["account"] for row in pack.statements if row["on"] == last}
    # What is stated for several books together is checked with their shares.
    said |= {row["account"] for row in pack.shares if row["book"] == pack.book}
    for account in pack.accounts:
        code = account["code"]
        held = balances.get(code, 0) or code in moved
        if account["role"] in STATED_ROLES and held and code not in said:
            yield f"no statement says what {code} held at the end of the month"


def check_shares(pack: Pack) -> Iterator[str]:
    """Of each account that books share: shares and difference make the balance, and ours is our entries'."""
    keys = [(row["account_id"], row["book"]) for row in pack.shares]
    if keys != sorted(set(keys)):
        yield "the shares are not each once and in order"
    last = (pack.end - timedelta(days=1)).isoformat()
    held = sums((key[0], fen) for key, fen in pack.closing.items()) if pack.shares else {}
    roles = {account["code"]: account["role"] for account in pack.accounts}
    for account_id in sorted({row["account_id"] for row in pack.shares}):
        rows = [row for row in pack.shares if row["account_id"] == account_id]
        if any(row[word] != rows[0][word] for row in rows for word in SHARED_WORDS):
            yield f"the rows of {account_id} do not say the same about it"
        first = rows[0]
        if first["on"] != last or roles.get(first["account"]) not in STATED_ROLES:
            yield f"{account_id} is not an account with a statement of the month's end"
        together = sum(row["share_fen"] for row in rows)
        if together + first["difference_fen"] != first["balance_fen"]:
            yield (
                f"{first['source']} says {account_id} held {first['balance_fen']} fen for all books,"
                f" their shares make {together} and the difference is given as {first['difference_fen']}"
            )
        for row in rows:
            if not HASH.fullmatch(row["head_hash"]) or (row["head_sequence"] == 0) != (
                row["head_hash"] == GENESIS
            ):
                yield f"{account_id}: where the chain of {row['book']} stood is not told"
        own = [row for row in rows if row["book"] == pack.book]
        if not own:
            yield f"{account_id} has no share of {pack.book}"
            continue
        if own[0]["share_fen"] != held.get(first["account"], 0):
            ours = held.get(first["account"], 0)
            yield (
                f"the share of {pack.book} of {account_id} is {own[0]['share_fen']},"
                f" the entries make it {ours}"
            )
        if (own[0]["head_sequence"], own[0]["head_hash"]) != (
            pack.chain["head_sequence"],
            pack.chain["head_hash"],
        ):
            yield f"the share of {pack.book} of {account_id} does not stand on the head of its chain"


SHARED_WORDS = ("account", "source", "on", "balance_fen", "reference", "difference_fen")
HASH = re.compile("[0-9a-f]{64}")
STATED_ROLES = ("bank", "held_by_stripe", "held_by_wechat", "held_by_alipay")
MONEY_ROLES = ("cash", *STATED_ROLES, "payout_in_transit")
DUES = {
    "rent": ("rent_receivable", "rent_for_treasury_collected"),
    "late_fee": ("late_fee_receivable", "late_fee_collected"),
    "property_fee": ("property_fee_receivable", "property_fee_collected"),
    "utilities": ("utilities_receivable", "utilities_collected"),
    "deposit": ("deposit_receivable", "deposit"),
    "damage": ("damage_receivable", "damage_collected"),
}
OWED_ROLES = tuple(owed for owed, _ in DUES.values())
HOUSEHOLD_ROLES = (*OWED_ROLES, "prepaid_rent", "deposit", "deposit_held")


# ------------------------------------------------------------------------------- beancount and hledger


ROOTS = {
    "asset": ("Assets", "资产"),
    "liability": ("Liabilities", "负债"),
    "net_asset": ("Equity", "净资产"),
    "income": ("Income", "收入"),
    "expense": ("Expenses", "费用"),
}


def check_beancount(pack: Pack) -> Iterator[str]:
    """Accounts, opening balances, entries and balance assertions of the beancount file."""
    before = (pack.first - timedelta(days=1)).isoformat()
    names = {}
    for account in pack.accounts:
        short = "".join(letter for letter in account["name_zh"] if letter.isalnum())
        names[account["code"]] = f"{ROOTS[account['kind']][0]}:{account['code'].replace('.', '-')}-{short}"
    expected: list[Row] = [("option", "tolerance_multiplier", "0")]
    for account in pack.accounts:
        facts = [("code", account["code"]), ("name", _one_line(account["name_zh"]))]
        expected.append(("open", before, names[account["code"]], facts))
    expected += [("entry", before, [], lines) for lines in _opening_lines(pack, names)]
    for entry in pack.month_entries:
        facts = [("sequence", str(entry["sequence"])), *_facts(entry, _one_line)]
        lines = [(names[p["account"]], fen_of(p)) for p in entry["lines"]]
        expected.append(("entry", entry["effective_on"], facts, lines))
    for row in pack.statements:
        day = (date.fromisoformat(row["on"]) + timedelta(days=1)).isoformat()
        facts = [("source", _one_line(row["source"])), ("reference", _one_line(row["reference"]))]
        expected.append(("balance", day, names[row["account"]], row["balance_fen"], facts))
    yield from differences("beancount", expected, list(_read_beancount(pack)))


def _opening_lines(pack: Pack, names: dict[str, str]) -> list[list[Row]]:
    opening = [(names[key[0]], fen) for key, fen in sorted(pack.opening_of("account").items()) if fen]
    return [opening] if opening else []


BEANCOUNT_HEAD = re.compile(r"(\d{4}-\d\d-\d\d) (?:(open|balance) (\S+)(?: +(\S+))?.*|\* .*)")
BEANCOUNT_OPTION = re.compile(r'option "(\w+)" "(.*)"')
BEANCOUNT_META = re.compile(r'  ([a-z]+): "?([^"\\]*(?:\\.[^"\\]*)*)"?')
AMOUNT = re.compile(r" {2,4}(\S.*?) {2,}(-?[\d.]+) CNY(?: = (-?[\d.]+) CNY)?")
HLEDGER_ACCOUNT = re.compile(r"account (.+?)  ; type:.")
HLEDGER_HEAD = re.compile(r"(\d{4}-\d\d-\d\d) \* (?:\((\d+)\) )?(\S+) \| .*")


# The same lines come again and again.
@lru_cache(1 << 16)
def _amount(line: str) -> tuple[str, int, int | None] | None:
    """Account, amount and what is asserted to be there after it; None for another line."""
    found = AMOUNT.fullmatch(line)
    if found is None:
        return None
    return found[1], fen_from(found[2]), None if found[3] is None else fen_from(found[3])


def _read_beancount(pack: Pack) -> Iterator[Row]:
    for block in _blocks(pack, "book.beancount"):
        head, meta, lines = BEANCOUNT_HEAD.fullmatch(block[0]), [], []
        if head is None:
            option = BEANCOUNT_OPTION.fullmatch(block[0])
            if option is None:
                raise DamagedError(f"book.beancount: {block[0]!r} is not understood")
            if option[1] not in ("title", "operating_currency"):
                yield ("option", option[1], option[2])
            continue
        for line in block[1:]:
            if found := BEANCOUNT_META.fullmatch(line):
                text = found[2]
                meta.append((found[1], re.sub(r"\\(.)", r"\1", text) if "\\" in text else text))
            elif amount := _amount(line):
                lines.append(amount[:2])
            else:
                raise DamagedError(f"book.beancount: {line!r} is not understood")
        if head[2] == "open":
            yield ("open", head[1], head[3], meta)
        elif head[2] == "balance":
            yield ("balance", head[1], head[3], fen_from(head[4] or ""), meta)
        else:
            yield ("entry", head[1], meta, lines)


def check_hledger(pack: Pack) -> Iterator[str]:
    """Accounts, opening balances, entries and balance assertions of the hledger journal."""
    before = (pack.first - timedelta(days=1)).isoformat()
    names = {a["code"]: f"{ROOTS[a['kind']][1]}:{a['code']} {a['name_zh']}" for a in pack.accounts}
    expected: list[Row] = [("account", names[account["code"]]) for account in pack.accounts]
    expected += [("entry", before, None, [], lines) for lines in _opening_lines(pack, names)]
    waiting = [("balance", r["on"], names[r["account"]], r["balance_fen"]) for r in pack.statements]
    for entry in pack.month_entries:
        while waiting and waiting[0][1] < entry["effective_on"]:
            expected.append(waiting.pop(0))
        lines = [(names[p["account"]], fen_of(p)) for p in entry["lines"]]
        facts = _facts(entry, _plain)
        expected.append(("entry", entry["effective_on"], str(entry["sequence"]), facts, lines))
    yield from differences("hledger", [*expected, *waiting], list(_read_hledger(pack)))


def _read_hledger(pack: Pack) -> Iterator[Row]:
    for block in _blocks(pack, "book.journal"):
        head = HLEDGER_HEAD.fullmatch(block[0])
        if head is None:
            if found := HLEDGER_ACCOUNT.fullmatch(block[0]):
                yield ("account", found[1])
            elif not block[0].startswith((";", "commodity ")):
                raise DamagedError(f"book.journal: {block[0]!r} is not understood")
            continue
        comments, lines = [], []
        for line in block[1:]:
            if line.startswith("    ;"):
                comments.append(tuple(line.removeprefix("    ; ").split(":", 1)))
            elif amount := _amount(line):
                lines.append(amount)
            else:
                raise DamagedError(f"book.journal: a posting of {block[0]!r} is not understood")
        # A statement's line moves nothing; whatever else stands there is an entry, and one too many.
        if head[3] == "statement" and [line[1] for line in lines] == [0] and lines[0][2] is not None:
            yield ("balance", head[1], lines[0][0], lines[0][2])
        else:
            yield ("entry", head[1], head[2], comments, [line[:2] for line in lines])


def _facts(entry: dict[str, Any], written: Callable[[str], str]) -> list[Row]:
    """What stands beside an entry in both books."""
    key, external = f"{entry['event_kind']}/{entry['event_key']}", entry["external_id"]
    facts = [("hash", entry["hash"]), ("key", written(key))]
    return facts if external is None else [*facts, ("external", written(external))]


def _one_line(text: str) -> str:
    return text.replace("\n", " ")


def _plain(text: str) -> str:
    """Without what hledger would read as a comment, a second column or a new line."""
    return " ".join(text.replace(";", "；").replace("|", "｜").split())


def _blocks(pack: Pack, name: str) -> Iterator[list[str]]:
    """Each line with those below it that begin with a blank; empty ones do not count."""
    block: list[str] = []
    for line in pack.files[name].decode().split("\n"):
        if not line or line.isspace():
            continue
        if block and line[0] != " ":
            yield block
            block = []
        block.append(line)
    if block:
        yield block


# ------------------------------------------------------------------------------------------------ Excel

# A column's kind is one letter: t text, f fen (written as yuan), w whole number, s share, d day. The second
# word marks with + what the last row adds up.
TOTAL = "合计 Total"
EPOCH = date(1899, 12, 30)


def check_excel(pack: Pack) -> Iterator[str]:
    """Each workbook, row for row, from the entries and the other canonical files."""
    for (name, sheet), kinds, added, rows in expected_sheets(pack):
        wanted = [*rows, *([_total_row(kinds, rows, added)] if "+" in added else [])]
        yield from differences(f"{name} {sheet}", wanted, read_sheet(pack.files[name], name, sheet, kinds))


def _total_row(kinds: str, rows: Sequence[Row], added: str) -> Row:
    cells: list[Any] = [
        sum(row[place] or 0 for row in rows) if mark == "+" else None for place, mark in enumerate(added)
    ]
    cells[next(place for place, kind in enumerate(kinds) if kind == "t" and added[place] != "+")] = TOTAL
    return tuple(cells)


def expected_sheets(pack: Pack) -> Iterator[tuple[tuple[str, str], str, str, list[Row]]]:
    """Every sheet of every workbook: (file, sheet), kinds, what is added up, rows."""
    yield ("trial-balance.xlsx", "试算平衡表"), "ttffffff", "..++++++", list(_trial_balance(pack))
    yield ("general-ledger.xlsx", "总账明细"), "tdwtfff", "....++.", _general_ledger(pack)
    yield ("household-ledger.xlsx", "分户账"), "tttdwtfff", "......++.", _household_ledger(pack)
    yield ("cash-book.xlsx", "现金银行日记账"), "ttdfff", "...++.", _cash_book(pack)
    yield ("remittances.xlsx", "缴库清单"), "dtwtf", "....+", list(_remittances(pack))
    yield ("should-actual-owed.xlsx", "应收实收欠收表"), "ttffffs", "..++++.", _should_actual_owed(pack)
    yield ("ageing.xlsx", "账龄表"), "ttffffffff", "..++++++++", _ageing(pack)
    yield ("ageing.xlsx", "欠费明细"), "ttdf", "...+", _open_items(pack)
    yield ("collection.xlsx", "收缴率表"), "ttfffs", "..+++.", list(_collection(pack))
    file = "reconciliation.xlsx"
    rows = [
        (s["account"], s["source"], _day(s["on"]), s["balance_fen"], s["reference"]) for s in pack.statements
    ]
    yield (file, "对账单余额"), "ttdft", ".....", rows
    days = [tuple(_day(d[k]) if k == "on" else d[k] for k in FIELDS["days.jsonl"].split()) for d in pack.days]
    yield (file, "逐日对账"), "tdtwfwfwww", "...+++++++", days
    cases = [
        tuple(
            _day(c[k]) if k.endswith("on") and k != "reason" else c[k] for k in FIELDS["cases.jsonl"].split()
        )
        for c in pack.cases
    ]
    yield (file, "差异"), "wtttdfdt", ".....+..", cases
    shares = [
        tuple(_day(s[k]) if k == "on" else s[k] for k in FIELDS["shares.jsonl"].split()) for s in pack.shares
    ]
    yield (file, "共用账户"), "tttdfttfwtf", "...........", shares


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _names(pack: Pack) -> dict[str, str]:
    return {account["code"]: account["name_zh"] for account in pack.accounts}


def _labels(pack: Pack) -> dict[str, tuple[str, str]]:
    return {row["household"]: (row["ref"], row["unit"]) for row in pack.households}


def _codes(pack: Pack, roles: Iterable[str]) -> set[str]:
    return {account["code"] for account in pack.accounts if account["role"] in set(roles)}


def _trial_balance(pack: Pack) -> Iterator[Row]:
    opening = {key[0]: fen for key, fen in pack.opening_of("account").items()}
    debit = sums((p["account"], p["debit_fen"]) for _, _, p in pack.postings())
    credit = sums((p["account"], p["credit_fen"]) for _, _, p in pack.postings())
    for code in sorted(set(opening) | set(debit)):
        begin, plus, minus = opening.get(code, 0), debit.get(code, 0), credit.get(code, 0)
        end = begin + plus - minus
        if begin or plus or minus:
            sides = (max(begin, 0), max(-begin, 0), plus, minus, max(end, 0), max(-end, 0))
            yield (code, _names(pack)[code], *sides)


def _general_ledger(pack: Pack) -> list[Row]:
    opening = {key[0]: fen for key, fen in pack.opening_of("account").items()}
    groups: dict[str, list[Any]] = {code: [] for code, fen in opening.items() if fen}
    for entry, _, posting in pack.postings():
        groups.setdefault(posting["account"], []).append((entry, posting))
    rows: list[Row] = []
    for code in sorted(groups):
        rows += ((code, *row) for row in _running(opening.get(code, 0), groups[code]))
    return rows


def _household_ledger(pack: Pack) -> list[Row]:
    known, names, labels = _codes(pack, HOUSEHOLD_ROLES), _names(pack), _labels(pack)
    opening = {
        key: fen
        for key, fen in pack.opening_of("household", "account").items()
        if key[0] and key[1] in known and fen
    }
    groups: dict[Any, list[Any]] = {key: [] for key in opening}
    for entry, _, posting in pack.postings():
        if posting["household"] and posting["account"] in known:
            groups.setdefault((posting["household"], posting["account"]), []).append((entry, posting))
    rows: list[Row] = []
    for household, code in sorted(groups, key=lambda key: (labels[key[0]][0], key)):
        head = (labels[household][0], code, names[code])
        found = _running(opening.get((household, code), 0), groups[household, code])
        rows += ((*head, *row) for row in found)
    return rows


def _running(begin: int, moved: Iterable[Any]) -> Iterator[Row]:
    if begin:
        yield (None, None, "期初余额", 0, 0, begin)
    for entry, posting in moved:
        begin += fen_of(posting)
        facts = (date.fromisoformat(entry["effective_on"]), entry["entry_id"], entry["summary_zh"])
        yield (*facts, posting["debit_fen"], posting["credit_fen"], begin)


def _cash_book(pack: Pack) -> list[Row]:
    known, names = _codes(pack, MONEY_ROLES), _names(pack)
    balances = {key[0]: fen for key, fen in pack.opening_of("account").items() if key[0] in known and fen}
    rows: list[Row] = [(code, names[code], None, 0, 0, fen) for code, fen in balances.items()]
    inside = [(e, p) for e, _, p in pack.postings() if p["account"] in known]
    debit = sums(((p["account"], e["effective_on"]), p["debit_fen"]) for e, p in inside)
    credit = sums(((p["account"], e["effective_on"]), p["credit_fen"]) for e, p in inside)
    for code, day in sorted(debit):
        plus, minus = debit[code, day], credit[code, day]
        balances[code] = balances.get(code, 0) + plus - minus
        rows.append((code, names[code], date.fromisoformat(day), plus, minus, balances[code]))
    return sorted(rows, key=lambda row: (row[0], row[2] or date.min))


def _remittances(pack: Pack) -> Iterator[Row]:
    keys = {str(entry["entry_id"]): entry["event_key"] for entry in pack.entries}
    for entry in pack.month_entries:
        total = sum(p["debit_fen"] for p in entry["lines"])
        facts = (date.fromisoformat(entry["effective_on"]), entry["entry_id"], entry["summary_zh"])
        if entry["event_kind"] == "remittance":
            yield (facts[0], entry["event_key"], *facts[1:], total)
        elif entry["reverses_kind"] == "remittance":
            # What it reverses may lie in another month's pack; its summary ends with the number all the same.
            number = keys.get(str(entry["reverses_entry_id"])) or entry["summary_zh"].rsplit(" ", 1)[-1]
            yield (facts[0], number, *facts[1:], -total)


def _should_actual_owed(pack: Pack) -> list[Row]:
    labels, owed = _labels(pack), _codes(pack, OWED_ROLES)
    due_of = {}
    for due, roles in DUES.items():
        for side, role in enumerate(roles):
            due_of.update(dict.fromkeys(_codes(pack, [role]), (due, side)))
    found: dict[str, list[int]] = {}
    for (household, account), fen in pack.opening_of("household", "account").items():
        if household and account in owed:
            found.setdefault(household, [0, 0, 0])[0] += fen
    for entry in pack.month_entries:
        moved: dict[tuple[str, str], list[int]] = {}
        for posting in entry["lines"]:
            if posting["household"] and posting["account"] in due_of:
                due, side = due_of[posting["account"]]
                moved.setdefault((posting["household"], due), [0, 0])[side] += fen_of(posting)
        for (household, _), (left, collected) in moved.items():
            row = found.setdefault(household, [0, 0, 0])
            row[1 if left != collected else 2] += left if left != collected else -left
    rows = []
    for household, (begin, charged, received) in found.items():
        if begin or charged or received:
            should = begin + charged
            share = received * 1000 // should if should > 0 and received >= 0 else None
            rows.append(
                ((labels[household][0], household), (begin, charged, received, should - received, share))
            )
    return [(*labels[key[1]], *row) for key, row in sorted(rows)]


def _ageing(pack: Pack) -> list[Row]:
    last = pack.end - timedelta(days=1)
    found: dict[str, list[int]] = {}
    for item in pack.items:
        row = found.setdefault(item["household"], [0] * 8)
        age = None if item["due_on"] is None else (last - date.fromisoformat(item["due_on"])).days
        bounds = (0, 30, 90, 180, 365)
        place = 6 if age is None else next((n for n, bound in enumerate(bounds) if age <= bound), 5)
        row[place] += item["left_fen"]
        row[7] += item["left_fen"]
    labels = _labels(pack)
    return [(*labels[key], *found[key]) for key in sorted(found, key=lambda key: (labels[key][0], key))]


def _open_items(pack: Pack) -> list[Row]:
    labels = _labels(pack)
    return [(labels[i["household"]][0], i["month"], _day(i["due_on"]), i["left_fen"]) for i in pack.items]


def _collection(pack: Pack) -> Iterator[Row]:
    for row in pack.months:
        charged, left = row["charged_fen"], row["left_fen"]
        share = (charged - left) * 1000 // charged if charged > 0 and left <= charged else None
        yield (row["estate"], row["month"], charged, charged - left, left, share)


def check_items(pack: Pack) -> Iterator[str]:
    """What each household owes by charges is what the entries say it owes; months add up."""
    owed = _codes(pack, OWED_ROLES)
    books = sums((key[1], fen) for key, fen in pack.closing.items() if key[0] in owed and key[1])
    items = sums((item["household"], item["left_fen"]) for item in pack.items)
    for household in sorted(set(books) | set(items)):
        if books.get(household, 0) != items.get(household, 0):
            ours, theirs = books.get(household, 0), items.get(household, 0)
            yield f"household {household} owes {ours} fen by the entries and {theirs} by its charges"
    left = sums((item["month"], item["left_fen"]) for item in pack.items)
    for row in pack.months:
        if left.get(row["month"], 0) != row["left_fen"]:
            open_fen = left.get(row["month"], 0)
            yield f"of the charges of {row['month']} {open_fen} fen are open, not {row['left_fen']}"
    labelled = [row["household"] for row in pack.households]
    if labelled != sorted(set(labelled)):
        yield "the households are not each once and in order"


SHEET = re.compile(r'<sheet name="([^"]+)" sheetId="(\d+)"')
ROW = '<row r="'
CELL = re.compile(r'<c r="([A-Z]+)\d+"[^>]*>(?:<is><t[^>]*>([^<]*)</t></is>|<v>([^<]*)</v>)?')
# How the cells of nearly all sheets are written, by kind.
USUAL = {
    "t": "<is><t[^>]*>([^<]+)</t></is>",
    "f": "<v>(-?[0-9]+[.][0-9]{2})</v>",
    "w": "<v>([0-9]+)</v>",
    "s": "<v>([0-9.]+)</v>",
    "d": "<v>([0-9]+)</v>",
}
# Rows and cells as no program of ours writes them, which a spreadsheet would show all the same.
ODD = (b"<!", *(f"<{tag}{end}".encode() for tag in ("row", "c") for end in "\t\r\n>/"))
PREFIX = re.compile(rb"xmlns:(?!r=)[^ =<>]+ *=")
# Above the rows stand a line for people and the header.
HEAD_ROWS = 2
ROW_BELOW = '<row r="(?:[3-9]|[1-9][0-9]+)"'
# A row that does not say that it is one of these, in whatever other way it says so.
NOT_HEAD = '<row (?!r="[12]")'


def read_sheet(content: bytes, name: str, sheet: str, kinds: str) -> list[Row]:
    """The rows of a sheet and of its continuations, each cell as its column's kind."""
    rows: list[Row] = []
    with zipfile.ZipFile(BytesIO(content)) as package:
        sheets = [(unescape(n), i) for n, i in SHEET.findall(package.read("xl/workbook.xml").decode())]
        parts = [i for n, i in sheets if re.fullmatch(re.escape(sheet) + r"(?: \d+)?", n)]
        if not parts:
            raise DamagedError(f"{name} has no sheet {sheet}")
        for part in parts:
            body = package.read(f"xl/worksheets/sheet{part}.xml")
            if any(odd in body for odd in ODD) or PREFIX.search(body):
                raise DamagedError(f"{name} is written as no spreadsheet of ours is")
            usual = _usual_rows(body, kinds)
            if usual is not None:
                rows += usual
                continue
            if len(re.findall(b"<(?:row|c) ", body)) != len(re.findall(b'<(?:row|c) r="', body)):
                raise DamagedError(f"{name} has rows or cells that do not say where they are")
            for row in body.decode().split(ROW)[1:]:
                if int(row[: row.index('"')]) > HEAD_ROWS:
                    rows.append(_cells(row, kinds, name))
    return rows


def _usual_rows(body: bytes, kinds: str) -> Iterator[Row] | None:
    """The rows of a sheet, when each cell is written as usual or left out; None when one is not.

    It reads a large sheet in a fifth of the time: all rows in one search, their cells column by column.
    """
    cells = "".join(
        f'(?:<c r="{chr(ord("A") + place)}[0-9]+"[^>]*>{USUAL[kind]}</c>)?'
        for place, kind in enumerate(kinds)
    )
    below = re.search(NOT_HEAD.encode(), body)
    start = len(body) if below is None else below.start()
    # The last group is always empty: with a single one, what is found would not be tuples.
    found = re.compile(f"{ROW_BELOW}[^>]*>{cells}</row>()".encode()).findall(body, start)
    columns = list(zip(*found, strict=True))[:-1]
    # What the search has passed over holds no row and no cell.
    seen = sum(len(column) - column.count(b"") for column in columns)
    if len(found) != body.count(b"<row ", start) or seen != body.count(b"<c ", start):
        return None
    if not found:
        return iter(())
    readers = map(_reader, kinds)
    return zip(*(map(reader, column) for reader, column in zip(readers, columns, strict=True)), strict=True)


def _reader(kind: str) -> Callable[[bytes], Any]:
    if kind == "f":
        return lambda text: int(text.replace(b".", b"")) if text else None
    if kind == "w":
        return lambda text: int(text) if text else None
    # The same words, days and shares come again and again.
    return _Known(kind).__getitem__


class _Known(dict[bytes, Any]):
    """The cells of a column, by how they are written."""

    def __init__(self, kind: str) -> None:
        super().__init__({b"": None})
        self.kind = kind

    def __missing__(self, cell: bytes) -> Any:
        text = cell.decode()
        value = _cell(self.kind, *((text, "") if self.kind == "t" else ("", text)))
        self[cell] = value
        return value


def _cells(text: str, kinds: str, name: str) -> Row:
    cells: list[Any] = [None] * len(kinds)
    for column, words, number in CELL.findall(text):
        place = ord(column) - ord("A")
        if len(column) > 1 or place >= len(kinds):
            raise DamagedError(f"{name} has more columns than it should")
        cells[place] = _cell(kinds[place], words, number)
    return tuple(cells)


def _cell(kind: str, words: str, number: str) -> Any:
    if not number:
        # How a workbook writes a character that XML does not let through.
        return re.sub("_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), unescape(words))
    if kind == "f":
        return fen_from(number)
    if kind == "d":
        return EPOCH + timedelta(days=int(number))
    if kind == "s":
        share = re.fullmatch(r"(\d+)(?:\.(\d{1,3}))?", number)
        return int(share[1]) * 1000 + int((share[2] or "").ljust(3, "0")) if share else number
    return int(number) if kind == "w" else number


# ------------------------------------------------------------------------------------------- the command


def differences(name: str, expected: Sequence[Any], found: Sequence[Any]) -> Iterator[str]:
    """The first row in which two tables differ."""
    for number, (wanted, given) in enumerate(zip_longest(expected, found), start=1):
        if wanted != given:
            yield f"{name}: row {number} should be {wanted!r} and is {given!r}"
            return


CHECKS: tuple[tuple[str, Callable[[Pack], Iterator[str]]], ...] = (
    ("manifest", check_manifest),
    ("chain", check_chain),
    ("entries", check_entries),
    ("opening", check_opening),
    ("statements", check_statements),
    ("shares", check_shares),
    ("items", check_items),
    ("beancount", check_beancount),
    ("hledger", check_hledger),
    ("excel", check_excel),
)
REQUIRED = (
    "entries.jsonl accounts.jsonl opening.jsonl households.jsonl statements.jsonl open-items.jsonl"
    " months.jsonl days.jsonl cases.jsonl shares.jsonl book.beancount book.journal trial-balance.xlsx"
    " general-ledger.xlsx household-ledger.xlsx cash-book.xlsx should-actual-owed.xlsx ageing.xlsx"
    " collection.xlsx remittances.xlsx reconciliation.xlsx summary.pdf reconciliation.pdf close-sheet.pdf"
    " verify_pack.py"
)


def verify(
    path: Path,
    head: str | None = None,
    previous: Path | None = None,
    checks_of: Sequence[str] | None = None,
) -> list[str]:
    """All that is wrong with a pack, each as `check: sentence`; an empty list when nothing is.

    With `checks_of`, only what these checks find: a large pack is checked by two processes.
    """
    checks = [(name, check) for name, check in CHECKS if checks_of is None or name in checks_of]
    try:
        pack = Pack(path)
        if head is not None:
            checks.append(("head", lambda one: check_head(one, head)))
        if previous is not None:
            before = Pack(previous)
            checks.append(("previous", lambda one: check_previous(one, before)))
    except (DamagedError, OSError, KeyError, TypeError, ValueError) as error:
        return [f"pack: {error}"]
    wrong: list[str] = []
    for name, check in checks:
        try:
            wrong += [f"{name}: {said}" for said in check(pack)]
        except (
            DamagedError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            zipfile.BadZipFile,
        ) as error:
            wrong.append(f"{name}: {error or type(error).__name__}")
    return wrong


def verify_together(paths: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Several packs of a month, each of which passed by itself: what is wrong, and what could not be checked.

    With the packs of all books, the shares of an account are proved by the entries of each.
    """
    packs = [Pack(path) for path in paths]
    own: dict[tuple[str, str], Any] = {}
    for pack in packs:
        own |= {(r["account_id"], r["book"]): r for r in pack.shares if r["book"] == pack.book}
    wrong, open_ = [], []
    if len({pack.first for pack in packs}) > 1 or len({pack.book for pack in packs}) < len(packs):
        wrong.append("the packs are not of one month and each of another book")
    given = {pack.book: pack for pack in packs}
    for pack in packs:
        for row in pack.shares:
            other, account_id = given.get(row["book"]), row["account_id"]
            if other is None:
                open_.append(f"no pack of {row['book']} is given, whose share of {account_id} is told")
                continue
            theirs = own.get((account_id, other.book))
            if theirs is None:
                wrong.append(f"the pack of {other.book} does not tell of {account_id}")
                continue
            for word in (*SHARED_WORDS, "share_fen"):
                if row[word] != theirs[word]:
                    wrong.append(
                        f"{word} of {account_id} for {other.book} is {row[word]!r} in the pack of {pack.book}"
                        f" and {theirs[word]!r} in its own"
                    )
            known = _hash_at(other, row["head_sequence"])
            if known is None:
                open_.append(
                    f"the chain of {other.book} at {row['head_sequence']}, told by {pack.book}, is in another"
                    " month's pack"
                )
            elif known != row["head_hash"]:
                wrong.append(
                    f"the chain of {other.book} at {row['head_sequence']} is not as {pack.book} tells"
                )
    return [f"together: {said}" for said in wrong], sorted(set(open_))


def _hash_at(pack: Pack, sequence: int) -> str | None:
    """The chain's hash after an entry; None where the pack does not hold that part of the chain."""
    if sequence == pack.chain["before_sequence"]:
        return str(pack.chain["before_hash"])
    return next((str(e["hash"]) for e in pack.entries if e["sequence"] == sequence), None)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when nothing is wrong, 1 when something is."""
    parser = argparse.ArgumentParser(description="Checks a close pack.")
    parser.add_argument("pack", type=Path, nargs="+", help="the pack, a folder or a zip file")
    parser.add_argument("--head", help="the chain head from the signed close sheet")
    parser.add_argument("--previous", type=Path, help="the pack of the month before")
    given = parser.parse_args(arguments)
    if len(given.pack) > 1 and (given.head or given.previous):
        parser.error("--head and --previous are for one pack")
    several = len(given.pack) > 1
    wrong = [
        f"{path.name} {said}" if several else said
        for path in given.pack
        for said in verify(path, given.head, given.previous)
    ]
    together, unchecked = verify_together(given.pack) if several and not wrong else ([], [])
    for said in wrong + together:
        print(f"不符 WRONG  {said}")
    if wrong or together:
        return 1
    for path in given.pack:
        _tell(Pack(path))
    if several:
        print("共用账户与各包相符 (shares of shared accounts are what the packs themselves prove)")
    for said in unchecked:
        print(f"未核对 not checked  {said}")
    if given.head is None:
        print("未与签字的结账单核对 (give --head from the signed close sheet to compare with it)")
    return 0


def _tell(pack: Pack) -> None:
    print(f"相符 OK  {pack.book} {pack.manifest['month']}: {len(pack.month_entries)} entries")
    print(f"链头 head  {pack.chain['head_hash']} (sequence {pack.chain['head_sequence']})")
    for row in pack.shares:
        if row["book"] == pack.book and row["difference_fen"]:
            print(
                f"注意 note  {row['account_id']} 对方余额与各账簿合计差 {row['difference_fen']} 分"
                f" (closed although {row['source']} and the books differ by so many fen)"
            )


if __name__ == "__main__":
    # Hundreds of thousands of entries that stay until the end are not looked through for what could go.
    gc.disable()
    sys.exit(main())
