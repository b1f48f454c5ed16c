"""The money accounts that have statements, and what was agreed about each: fees, delays, formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from backend.ledger.tables import account, book
from backend.reconciliation.errors import AccountRefusedError, UnknownAccountError
from backend.reconciliation.lines import Format
from backend.reconciliation.tables import statement_account
from estate.config import convert, read_toml

Text = Annotated[str, Meta(min_length=1)]
Source = Literal["stripe", "wechat", "alipay", "bank"]

FORMATS: Mapping[str, tuple[Format, ...]] = {
    "stripe": (Format.STRIPE_REPORT, Format.STRIPE_API),
    "wechat": (Format.WECHAT_TRADE, Format.WECHAT_FLOW),
    "alipay": (Format.ALIPAY,),
    "bank": (Format.BANK_CSV, Format.CAMT053, Format.MT940),
}


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Rate(_Part, frozen=True, kw_only=True):
    """What a channel charges by contract: a share of each payment, half up, and a fixed part."""

    basis_points: Annotated[int, Meta(ge=0, le=10_000)] = 0
    fixed_fen: Annotated[int, Meta(ge=0)] = 0

    def fee_fen(self, amount_fen: int) -> int:
        """The fee on a payment."""
        return (amount_fen * self.basis_points + 5_000) // 10_000 + self.fixed_fen


class Words(_Part, frozen=True, kw_only=True):
    """How a bank's text names its own doings, and how channels are named in it."""

    charge: tuple[str, ...] = ("手续费", "服务费", "工本费")
    interest: tuple[str, ...] = ("利息", "结息")
    # By kind of channel.
    channels: dict[str, tuple[str, ...]] = msgspec.field(
        default_factory=lambda: {
            "stripe": ("STRIPE",),
            "wechat": ("财付通", "微信支付"),
            "alipay": ("支付宝", "ALIPAY"),
        }
    )


class CsvMapping(_Part, frozen=True, kw_only=True):
    """Which column of a bank's CSV means what, by its heading."""

    encoding: Literal["utf-8", "gb18030"] = "utf-8"
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    skip_rows: Annotated[int, Meta(ge=0, le=100)] = 0
    newest_first: bool = False
    day: Text
    day_format: Text = "%Y-%m-%d"
    # Money in and out in two columns, or one signed column, or one column and its direction.
    income: str | None = None
    expense: str | None = None
    amount: str | None = None
    direction: str | None = None
    direction_in: str = "贷"
    direction_out: str = "借"
    balance: Text
    number: str | None = None
    account: str | None = None
    reference: str | None = None
    payer: str | None = None
    note: str | None = None

    def columns(self) -> list[str]:
        """The headings that have to be there."""
        names = (
            self.day,
            self.income,
            self.expense,
            self.amount,
            self.direction,
            self.balance,
            self.number,
            self.account,
            self.reference,
            self.payer,
            self.note,
        )
        return [name for name in names if name is not None]


class AccountSettings(_Part, frozen=True, kw_only=True):
    """What was agreed about an account."""

    # By method ('wechat_pay', 'alipay', 'card'); a method that is not here has no agreed fee to hold it to.
    rates: dict[str, Rate] = msgspec.field(default_factory=dict)
    # A channel that gives its fee back with a refund.
    refund_returns_fee: bool = False
    # A WeChat account of which the flow is imported beside the trade bill.
    has_flow: bool = False
    # Days from the channel's payout to the bank's line.
    payout_lag_days: Annotated[int, Meta(ge=0, le=14)] = 0
    # Days from a payment until the provider's report holds it.
    settles_after_days: Annotated[int, Meta(ge=0, le=30)] = 0
    # What each kind of charge of the bank costs, by a word of its text.
    charges_fen: dict[str, int] = msgspec.field(default_factory=dict)
    words: Words = Words()
    csv: CsvMapping | None = None


class AccountEntry(_Part, frozen=True, kw_only=True):
    """One account of the file."""

    id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    source: Source
    ref: Text
    name_zh: Text
    account_code: Text
    since_on: date
    # None: the account takes payments of all books.
    book: str | None = None
    settings: AccountSettings = AccountSettings()


class AccountsFile(_Part, frozen=True, kw_only=True):
    """The whole file."""

    account: tuple[AccountEntry, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the database has it.

    Attributes:
        book_id: None where it is shared by all books.
        account_code: where its money stands in the chart of accounts.
        since_on: statements are expected from this day on.
    """

    account_id: str
    source: Source
    account_ref: str
    name_zh: str
    book_id: str | None
    account_code: str
    settings: AccountSettings
    since_on: date

    @property
    def formats(self) -> tuple[Format, ...]:
        """How its statements may be written."""
        return FORMATS[self.source]

    @property
    def is_bank(self) -> bool:
        """Whether it is an account at a bank, where payouts arrive."""
        return self.source == "bank"


def read_accounts_file(path: Path) -> tuple[AccountEntry, ...]:
    """Read the accounts of a configuration file.

    Raises:
        SettingsError: a wrong key or value.
    """
    return convert(AccountsFile, read_toml(path), str(path)).account


def load_accounts(connection: Connection, entries: Iterable[AccountEntry], now: datetime) -> int:
    """Add accounts, and give known ones the name and agreement of the file; returns how many.

    Raises:
        AccountRefusedError: its number is another account's, its book or code is not there or would change.
    """
    count = 0
    for entry in entries:
        _check(connection, entry)
        changes = {
            "name_zh": entry.name_zh,
            "settings": msgspec.to_builtins(entry.settings),
            "since_on": entry.since_on,
        }
        connection.execute(
            insert(statement_account)
            .values(
                account_id=entry.id,
                source=entry.source,
                account_ref=entry.ref,
                book_id=entry.book,
                account_code=entry.account_code,
                created_at=now,
                **changes,
            )
            .on_conflict_do_update(index_elements=[statement_account.c.account_id], set_=changes)
        )
        count += 1
    return count


def _check(connection: Connection, entry: AccountEntry) -> None:
    known = connection.execute(
        select(statement_account).where(
            (statement_account.c.account_id == entry.id)
            | ((statement_account.c.source == entry.source) & (statement_account.c.account_ref == entry.ref))
        )
    ).all()
    if any(row.account_id != entry.id for row in known):
        raise AccountRefusedError(entry.id, f"号码 {entry.ref} 已登记", f"{entry.ref} is registered already")
    for row in known:
        if (row.source, row.account_ref, row.book_id, row.account_code) != (
            entry.source,
            entry.ref,
            entry.book,
            entry.account_code,
        ):
            raise AccountRefusedError(
                entry.id, "号码、账簿和科目登记后不能改", "its number, book and code stay as they are"
            )
    wanted = select(account.c.account_code).where(account.c.account_code == entry.account_code)
    if connection.scalar(wanted) is None:
        raise AccountRefusedError(
            entry.id, f"没有科目 {entry.account_code}", f"no account {entry.account_code}"
        )
    if (
        entry.book is not None
        and connection.scalar(select(book.c.book_id).where(book.c.book_id == entry.book)) is None
    ):
        raise AccountRefusedError(entry.id, f"没有账簿 {entry.book}", f"no book {entry.book}")


def accounts_of(connection: Connection, *account_ids: str) -> list[Account]:
    """The accounts of these numbers, or all, by number.

    Raises:
        UnknownAccountError: one of them is not there.
    """
    wanted = statement_account.c.account_id.in_(account_ids) if account_ids else True
    rows = connection.execute(
        select(statement_account).where(wanted).order_by(statement_account.c.account_id)  # type: ignore[arg-type]
    )
    found = [
        Account(
            row.account_id,
            row.source,
            row.account_ref,
            row.name_zh,
            row.book_id,
            row.account_code,
            msgspec.convert(row.settings, AccountSettings),
            row.since_on,
        )
        for row in rows
    ]
    for account_id in account_ids:
        if account_id not in {one.account_id for one in found}:
            raise UnknownAccountError(account_id)
    return found


def account_of(connection: Connection, account_id: str) -> Account:
    """One account.

    Raises:
        UnknownAccountError
    """
    return accounts_of(connection, account_id)[0]
