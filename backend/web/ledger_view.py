"""The ledger of a day as the finance page shows it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from backend.ledger.service import EntryView, PostingView

PAGE_ENTRIES = 50

# What the business event behind an entry is called; `event_kind` of the vouchers.
EVENTS: Mapping[str, tuple[str, str]] = {
    "rent_charge": ("租金应收", "Rent charge"),
    "payment": ("收款", "Payment"),
    "prepaid_use": ("预收抵租", "Prepaid rent used"),
    "refund": ("退款", "Refund"),
    "reversal": ("冲销", "Reversal"),
}


@dataclass(frozen=True, slots=True)
class AccountTotal:
    """What was posted to one account on the page's day."""

    code: str
    name_zh: str
    name_en: str
    debit_fen: int
    credit_fen: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry with its heading."""

    entry_id: int
    title_zh: str
    event_zh: str
    event_en: str
    book_zh: str
    at: datetime
    actor: str
    reverses_entry_id: int | None
    reason: str | None
    postings: tuple[PostingView, ...]
    debit_fen: int
    credit_fen: int


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Everything the page says, figures in fen.

    Attributes:
        entries: the entries of this sheet, in the order of posting.
        accounts: all postings of the day by account, not only of this sheet.
        sheet, sheets: which part of a long day this is, from 1.
    """

    day: date
    entry_count: int
    debit_fen: int
    credit_fen: int
    entries: tuple[EntryRow, ...]
    accounts: tuple[AccountTotal, ...]
    sheet: int
    sheets: int


def ledger_page(day: date, entries: Sequence[EntryView], books: Mapping[str, str], sheet: int) -> LedgerPage:
    """Put a day's entries on sheets, and add up what they say.

    Args:
        books: the Chinese name of each book, by its id.
        sheet: which sheet, from 1; outside the range it becomes the nearest one.
    """
    postings = [posting for entry in entries for posting in entry.postings]
    sheets = max(1, -(-len(entries) // PAGE_ENTRIES))
    sheet = min(max(sheet, 1), sheets)
    shown = entries[(sheet - 1) * PAGE_ENTRIES : sheet * PAGE_ENTRIES]
    return LedgerPage(
        day=day,
        entry_count=len(entries),
        debit_fen=sum(posting.debit_fen for posting in postings),
        credit_fen=sum(posting.credit_fen for posting in postings),
        entries=tuple(entry_row(entry, books) for entry in shown),
        accounts=account_totals(postings),
        sheet=sheet,
        sheets=sheets,
    )


def entry_row(entry: EntryView, books: Mapping[str, str]) -> EntryRow:
    """One entry with the words of its heading; its sums are added up here, not taken on trust."""
    event_zh, event_en = EVENTS.get(entry.event_kind, (entry.event_kind, entry.event_kind))
    return EntryRow(
        entry_id=entry.entry_id,
        title_zh=entry.summary_zh,
        event_zh=event_zh,
        event_en=event_en,
        book_zh=books.get(entry.book_id, entry.book_id),
        at=entry.posted_at,
        actor=entry.actor,
        reverses_entry_id=entry.reverses_entry_id,
        reason=entry.reason,
        postings=entry.postings,
        debit_fen=sum(posting.debit_fen for posting in entry.postings),
        credit_fen=sum(posting.credit_fen for posting in entry.postings),
    )


def account_totals(postings: Iterable[PostingView]) -> tuple[AccountTotal, ...]:
    """Sums by account, in the order of the codes."""
    totals: dict[str, AccountTotal] = {}
    for posting in postings:
        before = totals.get(posting.account_code)
        totals[posting.account_code] = AccountTotal(
            posting.account_code,
            posting.account_zh,
            posting.account_en,
            posting.debit_fen + (before.debit_fen if before else 0),
            posting.credit_fen + (before.credit_fen if before else 0),
        )
    return tuple(totals[code] for code in sorted(totals))
