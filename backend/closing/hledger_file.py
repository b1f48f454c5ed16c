"""A book's month as an hledger journal. Pure; entries come in the order of their days.

https://hledger.org/hledger.html#journal
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache

from backend.closing.records import Account, Assertion, BookMonth, Entry, yuan

ROOTS = {
    "asset": ("资产", "A"),
    "liability": ("负债", "L"),
    "net_asset": ("净资产", "E"),
    "income": ("收入", "R"),
    "expense": ("费用", "X"),
}
CURRENCY = "CNY"


def hledger_lines(book: BookMonth, entries: Iterable[Entry]) -> Iterator[str]:
    """The journal, piece by piece: accounts, opening balances, the month's entries, balance assertions."""
    names = {account.code: hledger_account(account) for account in book.accounts}
    yield f"; {_plain(book.name_zh)} {book.month}\n\ncommodity 1000.00 {CURRENCY}\n\n"
    for account in book.accounts:
        yield f"account {names[account.code]}  ; type:{ROOTS[account.kind][1]}\n"
    yield "\n"
    balances = [(code, fen) for code, fen in sorted(book.opening_fen.items()) if fen]
    if balances:
        yield f"{book.month.before.last_on} * opening | 期初余额\n"
        yield from (_posting(names[code], fen) for code, fen in balances)
        yield "\n"
    waiting = sorted(book.assertions, key=lambda assertion: assertion.on)
    for entry in entries:
        # An assertion speaks of the end of its day, and hledger checks in the order of the file.
        while waiting and waiting[0].on < entry.effective_on:
            yield _assertion(waiting.pop(0), names)
        yield _entry(entry, names)
    for assertion in waiting:
        yield _assertion(assertion, names)


def hledger_account(account: Account) -> str:
    """`资产:1002 银行存款`."""
    return f"{ROOTS[account.kind][0]}:{account.code} {_plain(account.name_zh)}"


def _entry(entry: Entry, names: dict[str, str]) -> str:
    lines = [
        _head(entry.effective_on, f"({entry.sequence}) {entry.event_kind} | {_plain(entry.summary_zh)}"),
        f"    ; hash:{entry.entry_hash}\n    ; key:{_plain(entry.key)}\n",
    ]
    if entry.external_id is not None:
        lines.append(f"    ; external:{_plain(entry.external_id)}\n")
    lines += [_posting(names[posting.account_code], posting.fen) for posting in entry.postings]
    return "".join([*lines, "\n"])


def _assertion(assertion: Assertion, names: dict[str, str]) -> str:
    head = _head(assertion.on, f"statement | {_plain(assertion.source)} {_plain(assertion.reference)}")
    balance = f"{yuan(assertion.balance_fen)} {CURRENCY}"
    return f"{head}    {names[assertion.account_code]}  0.00 {CURRENCY} = {balance}\n\n"


def _head(day: date, words: str) -> str:
    return f"{day} * {words}\n"


# The same amounts come again and again.
@lru_cache(1 << 14)
def _posting(name: str, fen: int) -> str:
    return f"    {name}  {yuan(fen)} {CURRENCY}\n"


def _plain(text: str) -> str:
    """Without what hledger would read as a comment, a second column or a new line."""
    return " ".join(text.replace(";", "；").replace("|", "｜").split())
