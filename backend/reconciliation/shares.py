"""Accounts that books share: the one balance stated for all, held against the sum of what each book holds.

A difference that open lines or cases explain already is theirs. What is left is one case of the account, in
the city's book, however many books and days it is about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate

from sqlalchemy import Connection, insert, select, text, update

from backend.ledger.books import CITY_BOOK
from backend.reconciliation.accounts import Account
from backend.reconciliation.channel_rules import terms_of
from backend.reconciliation.loading import coverage, sides_of
from backend.reconciliation.records import BALANCE_KEY, CaseKind
from backend.reconciliation.tables import reconciliation_case
from backend.registry.rules import local_day

# How far back days are compared; what was open before goes on from its own day.
COMPARED_DAYS = 45
RESOLVED = "余额已相符 the balance agrees again"


@dataclass(frozen=True, slots=True)
class BookShare:
    """What one of the books holds of an account, and where its chain stands.

    Attributes:
        head_sequence, head_hash: nought and None where the book has no sealed entry yet.
    """

    book_id: str
    fen: int
    head_sequence: int
    head_hash: bytes | None


@dataclass(frozen=True, slots=True)
class SharedState:
    """A stated balance at the end of a day, and the books' shares of it.

    Attributes:
        file_id: of the file that says so.
    """

    account_id: str
    name_zh: str
    account_code: str
    on: date
    stated_fen: int
    file_id: int
    shares: tuple[BookShare, ...]

    @property
    def difference_fen(self) -> int:
        """What is stated less what the books hold together."""
        return self.stated_fen - sum(one.fen for one in self.shares)


@dataclass(frozen=True, slots=True)
class Compared:
    """What became of the case about an account's balance: how many were opened, closed, are open."""

    opened: int = 0
    closed: int = 0
    open: int = 0


def shared_states(connection: Connection, book_id: str, on: date) -> list[SharedState]:
    """The accounts that a book shares with others and for which a balance at the end of the day is stated."""
    rows = connection.execute(text(_STATED), {"book": book_id, "on": on}).all()
    return [
        SharedState(
            row.account_id,
            row.name_zh,
            row.account_code,
            on,
            row.amount_fen,
            row.file_id,
            tuple(book_shares(connection, row.account_code, on)),
        )
        for row in rows
    ]


def book_shares(connection: Connection, account_code: str, on: date) -> list[BookShare]:
    """What every book that has no such account of its own holds at the end of a day, by book."""
    rows = connection.execute(text(_SHARES), {"code": account_code, "on": on})
    return [BookShare(row.book_id, row.fen, row.seq or 0, row.hash) for row in rows]


def stated_on(connection: Connection, account_id: str, on: date) -> int | None:
    """What is stated for the end of a day, in fen; None where nothing is."""
    values = {"account_id": account_id, "from_on": on, "to_on": on + timedelta(days=1)}
    row = connection.execute(text(_STATED_DAYS), values).one_or_none()
    return None if row is None else int(row.amount_fen)


def compare(connection: Connection, account: Account, now: datetime) -> Compared:
    """Hold each stated day of a shared account against the books, and open, change or close its one case.

    It is open as long as the newest day that can be compared is off, and closes by itself when that agrees.
    """
    if account.book_id is not None:
        return Compared()
    known = connection.execute(
        select(reconciliation_case).where(
            reconciliation_case.c.account_id == account.account_id,
            reconciliation_case.c.key == BALANCE_KEY,
            reconciliation_case.c.closed_at.is_(None),
        )
    ).one_or_none()
    today = local_day(now)
    from_on = max(account.since_on, today - timedelta(days=COMPARED_DAYS))
    explained = _explained(connection, account)
    off: list[tuple[date, int]] = []
    compared = sorted(unexplained(connection, account, from_on, today).items(), reverse=True)
    for on, fen in compared:
        if not fen or any(fen == known_fen and on >= since_on for since_on, known_fen in explained):
            break
        off.append((on, fen))
    if not off:
        # Without a day to compare nothing has been put right.
        if known is None or not compared:
            return Compared(open=int(known is not None))
        connection.execute(
            update(reconciliation_case)
            .where(reconciliation_case.c.case_id == known.case_id)
            .values(closed_at=now, close_reason=RESOLVED)
        )
        return Compared(closed=1)
    # Since which day it has been off without a break, and by how much it now is.
    on, fen = off[-1][0], off[0][1]
    if known is None:
        connection.execute(
            insert(reconciliation_case).values(
                account_id=account.account_id,
                book_id=CITY_BOOK,
                key=BALANCE_KEY,
                kind=CaseKind.BALANCE.value,
                side="balance",
                on_day=on,
                difference_fen=fen,
                suggestion=f"{CaseKind.BALANCE}_balance",
                opened_at=now,
            )
        )
        return Compared(opened=1, open=1)
    if on == from_on:
        on = min(on, known.on_day)
    if (known.on_day, known.difference_fen) != (on, fen):
        connection.execute(
            update(reconciliation_case)
            .where(reconciliation_case.c.case_id == known.case_id)
            .values(on_day=on, difference_fen=fen)
        )
    return Compared(open=1)


def unexplained(connection: Connection, account: Account, from_on: date, to_on: date) -> Mapping[date, int]:
    """Of each day in [from_on, to_on) with statements and balance: the difference that nobody has, in fen.

    Nought where what is stated is what is booked, or where lines and entries that are open make up for it.
    """
    covered = coverage(connection, account)
    sides = sides_of(account)
    values = {
        "account_id": account.account_id,
        "code": account.account_code,
        "from_on": from_on,
        "to_on": to_on,
        "moves_bill": not terms_of(account.source, account.settings).has_flow,
    }
    stated = {row.on_day: row.amount_fen for row in connection.execute(text(_STATED_DAYS), values)}
    booked = _running((tuple(row) for row in connection.execute(text(_BOOKED), values)), from_on, to_on)
    lines = _running((tuple(row) for row in connection.execute(text(_OPEN_LINES), values)), from_on, to_on)
    entries = _running(
        (tuple(row) for row in connection.execute(text(_OPEN_ENTRIES), values)), from_on, to_on
    )
    return {
        on: fen - booked[on] - lines[on] + entries[on]
        for on, fen in stated.items()
        if all(covered(side, on) for side in sides)
    }


def _running(moves: Iterable[tuple[date, int]], from_on: date, to_on: date) -> Mapping[date, int]:
    """What has come together by the end of each day in [from_on, to_on)."""
    by_day: dict[date, int] = defaultdict(int)
    for on, fen in moves:
        by_day[max(on, from_on)] += fen
    days = [from_on + timedelta(days=number) for number in range((to_on - from_on).days)]
    return dict(zip(days, accumulate(by_day[day] for day in days), strict=True))


def _explained(connection: Connection, account: Account) -> list[tuple[date, int]]:
    """Differences that a person closed with a reason: since which day, and how much."""
    rows = connection.execute(
        select(reconciliation_case.c.on_day, reconciliation_case.c.difference_fen).where(
            reconciliation_case.c.account_id == account.account_id,
            reconciliation_case.c.key == BALANCE_KEY,
            reconciliation_case.c.closed_by.is_not(None),
        )
    )
    return [(row.on_day, row.difference_fen) for row in rows]


# A book with an account of its own for the same code keeps its money there.
_SHARING = """
    SELECT book_id FROM book WHERE NOT EXISTS (
        SELECT FROM statement_account AS own WHERE own.book_id = book.book_id AND own.account_code = {code})
"""
_STATED = f"""
    SELECT account.account_id, account.name_zh, account.account_code, said.amount_fen, said.file_id
    FROM statement_account AS account
    JOIN LATERAL (
        SELECT amount_fen, file_id FROM shared_balance
        WHERE shared_balance.account_id = account.account_id AND on_day = :on
        ORDER BY file_id DESC LIMIT 1
    ) AS said ON true
    WHERE account.book_id IS NULL AND account.since_on <= :on
      AND :book IN ({_SHARING.format(code="account.account_code")})
    ORDER BY account.account_id COLLATE "C"
"""  # noqa: S608 (texts of this module)
_SHARES = f"""
    SELECT sharing.book_id, stands.seq, stands.hash,
           coalesce((SELECT sum(debit_fen - credit_fen) FROM account_day
                     WHERE account_day.book_id = sharing.book_id AND account_code = :code
                       AND effective_on <= :on), 0)::bigint AS fen
    FROM ({_SHARING.format(code=":code")}) AS sharing
    LEFT JOIN LATERAL (
        SELECT seq, hash FROM seal WHERE seal.book_id = sharing.book_id ORDER BY seq DESC LIMIT 1
    ) AS stands ON true
    ORDER BY sharing.book_id COLLATE "C"
"""  # noqa: S608 (texts of this module)
_STATED_DAYS = """
    SELECT DISTINCT ON (on_day) on_day, amount_fen FROM shared_balance
    WHERE account_id = :account_id AND on_day >= :from_on AND on_day < :to_on
    ORDER BY on_day, file_id DESC
"""
_BOOKED = f"""
    SELECT effective_on, sum(debit_fen - credit_fen)::bigint FROM account_day
    WHERE account_code = :code AND effective_on < :to_on AND book_id IN ({_SHARING.format(code=":code")})
    GROUP BY effective_on
"""  # noqa: S608 (texts of this module)
# Lines that are in a case of any age, or were told in the days compared and wait.
_OPEN_LINES = """
    SELECT line.value_on, sum(CASE WHEN line.side = 'bill' AND NOT :moves_bill THEN 0
                                   ELSE line.amount_fen - line.fee_fen END)::bigint
    FROM statement_line AS line LEFT JOIN line_standing AS stands USING (line_id)
    WHERE line.account_id = :account_id AND line.value_on < :to_on
      AND (stands.case_id IS NOT NULL OR (stands.line_id IS NULL AND line.value_on >= :from_on))
    GROUP BY line.value_on
"""
_OPEN_ENTRIES = f"""
    SELECT entry.effective_on, sum(posting.debit_fen - posting.credit_fen)::bigint
    FROM (
        SELECT entry_id FROM entry_standing WHERE account_id = :account_id AND case_id IS NOT NULL
        UNION
        SELECT entry_id FROM journal_entry AS told
        -- Taken over, not moved.
        WHERE effective_on >= :from_on AND effective_on < :to_on AND event_kind <> 'opening_balance'
          AND NOT EXISTS (SELECT FROM entry_standing AS known
                          WHERE known.entry_id = told.entry_id AND known.account_id = :account_id)
    ) AS open
    JOIN journal_entry AS entry USING (entry_id)
    JOIN posting USING (entry_id)
    WHERE posting.account_code = :code AND entry.effective_on < :to_on
      AND entry.book_id IN ({_SHARING.format(code=":code")})
    GROUP BY entry.effective_on
"""  # noqa: S608 (texts of this module)
