"""A book's month as plain values, between the database and the files of a close pack. Amounts are fen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month of a book: [from_on, to_on)."""

    from_on: date

    @property
    def to_on(self) -> date:
        """The first day after it."""
        return (self.from_on.replace(day=28) + timedelta(days=4)).replace(day=1)

    @property
    def last_on(self) -> date:
        """Its last day."""
        return self.to_on - timedelta(days=1)

    @property
    def before(self) -> Month:
        """The month before."""
        return Month((self.from_on - timedelta(days=1)).replace(day=1))

    def __str__(self) -> str:
        return f"{self.from_on:%Y-%m}"

    def __contains__(self, day: date) -> bool:
        return self.from_on <= day < self.to_on


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the chart."""

    code: str
    name_zh: str
    name_en: str
    kind: str
    role: str | None = None


class Posting(NamedTuple):
    """One line of an entry. A month has hundreds of thousands: a tuple is made in a quarter of the time."""

    account_code: str
    debit_fen: int
    credit_fen: int
    estate_id: str | None = None
    unit_id: str | None = None
    household_id: str | None = None
    channel: str | None = None

    @property
    def fen(self) -> int:
        """Debit less credit."""
        return self.debit_fen - self.credit_fen


@dataclass(frozen=True, slots=True)
class Entry:
    """A sealed entry, with everything that its hash covers.

    Attributes:
        sequence: its place in its book, from 1 and without a gap.
        entry_hash: SHA-256 over the hash before it and its own content, in hexadecimal.
        posted_at: in the text form that the hash covers.
        reverses_entry_id, reverses_kind: the entry that it takes back, and that one's kind; or None.
        external_id: the other side's own number of the event; None where there is no other side.
    """

    sequence: int
    entry_hash: str
    entry_id: int
    event_kind: str
    event_key: str
    effective_on: date
    posted_at: str
    summary_zh: str
    actor: str
    principal_id: str | None
    reverses_entry_id: int | None
    reverses_kind: str | None
    reason: str | None
    postings: tuple[Posting, ...]
    external_id: str | None = None

    @property
    def key(self) -> str:
        """Its business event in one word."""
        return f"{self.event_kind}/{self.event_key}"


@dataclass(frozen=True, slots=True)
class Assertion:
    """What the other side says an account held at the end of a day: never taken from our own sums.

    Attributes:
        source: who says so (`bank`, `wechat_pay`, …).
        reference: the statement it stands on.
    """

    account_code: str
    on: date
    balance_fen: int
    source: str
    reference: str


@dataclass(frozen=True, slots=True)
class Share:
    """What a book held, at the end of the month, of an account that books share.

    Attributes:
        balance_fen: what the other side says the account held, for all books together.
        reference: the statement it stands on.
        share_fen: what the book's own entries make of it.
        head_sequence, head_hash: where the book's chain stood then, as the manifest writes it.
        difference_fen: the balance less the shares of all books; the same in each of their rows.
    """

    account_id: str
    account_code: str
    source: str
    on: date
    balance_fen: int
    reference: str
    book_id: str
    share_fen: int
    head_sequence: int
    head_hash: str
    difference_fen: int


@dataclass(frozen=True, slots=True)
class BookMonth:
    """What the heads of all files of a pack have in common."""

    book_id: str
    name_zh: str
    month: Month
    accounts: tuple[Account, ...]
    opening_fen: Mapping[str, int]
    assertions: tuple[Assertion, ...]


def yuan(fen: int) -> str:
    """`123450` as `1234.50`, and `-5` as `-0.05`."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"
