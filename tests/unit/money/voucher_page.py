"""docs/vouchers.md as the tests read it: `hold(entry, amounts)` holds a builder of any room to its table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from backend.ledger.chart import Chart, read_chart
from backend.ledger.rules import NewEntry, check

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "vouchers.md"
CHART = Chart({role: account.code for account in read_chart() for role in [account.role] if role is not None})
NAMES = {account.code: account.name_zh for account in read_chart()}
CHANNEL = "channel"
_SIDES = {"借": "贷", "贷": "借"}


class Row(NamedTuple):
    """One row of a table: side, code (or `channel`), name and the word of the amount."""

    side: str
    code: str
    name: str
    amount: str


def documented() -> dict[str, list[Row]]:
    """The rows of each event's table, by its kind; a mirror has the rows of what it mirrors, turned over."""
    found: dict[str, list[Row]] = {}
    kind = ""
    for text in DOCUMENT.read_text("utf-8").splitlines():
        if heading := re.match(r"### (\w+) · ", text):
            kind = heading[1]
            assert kind not in found, f"{kind} stands twice"
            found[kind] = []
        elif row := re.match(r"\| ([借贷]) \| (\S+) \| (.+) \| (\w+) \|$", text):
            found[kind].append(Row(row[1], row[2], row[3], row[4]))
        elif mirrored := re.search(r"Mirror of: `(\w+)`", text):
            found[kind] = [row._replace(side=_SIDES[row.side]) for row in found[mirrored[1]]]
    return found


def holders() -> dict[str, tuple[str, str]]:
    """Code and name of the account of each provider, from the table *Where the money is*."""
    rows = re.findall(r"^\| ([a-z]+) \| ([0-9.]+) \| (.+) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    return {provider: (code, name) for provider, code, name in rows}


def hold(entry: NewEntry, amounts: Mapping[str, int], holder: str = "stripe") -> None:
    """Check that `entry` is what the page says about an event of its kind.

    Args:
        amounts: fen by the words of the table; words that are left out are nil.
        holder: the provider that has the money, where the table says `channel`.
    """
    check(entry)
    rows = documented()[entry.event_kind]
    assert set(amounts) <= {row.amount for row in rows}, f"the table of {entry.event_kind} lacks a word"
    wanted: Counter[tuple[str, str]] = Counter()
    for row in rows:
        code = holders()[holder][0] if row.code == CHANNEL else row.code
        wanted[row.side, code] += amounts.get(row.amount, 0)
    built: Counter[tuple[str, str]] = Counter()
    for line in entry.lines:
        built["借" if line.debit_fen else "贷", line.account_code] += line.debit_fen + line.credit_fen
    assert built == +wanted
