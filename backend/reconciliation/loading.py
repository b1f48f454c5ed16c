"""What is open in an account: lines without an entry and entries without a line, in a window of days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, text

from backend.reconciliation.accounts import Account
from backend.reconciliation.channel_rules import terms_of
from backend.reconciliation.files import covered_days
from backend.reconciliation.lines import Side
from backend.reconciliation.records import Covered, Entry, Line

_LINE = """
    line.line_id, line.side, line.kind, line.external_id, line.amount_fen, line.fee_fen, line.value_on,
    coalesce(extract(epoch FROM line.at)::bigint, 0) AS second, line.method, line.pay_ref, line.our_ref,
    line.payout_ref, line.book_ref, line.payer, line.note
"""
_OPEN_LINES = text(f"""
    SELECT {_LINE} FROM statement_line AS line LEFT JOIN line_standing AS stands USING (line_id)
    WHERE line.account_id = :account_id AND line.value_on >= :from_on AND line.value_on < :to_on
      AND stands.line_id IS NULL
    UNION ALL
    SELECT {_LINE} FROM reconciliation_case AS open
    JOIN line_standing AS stands USING (case_id) JOIN statement_line AS line USING (line_id)
    WHERE open.account_id = :account_id AND open.closed_at IS NULL AND NOT starts_with(open.key, 'person:')
""")  # noqa: S608 (columns from above)
_LINES_OF = text(f"""
    SELECT {_LINE} FROM line_standing AS stands JOIN statement_line AS line USING (line_id)
    WHERE stands.match_id = ANY(:match_ids)
""")  # noqa: S608 (columns from above)

# An entry that is a mirror is known to the other side by the number of the one it mirrors. What was reversed
# before anything was matched to it never happened for the other side, and neither did its reversal.
_ENTRY = """
    SELECT entry.entry_id, entry.book_id, entry.event_kind, {day} AS on_day,
           coalesce(mirrored.event_key, entry.event_key) AS event_key,
           sum(posting.debit_fen - posting.credit_fen)::bigint AS amount_fen,
           max(posting.channel) AS channel
    FROM journal_entry AS entry
    JOIN posting USING (entry_id)
    LEFT JOIN journal_entry AS mirrored ON mirrored.entry_id = entry.reverses_entry_id
    LEFT JOIN entry_standing AS stands ON stands.entry_id = entry.entry_id AND stands.account_id = :account_id
"""
_BACKED_OUT = """
    AND NOT (entry.event_kind = 'reversal' AND NOT EXISTS (
        SELECT FROM entry_standing AS original
        WHERE original.entry_id = entry.reverses_entry_id AND original.account_id = :account_id
          AND original.match_id IS NOT NULL))
    AND NOT EXISTS (
        SELECT FROM journal_entry AS back
        WHERE back.reverses_entry_id = entry.entry_id AND back.event_kind = 'reversal')
"""
_GROUP = (
    " GROUP BY entry.entry_id, mirrored.event_key HAVING sum(posting.debit_fen - posting.credit_fen) <> 0"
)
_OPEN_ENTRIES = f"""{_ENTRY}
    WHERE entry.effective_on >= :from_on AND entry.effective_on < :to_on
      AND entry.book_id = ANY(:books) AND posting.account_code = :code
      -- A balance that was taken over moved nothing: the statement begins with it.
      AND entry.event_kind <> 'opening_balance'
      AND stands.entry_id IS NULL {{more}} {_BACKED_OUT} {_GROUP}"""
_CASE_ENTRIES = f"""{_ENTRY}
    JOIN reconciliation_case AS open ON open.case_id = stands.case_id AND open.closed_at IS NULL
        AND NOT starts_with(open.key, 'person:')
    WHERE open.account_id = :account_id AND posting.account_code = :code {{more}} {_BACKED_OUT} {_GROUP}"""
_ENTRIES_OF = f"""{_ENTRY}
    WHERE stands.match_id = ANY(:match_ids) AND posting.account_code = :code {{more}} {_GROUP}"""
# A payout of a locked month was posted later than it left: the channel's line knows the day.
_LEFT_ON = """coalesce((
        SELECT line.value_on FROM entry_standing AS known
        JOIN line_standing AS there ON there.match_id = known.match_id
        JOIN statement_line AS line ON line.line_id = there.line_id
        WHERE known.entry_id = entry.entry_id AND known.account_id <> :account_id LIMIT 1
    ), entry.effective_on)"""
# Of payouts on their way: what came to the account of money in transit.
_TRANSIT = "AND posting.debit_fen > 0 AND entry.event_kind = 'payout'"


@dataclass(frozen=True, slots=True)
class Window:
    """The days that are looked at, [from_on, to_on); what is in an open case is always looked at."""

    from_on: date
    to_on: date


@dataclass(frozen=True, slots=True)
class Known:
    """A match that the software made and may have to make anew, and whether a person made it."""

    match_id: int
    key: str
    by_person: bool


def open_lines(connection: Connection, account: Account, window: Window) -> list[Line]:
    """Lines that wait or are in an open case."""
    values = {"account_id": account.account_id, "from_on": window.from_on, "to_on": window.to_on}
    return [Line(*row) for row in connection.execute(_OPEN_LINES, values)]


def lines_of(connection: Connection, match_ids: Sequence[int]) -> list[Line]:
    """The lines of these matches."""
    return [Line(*row) for row in connection.execute(_LINES_OF, {"match_ids": list(match_ids)})]


class EntrySource:
    """Reads entries of one account code as an account's statements see them.

    Args:
        code: of the chart of accounts.
        books: whose entries may be on the account.
        lag_days: given, only payouts on their way, expected at the bank so many days later, by provider.
    """

    def __init__(
        self,
        connection: Connection,
        account: Account,
        code: str,
        books: Sequence[str],
        lag_days: Mapping[str, int] | None = None,
    ) -> None:
        self._connection, self._account, self._code, self._books = connection, account, code, books
        self._lag_days = lag_days
        self._more = "" if lag_days is None else _TRANSIT
        self._day = "entry.effective_on" if lag_days is None else _LEFT_ON

    def open(self, window: Window) -> list[Entry]:
        """Entries that wait or are in an open case."""
        # A payout that arrives in the window may have left before it.
        early = timedelta(days=max(self._lag_days.values(), default=0) if self._lag_days else 0)
        days = {"from_on": window.from_on - early, "to_on": window.to_on}
        return [
            *self._read(_OPEN_ENTRIES, {**days, "books": list(self._books)}),
            *self._read(_CASE_ENTRIES, {}),
        ]

    def of(self, match_ids: Sequence[int]) -> list[Entry]:
        """The entries of these matches."""
        return self._read(_ENTRIES_OF, {"match_ids": list(match_ids)})

    def _read(self, statement: str, values: Mapping[str, object]) -> list[Entry]:
        rows = self._connection.execute(
            text(statement.format(more=self._more, day=self._day)),
            {"account_id": self._account.account_id, "code": self._code, **values},
        )
        return [self._entry(row) for row in rows]

    def _entry(self, row: Row[Any]) -> Entry:
        # `provider:number`, or the number alone.
        source, colon, ref = row.event_key.partition(":")
        ref = ref if colon else row.event_key
        if self._lag_days is None:
            return Entry(
                row.entry_id,
                row.book_id,
                row.event_kind,
                ref,
                row.amount_fen,
                row.on_day,
                row.channel or "",
            )
        on = row.on_day + timedelta(days=self._lag_days.get(source, 0))
        return Entry(row.entry_id, row.book_id, row.event_kind, ref, row.amount_fen, on, "", source)


def known_matches(connection: Connection, account: Account, keys: Iterable[str]) -> list[Known]:
    """Live matches with one of these keys."""
    rows = connection.execute(
        text(
            "SELECT match_id, key, principal_id IS NOT NULL AS by_person FROM reconciliation_match"
            " WHERE account_id = :account_id AND undone_at IS NULL AND key = ANY(:keys)"
        ).bindparams(bindparam("keys", list(set(keys)))),
        {"account_id": account.account_id},
    )
    return [Known(*row) for row in rows]


_PARTS = text("""
    SELECT parts.payout_ref, line.line_id, line.amount_fen - line.fee_fen AS fen,
           coalesce(nullif(line.book_ref, ''), entry.book_id) AS book_id
    FROM (
        SELECT line_id, payout_ref FROM statement_line
        WHERE account_id = :account_id AND payout_ref = ANY(:refs) AND side <> 'payout'
        UNION ALL
        SELECT line.line_id, part.payout_ref FROM payout_part AS part
        JOIN statement_line AS line USING (account_id, external_id)
        WHERE part.account_id = :account_id AND part.payout_ref = ANY(:refs) AND line.side <> 'payout'
    ) AS parts
    JOIN statement_line AS line USING (line_id)
    LEFT JOIN line_standing USING (line_id) LEFT JOIN journal_entry AS entry USING (entry_id)
""")


def shares_of_payouts(
    connection: Connection,
    account: Account,
    lines: Iterable[Line],
    books: Mapping[int, str],
    default_book: str,
) -> dict[str, dict[str, int]]:
    """What of each payout belongs to which book: all to the account's own, or to those of its parts.

    A payout of an account that books share is in none until its parts are known.

    Args:
        books: of lines that are matched now, and not in the database yet.
        default_book: of parts that nobody knows.
    """
    payouts = {line.payout_ref: line for line in lines if line.side == Side.PAYOUT}
    if account.book_id is not None:
        return {ref: {account.book_id: -line.amount_fen} for ref, line in payouts.items()}
    found: dict[str, dict[str, int]] = {}
    values = {"account_id": account.account_id, "refs": list(payouts)}
    for row in connection.execute(_PARTS, values) if payouts else ():
        parts = found.setdefault(row.payout_ref, {})
        book_id = row.book_id or books.get(row.line_id, default_book)
        parts[book_id] = parts.get(book_id, 0) + row.fen
    return found


def sides_of(account: Account) -> list[Side]:
    """Which of its statements have to be there before a day is complete."""
    if account.is_bank:
        return [Side.BANK]
    return [Side.BILL, Side.FLOW] if terms_of(account.source, account.settings).has_flow else [Side.BILL]


def coverage(connection: Connection, account: Account) -> Covered:
    """Whether an account's statements of a side are complete for a day."""
    periods = covered_days(connection, account.account_id)
    days: dict[str, set[date]] = {
        side: {
            from_on + timedelta(days=number)
            for from_on, to_on in found
            for number in range((to_on - from_on).days)
        }
        for side, found in periods.items()
    }
    return lambda side, day: day >= account.since_on and day in days.get(side, set())
