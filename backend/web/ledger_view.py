"""The ledger of a day as the finance page shows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from backend.ledger.service import Balance, EntryView, PostingView

PAGE_ENTRIES = 50

# What the business event behind an entry is called; `event_kind` of the vouchers.
EVENTS: Mapping[str, tuple[str, str]] = {
    "rent_charge": ("租金应收", "Rent charge"),
    "payment": ("收款", "Payment"),
    "prepaid_use": ("预收抵租", "Prepaid rent used"),
    "refund": ("退款", "Refund"),
    "reversal": ("冲销", "Reversal"),
    "waiver": ("减免", "Waiver"),
    "write_off": ("坏账核销", "Write-off"),
    "recovery": ("核销收回", "Recovery of a write-off"),
    "subsidy_received": ("收到租金补贴资金", "Subsidy received"),
    "cash_banked": ("现金缴存", "Cash banked"),
    "provider_fee": ("渠道手续费", "Channel fee"),
    "payout": ("渠道打款", "Payout"),
    "payout_arrived": ("打款到账", "Payout arrived"),
    "payout_failed": ("打款失败", "Payout failed"),
    "refund_failed": ("退款失败", "Refund failed"),
    "refund_came_back": ("退款退回转预收", "Refund came back"),
    "refund_transfer": ("银行转账退款", "Refund by bank transfer"),
    "dispute_opened": ("拒付争议发生", "Dispute opened"),
    "dispute_won": ("拒付争议胜诉", "Dispute won"),
    "dispute_lost": ("拒付争议败诉", "Dispute lost"),
    "exchange_difference": ("汇兑差额", "Exchange difference"),
    "deposit_held": ("押金扣留", "Deposit held back"),
    "deposit_released": ("押金解除扣留", "Deposit released"),
    "deposit_damage": ("押金抵扣", "Deposit set off"),
    "deposit_returned": ("退还押金", "Deposit returned"),
    "prepaid_paid_out": ("退还预收租金", "Prepaid rent paid out"),
    "remittance": ("缴库", "Remittance to the treasury"),
    "paid_on": ("代收款转付", "Paid on to companies"),
    "bank_charge": ("银行手续费", "Bank charge"),
    "bank_interest": ("银行利息", "Bank interest"),
    "funding": ("经费拨入", "Funding"),
    "suspense_received": ("待查收款", "Suspense: money in"),
    "suspense_returned": ("待查收款退回", "Suspense: sent back"),
    "suspense_was_payout": ("待查收款系打款", "Suspense: was a payout"),
    "suspense_paid": ("待查付款", "Suspense: money out"),
    "suspense_came_back": ("待查付款收回", "Suspense: came back"),
    "opening_arrears": ("期初欠费", "Opening arrears"),
    "opening_balance": ("期初余额", "Opening balance"),
    "period_close": ("期末结转", "Month-end closing entry"),
    "manual": ("手工凭证", "Manual entry"),
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


def sheet_within(count: int, wanted: int) -> tuple[int, int]:
    """Which sheet is shown, from 1, and how many there are; outside the range it is the nearest one."""
    sheets = max(1, -(-count // PAGE_ENTRIES))
    return min(max(wanted, 1), sheets), sheets


def ledger_page(
    day: date,
    entries: Sequence[EntryView],
    sums: Sequence[Balance],
    count: int,
    books: Mapping[str, str],
    sheet: int,
) -> LedgerPage:
    """A sheet of a day with what the whole day says.

    Args:
        entries: those of this sheet alone.
        sums: of all entries of the day, by account; `count` is how many there are.
        books: the Chinese name of each book, by its id.
    """
    sheet, sheets = sheet_within(count, sheet)
    return LedgerPage(
        day=day,
        entry_count=count,
        debit_fen=sum(one.debit_fen for one in sums),
        credit_fen=sum(one.credit_fen for one in sums),
        entries=tuple(entry_row(entry, books) for entry in entries),
        accounts=tuple(
            AccountTotal(one.account_code, one.name_zh, one.name_en, one.debit_fen, one.credit_fen)
            for one in sums
        ),
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
