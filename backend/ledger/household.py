"""分户账: what the books hold about one household, found by an index and not by reading the book."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class HouseholdLine:
    """One posting about the household.

    Attributes:
        balance_fen: of this account and household after it, debit less credit.
    """

    effective_on: date
    book_id: str
    entry_id: int
    summary_zh: str
    account_code: str
    name_zh: str
    debit_fen: int
    credit_fen: int
    balance_fen: int


def household_account(
    connection: Connection, household_id: UUID, from_on: date, to_on: date
) -> list[HouseholdLine]:
    """Its postings of the days in [from_on, to_on), by account and day; balances count from its first day."""
    values = {"household": household_id, "from_on": from_on, "to_on": to_on}
    return [HouseholdLine(*row) for row in connection.execute(_ACCOUNT, values)]


_ACCOUNT = text("""
    SELECT * FROM (
        SELECT entry.effective_on, entry.book_id, entry.entry_id, entry.summary_zh, posting.account_code,
               account.name_zh, posting.debit_fen, posting.credit_fen,
               CAST(sum(posting.debit_fen - posting.credit_fen) OVER (
                   PARTITION BY posting.account_code
                   ORDER BY entry.effective_on, entry.entry_id, posting.line_no) AS bigint) AS balance_fen
        FROM posting JOIN journal_entry AS entry USING (entry_id) JOIN account USING (account_code)
        WHERE posting.household_id = :household AND entry.effective_on < :to_on
        ORDER BY posting.account_code, entry.effective_on, entry.entry_id, posting.line_no
    ) AS line WHERE effective_on >= :from_on
""")
