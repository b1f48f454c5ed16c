"""What is open in an account: lines without an entry and entries without a line, in a window of days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from backend.db.arrays import array_text
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
# Here and below, what is asked about a row is asked by its own key: a join would be planned by statistics,
# which a table that was filled just now has not got, and then all that ever stood may be read for each row.
# A plan that is kept from days when the tables were small is as bad: who looks lets none be kept.
_OPEN_LINES = text(f"""
    SELECT {_LINE} FROM statement_line AS line
    WHERE line.account_id = :account_id AND line.value_on >= :from_on AND line.value_on < :to_on
      AND (SELECT line_id FROM line_standing WHERE line_id = line.line_id) IS NULL
    UNION ALL
    SELECT {_LINE} FROM reconciliation_case AS open
    JOIN line_standing AS stands USING (case_id) JOIN statement_line AS line USING (line_id)
    WHERE open.account_id = :account_id AND open.closed_at IS NULL AND NOT starts_with(open.key, 'person:')
""")  # noqa: S608 (columns from above)
_LINES_OF = text(f"""
    SELECT {_LINE} FROM line_standing AS stands JOIN statement_line AS line USING (line_id)
    WHERE stands.match_id = ANY(:match_ids)
""")  # noqa: S608 (columns from above)

# An entry that is a mirror is known to the other side by the number of the one it mirrors. What did not move
# the account is left out before anything else is asked: at a bank that is nearly all there is.
_ENTRIES = """
    WITH entry AS MATERIALIZED (
        SELECT given.*, sums.* FROM ({given}) AS given CROSS JOIN LATERAL (
            SELECT sum(debit_fen - credit_fen)::bigint AS amount_fen, max(channel) AS channel
            FROM posting WHERE entry_id = given.entry_id AND account_code = :code {of_postings}
        ) AS sums WHERE amount_fen <> 0
    )
    SELECT entry_id, book_id, event_kind, {day} AS on_day,
           coalesce((SELECT event_key FROM journal_entry WHERE entry_id = entry.reverses_entry_id),
                    event_key) AS event_key,
           amount_fen, channel
    FROM entry WHERE {waits} ORDER BY entry_id
"""
_IN_WINDOW = """
    SELECT entry.* FROM journal_entry AS entry
    WHERE effective_on >= :from_on AND effective_on < :to_on AND book_id = ANY(:books)
      -- A balance that was taken over moved nothing: the statement begins with it.
      AND event_kind <> 'opening_balance' {of_entries}
"""
_IN_CASES = """
    SELECT entry.* FROM reconciliation_case AS open
    JOIN entry_standing AS stands USING (case_id, account_id) JOIN journal_entry AS entry USING (entry_id)
    WHERE account_id = :account_id AND closed_at IS NULL AND NOT starts_with(key, 'person:') {of_entries}
"""
_IN_MATCHES = """
    SELECT entry.* FROM entry_standing AS stands JOIN journal_entry AS entry USING (entry_id)
    WHERE match_id = ANY(:match_ids) AND account_id = :account_id {of_entries}
"""
_STANDS_NOWHERE = """
    (SELECT entry_id FROM entry_standing
     WHERE entry_id = entry.entry_id AND account_id = :account_id) IS NULL
"""
# What was reversed before anything was matched to it never happened for the other side, and neither did its
# reversal.
_NOT_BACKED_OUT = """
    (event_kind <> 'reversal' OR (
        SELECT match_id FROM entry_standing
        WHERE entry_id = entry.reverses_entry_id AND account_id = :account_id) IS NOT NULL)
    AND (SELECT entry_id FROM journal_entry AS back
         WHERE reverses_entry_id = entry.entry_id AND event_kind = 'reversal') IS NULL
"""
# A payout of a locked month was posted later than it left: the channel's line knows the day.
_LEFT_ON = """coalesce((
        SELECT min((
            SELECT min((SELECT value_on FROM statement_line
                        WHERE line_id = there.line_id AND side = 'payout'))
            FROM line_standing AS there WHERE match_id = known.match_id))
        FROM entry_standing AS known WHERE entry_id = entry.entry_id AND account_id <> :account_id
    ), effective_on)"""
_ALL = {"of_entries": "", "of_postings": "", "day": "effective_on"}
# Of payouts on their way: what came to the account of money in transit.
_TRANSIT = {"of_entries": "AND event_kind = 'payout'", "of_postings": "AND debit_fen > 0", "day": _LEFT_ON}


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

    def open(self, window: Window) -> list[Entry]:
        """Entries that wait or are in an open case."""
        # A payout that arrives in the window may have left before it.
        early = timedelta(days=max(self._lag_days.values(), default=0) if self._lag_days else 0)
        days = {"from_on": window.from_on - early, "to_on": window.to_on}
        return [
            *self._read(
                _IN_WINDOW,
                f"{_STANDS_NOWHERE} AND {_NOT_BACKED_OUT}",
                {**days, "books": list(self._books)},
            ),
            *self._read(_IN_CASES, _NOT_BACKED_OUT, {}),
        ]

    def of(self, match_ids: Sequence[int]) -> list[Entry]:
        """The entries of these matches."""
        return self._read(_IN_MATCHES, "true", {"match_ids": list(match_ids)})

    def _read(self, given: str, waits: str, values: Mapping[str, object]) -> list[Entry]:
        which = _ALL if self._lag_days is None else _TRANSIT
        rows = self._connection.execute(
            text(_ENTRIES.format(given=given.format_map(which), waits=waits, **which)),
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
            " WHERE account_id = :account_id AND undone_at IS NULL AND key = ANY(CAST(:keys AS text[]))"
        ),
        {"account_id": account.account_id, "keys": array_text(set(keys))},
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
