"""A book's month as a beancount file. Pure; entries come in the order of their days.

https://beancount.github.io/docs/beancount_language_syntax.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from functools import lru_cache

from backend.closing.records import Account, Assertion, BookMonth, Entry, yuan

# Of an account's name only letters and digits may follow its code.
ROOTS = {
    "asset": "Assets",
    "liability": "Liabilities",
    "net_asset": "Equity",
    "income": "Income",
    "expense": "Expenses",
}
CURRENCY = "CNY"


def beancount_lines(book: BookMonth, entries: Iterable[Entry]) -> Iterator[str]:
    """The file, line by line: opening balances, the month's entries, and what the other side says.

    A tolerance of nothing: by default a difference of less than half a fen would pass.
    """
    opened_on = book.month.before.last_on
    names = {account.code: beancount_account(account) for account in book.accounts}
    yield f"option {_text('title')} {_text(f'{book.name_zh} {book.month}')}\n"
    yield f"option {_text('operating_currency')} {_text(CURRENCY)}\n"
    yield f"option {_text('tolerance_multiplier')} {_text('0')}\n\n"
    for account in book.accounts:
        yield f"{opened_on} open {names[account.code]} {CURRENCY}\n"
        yield f"  code: {_text(account.code)}\n  name: {_text(account.name_zh)}\n"
    yield "\n"
    yield from _opening(book, names, opened_on)
    for entry in entries:
        yield _entry(entry, names)
    for assertion in book.assertions:
        yield _assertion(assertion, names)


def beancount_account(account: Account) -> str:
    """`Assets:1002-银行存款`: the code first, so that the order is the chart's."""
    name = "".join(letter for letter in account.name_zh if letter.isalnum())
    return f"{ROOTS[account.kind]}:{account.code.replace('.', '-')}-{name}"


def _opening(book: BookMonth, names: dict[str, str], opened_on: date) -> Iterator[str]:
    balances = [(code, fen) for code, fen in sorted(book.opening_fen.items()) if fen]
    if balances:
        yield f"{opened_on} * {_text('opening')} {_text('期初余额')}\n"
        yield from (_posting(names[code], fen) for code, fen in balances)
        yield "\n"


def _entry(entry: Entry, names: dict[str, str]) -> str:
    lines = [
        f"{entry.effective_on} * {_text(entry.event_kind)} {_text(entry.summary_zh)}\n",
        f"  sequence: {entry.sequence}\n",
        f"  hash: {_text(entry.entry_hash)}\n",
        f"  key: {_text(entry.key)}\n",
    ]
    if entry.external_id is not None:
        lines.append(f"  external: {_text(entry.external_id)}\n")
    lines += [_posting(names[posting.account_code], posting.fen) for posting in entry.postings]
    return "".join([*lines, "\n"])


def _assertion(assertion: Assertion, names: dict[str, str]) -> str:
    # A balance directive speaks of the beginning of its day.
    day = assertion.on + timedelta(days=1)
    return (
        f"{day} balance {names[assertion.account_code]}  {yuan(assertion.balance_fen)} {CURRENCY}\n"
        f"  source: {_text(assertion.source)}\n  reference: {_text(assertion.reference)}\n"
    )


# The same amounts come again and again.
@lru_cache(1 << 14)
def _posting(name: str, fen: int) -> str:
    return f"  {name}  {yuan(fen)} {CURRENCY}\n"


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
