"""One look at an account: what is open is decided anew, and what was decided otherwise before is changed.

The decision is a pure function of what is open (`channel_rules`, `bank_rules`); here it is loaded and kept,
in one transaction and with a number of statements that does not grow with the number of lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, select, text

from backend.ledger.books import CITY_BOOK, chart_of
from backend.ledger.chart import Role
from backend.ledger.tables import book
from backend.reconciliation import bank_rules, channel_rules
from backend.reconciliation.accounts import Account, accounts_of
from backend.reconciliation.files import lock_account
from backend.reconciliation.keeping import Kept, keep
from backend.reconciliation.loading import (
    EntrySource,
    Known,
    Window,
    coverage,
    known_matches,
    lines_of,
    open_lines,
    shares_of_payouts,
)
from backend.reconciliation.records import Entry, Line, Outcome
from backend.reconciliation.shares import compare
from estate.collecting import nothing_collected

LOOK_BACK_DAYS = 45
LOOK_AHEAD_DAYS = 7


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a look changed and what is left."""

    account_id: str
    new_matches: int
    undone_matches: int
    posted_entries: int
    new_cases: int
    closed_cases: int
    open_cases: int


def recent(today: date) -> Window:
    """The days that a nightly look goes over."""
    return Window(today - timedelta(days=LOOK_BACK_DAYS), today + timedelta(days=LOOK_AHEAD_DAYS))


def around(from_on: date, to_on: date) -> Window:
    """The days of a file, and those next to them."""
    return Window(from_on - timedelta(days=LOOK_AHEAD_DAYS), to_on + timedelta(days=LOOK_AHEAD_DAYS))


@nothing_collected()
def run_account(connection: Connection, account: Account, window: Window, now: datetime) -> RunResult:
    """Look at one account.

    Raises:
        EntryConflictError: an entry that a line implies is posted already with other figures.
    """
    lock_account(connection, account.account_id)
    # A worker's connection is as old as the worker: what it asks here is planned for the tables of today.
    connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    look = _Bank(connection, account, now) if account.is_bank else _Channel(connection, account, now)
    kept = look.run(window)
    balance = compare(connection, account, now)
    return RunResult(
        account.account_id,
        kept.new_matches,
        kept.undone_matches,
        kept.posted_entries,
        kept.new_cases + balance.opened,
        kept.closed_cases + balance.closed,
        kept.open_cases + balance.open,
    )


class _Look:
    """What a look at a channel and one at a bank have in common."""

    def __init__(self, connection: Connection, account: Account, now: datetime) -> None:
        self._connection, self._account, self._now = connection, account, now
        self._chart = chart_of(connection, now)
        self._book_id = account.book_id or CITY_BOOK
        self._books: Sequence[str] = (
            [account.book_id]
            if account.book_id is not None
            else connection.scalars(select(book.c.book_id).order_by(book.c.book_id)).all()
        )

    def _again(self, keys: Iterable[str]) -> tuple[list[Known], frozenset[str]]:
        """Matches of the software that have to be decided again, and keys that people decided."""
        known = known_matches(self._connection, self._account, keys)
        return (
            [one for one in known if not one.by_person],
            frozenset(one.key for one in known if one.by_person),
        )

    def _keep(self, outcome: Outcome, again: Sequence[Known]) -> Kept:
        return keep(self._connection, self._account, self._chart, outcome, again, self._book_id, self._now)


class _Channel(_Look):
    def run(self, window: Window) -> Kept:
        source = EntrySource(self._connection, self._account, self._account.account_code, self._books)
        lines = open_lines(self._connection, self._account, window)
        entries = source.open(window)
        again, taken = self._again(
            [key for line in lines for key in channel_rules.keys_of_line(line)]
            + [key for entry in entries for key in channel_rules.keys_of_entry(entry)]
        )
        if again:
            ids = [one.match_id for one in again]
            lines += lines_of(self._connection, ids)
            entries += source.of(ids)
        terms = channel_rules.terms_of(self._account.source, self._account.settings)
        outcome = channel_rules.reconcile_channel(
            lines,
            entries,
            terms,
            coverage(self._connection, self._account),
            lambda books: shares_of_payouts(self._connection, self._account, lines, books, self._book_id),
            taken,
        )
        return self._keep(outcome, again)


class _Bank(_Look):
    def run(self, window: Window) -> Kept:
        account = self._account
        settings = account.settings
        ours = EntrySource(self._connection, account, account.account_code, self._books)
        transit = EntrySource(
            self._connection, account, self._chart.code(Role.PAYOUT_IN_TRANSIT), self._books, self._lag_days()
        )
        lines = open_lines(self._connection, account, window)
        entries: list[Entry] = ours.open(window)
        payouts: list[Entry] = transit.open(window)
        again, taken = self._again(
            [key for line in lines for key in _keys_of_bank_line(line, self._account)]
            + [
                key
                for one in bank_rules.targets_of(payouts, entries)
                for key in bank_rules.keys_of_target(one)
            ]
        )
        if again:
            ids = [one.match_id for one in again]
            lines += lines_of(self._connection, ids)
            payouts += transit.of(ids)
            # What arrived was posted by the match itself; it is the payout that is looked for again.
            entries += [one for one in ours.of(ids) if one.kind != bank_rules.PAYOUT_ARRIVED]
        outcome = bank_rules.reconcile_bank(
            lines,
            bank_rules.targets_of(payouts, [one for one in entries if one.kind != bank_rules.PAYOUT_ARRIVED]),
            settings,
            self._book_id,
            coverage(self._connection, account),
            taken,
        )
        return self._keep(outcome, again)

    def _lag_days(self) -> dict[str, int]:
        """How long payouts take, by provider."""
        return {
            one.source: one.settings.payout_lag_days
            for one in accounts_of(self._connection)
            if not one.is_bank and one.book_id in (None, *self._books)
        }


def _keys_of_bank_line(line: Line, account: Account) -> list[str]:
    return bank_rules.keys_of_line(line, account.settings)
