"""Entries before they are posted. Pure; amounts are integer fen.

The checks here only give a clear sentence early: PostgreSQL holds the same rules for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from backend.ledger.errors import (
    EntryTooLargeError,
    EntryTooShortError,
    PostingSideError,
    UnbalancedEntryError,
)

ENTRY_FEN_MAX = 10**13


@dataclass(frozen=True, slots=True)
class Dimensions:
    """What a posting is about, besides its account; None where it is about nothing of that kind."""

    estate_id: str | None = None
    unit_id: UUID | None = None
    household_id: UUID | None = None
    channel: str | None = None


NO_DIMENSIONS = Dimensions()


@dataclass(frozen=True, slots=True)
class Line:
    """A posting to be: one account, one side."""

    account_code: str
    debit_fen: int
    credit_fen: int
    about: Dimensions = NO_DIMENSIONS

    def mirrored(self) -> Line:
        """The line that takes it back."""
        return replace(self, debit_fen=self.credit_fen, credit_fen=self.debit_fen)


def debit(account_code: str, fen: int, about: Dimensions = NO_DIMENSIONS) -> Line:
    """借."""
    return Line(account_code, fen, 0, about)


def credit(account_code: str, fen: int, about: Dimensions = NO_DIMENSIONS) -> Line:
    """贷."""
    return Line(account_code, 0, fen, about)


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be posted.

    Attributes:
        book_id, event_kind, event_key: the business event; it is posted once in its book.
        effective_on: the day it counts for.
        posted_at: the moment it is written, UTC.
        principal_id: who is answerable; None where the software acted by itself.
        actor: what acted, for people who read the book.
        reverses_entry_id, reason: only of a reversal.
    """

    book_id: str
    event_kind: str
    event_key: str
    effective_on: date
    posted_at: datetime
    summary_zh: str
    lines: tuple[Line, ...]
    actor: str
    principal_id: UUID | None = None
    reverses_entry_id: int | None = None
    reason: str | None = None

    @property
    def event(self) -> str:
        """Its business event in one word, as errors name it."""
        return f"{self.book_id}/{self.event_kind}/{self.event_key}"

    @property
    def total_fen(self) -> int:
        """The sum of each side."""
        return sum(line.debit_fen for line in self.lines)


def check(entry: NewEntry) -> None:
    """Refuse what PostgreSQL would refuse, with a sentence for people.

    Raises:
        EntryTooShortError, PostingSideError, UnbalancedEntryError, EntryTooLargeError
    """
    if len(entry.lines) < 2:
        raise EntryTooShortError(entry.event, len(entry.lines))
    debits_fen = credits_fen = 0
    for line in entry.lines:
        debit_fen, credit_fen = line.debit_fen, line.credit_fen
        # One of them is 0, and the other above it.
        if debit_fen < 0 or credit_fen < 0 or (debit_fen == 0) == (credit_fen == 0):
            raise PostingSideError(entry.event, line.account_code, debit_fen, credit_fen)
        debits_fen += debit_fen
        credits_fen += credit_fen
    if debits_fen != credits_fen:
        raise UnbalancedEntryError(entry.event, debits_fen, credits_fen)
    if debits_fen > ENTRY_FEN_MAX:
        raise EntryTooLargeError(entry.event, debits_fen, ENTRY_FEN_MAX)


def without_zeros(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines that say something: a voucher's parts are often nil."""
    return tuple(line for line in lines if line.debit_fen or line.credit_fen)
