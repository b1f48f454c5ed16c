"""What is held against each other, and what comes of it. Frozen values; nothing here asks a database.

There are several for each line of a file, and a struct is made in a tenth of the time of a dataclass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum

import msgspec

from backend.reconciliation.lines import Side

# Whether an account's statements of a side are complete for a day.
Covered = Callable[[Side, date], bool]


# The key of the one case about what an account that books share holds.
BALANCE_KEY = "balance"


class CaseKind(StrEnum):
    """What does not fit."""

    MISSING = "missing"  # our entry has no line
    EXTRA = "extra"  # a line has no entry
    AMOUNT = "amount"
    DOUBLED = "doubled"  # a second line of what is matched already
    SHIFTED = "shifted"  # another day
    FEE = "fee"  # not what was agreed
    BALANCE = "balance"  # of an account that books share
    AMBIGUOUS = "ambiguous"  # several fit equally well
    OTHER = "other"


class Line(msgspec.Struct, frozen=True):
    """A line of a statement that has to find its entry."""

    line_id: int
    side: str
    kind: str
    external_id: str
    amount_fen: int
    fee_fen: int
    value_on: date
    second: int  # the moment within time, for an order that does not depend on when it was imported
    method: str
    pay_ref: str
    our_ref: str
    payout_ref: str
    book_ref: str
    payer: str
    note: str

    @property
    def net_fen(self) -> int:
        """What it changed in the account."""
        return self.amount_fen - self.fee_fen

    @property
    def order(self) -> tuple[date, int, str]:
        """The order of the other side's own time."""
        return self.value_on, self.second, self.external_id


class Entry(msgspec.Struct, frozen=True):
    """An entry of our books, as far as it moved the account.

    Attributes:
        kind: of its business event.
        ref: the number by which the other side knows it.
        amount_fen: debit less credit on the account.
        on: the day on which the other side should have it.
        source: of a payout on its way, the kind of channel it comes from.
    """

    entry_id: int
    book_id: str
    kind: str
    ref: str
    amount_fen: int
    on: date
    channel: str = ""
    source: str = ""


class Implied(msgspec.Struct, frozen=True):
    """An entry that a matched line implies and nobody has posted yet.

    Attributes:
        kind: of the business event.
        number: the other side's number, which makes it unique.
        shares: fen by book; all positive.
        line_id: the line that says so.
        given_back: a fee that came back instead of being taken.
    """

    kind: str
    number: str
    on: date
    shares: Mapping[str, int]
    line_id: int
    given_back: bool = False
    channel: str = ""


class Match(msgspec.Struct, frozen=True):
    """Lines and entries that belong together, and why.

    Attributes:
        rule: which rule brought them together; fields: what agreed.
        lines: line and its entry; None is the first entry of what is implied for that line.
    """

    key: str
    rule: str
    fields: tuple[str, ...]
    lines: tuple[tuple[int, int | None], ...]
    entries: tuple[int, ...]
    implied: tuple[Implied, ...] = ()


class Case(msgspec.Struct, frozen=True):
    """What does not fit, as one thing to be dealt with.

    Attributes:
        side: the statement that is out of step.
        difference_fen: what the statements say less what the books say.
        book_id: whose it is; None where nothing tells.
    """

    key: str
    kind: CaseKind
    side: str
    on: date
    difference_fen: int
    lines: tuple[int, ...]
    entries: tuple[int, ...]
    book_id: str | None


class Outcome(msgspec.Struct, frozen=True):
    """Everything that a look at an account found; what is in neither waits for a statement."""

    matches: tuple[Match, ...]
    cases: tuple[Case, ...]
