"""What the other side says an account held: the facts that the books are asserted against."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, select

from backend.reconciliation.tables import statement_account, statement_balance, statement_file


@dataclass(frozen=True, slots=True)
class StatementBalance:
    """The closing balance of a day, as a bank, a channel or a provider states it.

    Attributes:
        on: the balance stands at the end of this day.
        amount_fen: what the account holds, seen from us: money of ours is positive.
        source: of which kind the account is ('bank', 'wechat', 'alipay', 'stripe').
        file_sha256: of the file that says so.
    """

    book_id: str
    account_code: str
    account_id: str
    on: date
    amount_fen: int
    source: str
    file_sha256: bytes


def statement_balances(
    connection: Connection, book_id: str, from_on: date, to_on: date
) -> list[StatementBalance]:
    """The balances of a book's accounts at the ends of days in [from_on, to_on), by day and account.

    Two accounts with the same code in one book are two rows; whoever asserts the code adds them up.
    """
    rows = connection.execute(
        select(
            statement_balance.c.book_id,
            statement_account.c.account_code,
            statement_balance.c.account_id,
            statement_balance.c.on_day,
            statement_balance.c.amount_fen,
            statement_account.c.source,
            statement_file.c.sha256,
        )
        .join(statement_account, statement_account.c.account_id == statement_balance.c.account_id)
        .join(statement_file, statement_file.c.file_id == statement_balance.c.file_id)
        .where(
            statement_balance.c.book_id == book_id,
            statement_balance.c.on_day >= from_on,
            statement_balance.c.on_day < to_on,
        )
        .order_by(statement_balance.c.on_day, statement_balance.c.account_id)
    )
    return [StatementBalance(*row) for row in rows]
