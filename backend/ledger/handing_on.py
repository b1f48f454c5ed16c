"""Collected money handed on: to the treasury by 缴款书, to the companies by a transfer order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from sqlalchemy import Connection, Row, func, select

from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.ledger import books, service
from backend.ledger.chart import Chart, Role
from backend.ledger.errors import BookUnknownError, HandingOnError
from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.service import PostedEntry, trial_balance
from backend.ledger.tables import book, journal_entry
from backend.ledger.vouchers import (
    FOR_COMPANIES,
    FOR_TREASURY,
    PAID_ON,
    REMITTED,
    Occasion,
    paid_on_entry,
    remittance_entry,
)
from backend.registry.rules import local_day

To = Literal["treasury", "companies"]
ORDER_NO_MAX = 60


@dataclass(frozen=True, slots=True)
class Way:
    """How money goes to one of them.

    Attributes:
        roles: the account of each part, by the word of docs/vouchers.md.
        kind: of the entry.
    """

    roles: Mapping[str, Role]
    kind: str
    entry: Callable[[Chart, Occasion, str, Dimensions, Mapping[str, int]], NewEntry]


WAYS: Mapping[To, Way] = {
    "treasury": Way(FOR_TREASURY, REMITTED, remittance_entry),
    "companies": Way(FOR_COMPANIES, PAID_ON, paid_on_entry),
}


def waiting(connection: Connection, book_id: str, to: To, now: datetime) -> dict[str, int]:
    """What stands in the accounts today, in fen by part; nil where there is nothing to hand on."""
    chart = books.chart_of(connection, now)
    stands = {
        one.account_code: -one.balance_fen for one in trial_balance(connection, book_id, local_day(now))
    }
    return {part: stands.get(chart.code(role), 0) for part, role in WAYS[to].roles.items()}


def hand_on(
    connection: Connection,
    to: To,
    book_id: str,
    order_no: str,
    on: date,
    parts: Mapping[str, int],
    principal: Principal,
    now: datetime,
) -> PostedEntry:
    """Record that the bank sent it; the same order again is nothing new.

    Args:
        order_no: of the 缴款书, or of the transfer order.
        on: the bank's day.
        parts: fen by part; what is nil is left out.
    Raises:
        BookUnknownError, NotAllowedError
        HandingOnError: no number, a day to come, or no amount.
        AboveWhatStandsError: more than was collected.
        EntryConflictError: the number was used for something else.
        PeriodLockedError
    """
    estate_id = _estate_of(connection, book_id)
    check_role(principal, "ledger.hand_on", estate_id, "finance")
    order_no, parts = order_no.strip(), {part: fen for part, fen in parts.items() if fen}
    if not order_no or len(order_no) > ORDER_NO_MAX:
        raise HandingOnError("请填写缴款书或付款单号码。", "Enter the number of the order.")
    if on > local_day(now):
        raise HandingOnError("银行付款日期不能晚于今天。", "The bank's day lies in the future.")
    if not parts or min(parts.values()) < 0:
        raise HandingOnError(
            "请至少填写一项金额，且不能小于零。", "Enter at least one amount, none below zero."
        )
    occasion = Occasion(book_id, now, on, principal.actor, principal.principal_id)
    about = Dimensions(estate_id, None, None, None)
    entry = WAYS[to].entry(books.chart_of(connection, now), occasion, order_no, about, parts)
    (posted,) = service.post(connection, [entry])
    if posted.is_new:
        audit(
            connection, principal, "hand_on", "done", "entry", str(posted.entry_id), estate_id, order_no, now
        )
    return posted


def handed_on(connection: Connection, book_id: str, at_most: int) -> list[Row[tuple[object, ...]]]:
    """The latest of both kinds, the newest first; a reversed one has `reversed_by`."""
    back = journal_entry.alias("back")
    return list(
        connection.execute(
            select(
                journal_entry.c.entry_id,
                journal_entry.c.event_kind,
                journal_entry.c.event_key,
                journal_entry.c.effective_on,
                journal_entry.c.total_fen,
                func.max(back.c.entry_id).label("reversed_by"),
            )
            .outerjoin(back, back.c.reverses_entry_id == journal_entry.c.entry_id)
            .where(journal_entry.c.book_id == book_id, journal_entry.c.event_kind.in_([REMITTED, PAID_ON]))
            .group_by(journal_entry.c.entry_id)
            .order_by(journal_entry.c.effective_on.desc(), journal_entry.c.entry_id.desc())
            .limit(at_most)
        )
    )


def _estate_of(connection: Connection, book_id: str) -> str:
    found = connection.scalar(select(book.c.estate_id).where(book.c.book_id == book_id))
    if found is None:
        raise BookUnknownError(book_id)
    return str(found)
