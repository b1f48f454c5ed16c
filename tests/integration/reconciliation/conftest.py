"""A finance office with a book, four accounts, and a month to reconcile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from random import Random

import msgspec
import pytest
from sqlalchemy import Engine, insert, select, text

from backend.identity.principal import Grant, Principal
from backend.identity.tables import principal as principal_table
from backend.identity.tables import principal_role
from backend.ledger import service as ledger
from backend.ledger.books import open_books
from backend.ledger.rules import Dimensions, NewEntry, credit, debit
from backend.payments.lines import LineKind, SettlementLine
from backend.reconciliation.accounts import Account, AccountEntry, load_accounts
from backend.reconciliation.files import Imported, add_file, import_file
from backend.reconciliation.importers import stripe_api
from backend.reconciliation.lines import Format
from backend.reconciliation.run import RunResult, around, run_account
from backend.reconciliation.tables import reconciliation_case, statement_line
from backend.registry import tables as registry
from simulators.bank import bank_files, channel_files
from simulators.bank.month import (
    BankLine,
    Channel,
    ChannelMonth,
    Error,
    ErrorKind,
    Payment,
    Stage,
    bank_month,
    channel_month,
)
from simulators.bank.sample import sample_payments
from simulators.wechat.settings import BEIJING
from tests.unit.reconciliation.sample import (
    ALIPAY,
    ALIPAY_NO,
    BANK,
    BANK_NO,
    BOOK,
    FROM,
    MCHID,
    OPENING_FEN,
    STRIPE,
    WECHAT,
)

NOW = datetime(2026, 12, 8, 4, tzinfo=UTC)
END = date(2026, 12, 8)
DAYS = (FROM, END)
ACCOUNTS: dict[str, Account] = {"stripe": STRIPE, "wechat": WECHAT, "alipay": ALIPAY, "bank": BANK}
File = tuple[Account, Format, bytes]


@dataclass
class Books:
    """What the tests do and look at."""

    engine: Engine
    results: list[RunResult] = field(default_factory=list)

    def receive(self, channel: Channel, payments: Iterable[Payment]) -> None:
        """Our entries of these payments and refunds."""
        entries = [receipt_entry(channel, one) for one in payments]
        with self.engine.begin() as connection:
            for start in range(0, len(entries), 2000):
                ledger.post(connection, entries[start : start + 2000])

    def bring(self, file: File, days: tuple[date, date] | None = DAYS) -> Imported:
        """Import a file."""
        account, format_, raw = file
        with self.engine.begin() as connection:
            return import_file(
                connection, account, format_, f"{format_}.txt", raw, principal_id=None, now=NOW, days=days
            )

    def fetch(self, month: ChannelMonth) -> Imported:
        """Import what Stripe's API tells of the month."""
        found, sha256 = stripe_api.read(stripe_lines(month), *DAYS)
        with self.engine.begin() as connection:
            return add_file(connection, STRIPE, found, "stripe", sha256, principal_id=None, now=NOW)

    def look(self, *accounts: Account) -> None:
        """Look at the accounts as the worker does: channels first, then the bank."""
        for account in accounts or tuple(ACCOUNTS.values()):
            with self.engine.begin() as connection:
                self.results.append(run_account(connection, account, around(*DAYS), NOW))

    def cases(self) -> list[tuple[str, str, str]]:
        """Kind, side and account of every open case."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                select(reconciliation_case).where(reconciliation_case.c.closed_at.is_(None))
            )
            return sorted((row.kind, row.side, row.account_id) for row in rows)

    def standing(self) -> dict[str, tuple[str, ...]]:
        """Where every line and receipt stands, by its own number: what any order has to end in."""
        with self.engine.connect() as connection:
            lines = connection.execute(
                text(
                    "SELECT line.account_id || '/' || line.side || '/' || line.external_id AS name,"
                    " coalesce(made.rule, open.kind || ' ' || open.side, 'waits') AS what,"
                    " coalesce(entry.event_kind || '/' || entry.event_key, '') AS entry"
                    " FROM statement_line AS line LEFT JOIN line_standing AS stands USING (line_id)"
                    " LEFT JOIN reconciliation_match AS made USING (match_id)"
                    " LEFT JOIN reconciliation_case AS open USING (case_id)"
                    " LEFT JOIN journal_entry AS entry USING (entry_id)"
                )
            ).all()
            entries = connection.execute(
                text(
                    "SELECT stands.account_id || '/' || entry.event_key AS name,"
                    " coalesce(made.rule, open.kind || ' ' || open.side) AS what, '' AS entry"
                    " FROM entry_standing AS stands JOIN journal_entry AS entry USING (entry_id)"
                    " LEFT JOIN reconciliation_match AS made USING (match_id)"
                    " LEFT JOIN reconciliation_case AS open USING (case_id)"
                    " WHERE entry.event_kind IN ('payment', 'refund', 'payout')"
                )
            ).all()
        return {row.name: (row.what, row.entry) for row in (*lines, *entries)}

    def count(self, table: str, where: str = "true") -> int:
        """Rows of a table."""
        with self.engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table} WHERE {where}")).scalar_one())

    def lines(self, side: str) -> list[int]:
        """The numbers of the lines of a side."""
        with self.engine.connect() as connection:
            return list(
                connection.scalars(
                    select(statement_line.c.line_id)
                    .where(statement_line.c.side == side)
                    .order_by(statement_line.c.line_id)
                )
            )


@dataclass(frozen=True)
class World:
    """A simulated month: what we received, what the others wrote, and which errors were put in."""

    payments: dict[Channel, list[Payment]]
    months: dict[Channel, ChannelMonth]
    bank: list[BankLine]
    errors: list[Error]

    def files(self, bank_format: Format = Format.CAMT053) -> list[File]:
        """Everything to be imported."""
        found: list[File] = []
        for channel, month in self.months.items():
            found += channel_files_of(channel, month)
        return [*found, self.bank_file(bank_format)]

    def bank_file(self, format_: Format) -> File:
        """The bank's statement."""
        if format_ is Format.BANK_CSV:
            return BANK, format_, bank_files.bank_csv(self.bank, BANK_NO, OPENING_FEN)
        write = bank_files.camt053 if format_ is Format.CAMT053 else bank_files.mt940
        return BANK, format_, write(self.bank, BANK_NO, OPENING_FEN, FROM, END)


def channel_files_of(channel: Channel, month: ChannelMonth) -> list[File]:
    if channel == "stripe":
        return [(STRIPE, Format.STRIPE_REPORT, channel_files.stripe_report(month))]
    if channel == "alipay":
        return [(ALIPAY, Format.ALIPAY, channel_files.alipay_zip(month, ALIPAY_NO, FROM, END))]
    trade = channel_files.wechat_trade_bills(month, MCHID).values()
    flow = channel_files.wechat_flow_bills(month).values()
    return [
        *((WECHAT, Format.WECHAT_TRADE, raw) for raw in trade),
        *((WECHAT, Format.WECHAT_FLOW, raw) for raw in flow),
    ]


def stripe_lines(month: ChannelMonth) -> list[SettlementLine]:
    """Balance transactions as the provider's port gives them: each item of a payout, and the payout."""
    lines = []
    for payout in month.payouts:
        for item in payout.items:
            refund = item.amount_fen < 0
            lines.append(
                SettlementLine(
                    line_ref=item.number,
                    kind=LineKind.REFUND if refund else LineKind.PAYMENT,
                    at=item.at,
                    amount_minor=item.amount_fen,
                    fee_minor=item.fee_fen,
                    currency="cny",
                    what="refund" if refund else "charge",
                    payment_ref=item.ref,
                    refund_ref=item.ref if refund else None,
                    payout_ref=payout.ref,
                )
            )
        leaves = (f"txn_{payout.ref}", LineKind.PAYOUT, payout.at, -payout.amount_fen, 0, "cny", "payout")
        lines.append(SettlementLine(*leaves, payout_ref=payout.ref))
    return sorted(lines, key=lambda line: (line.at, line.line_ref))


def make_world(
    channels: Sequence[Channel] = ("stripe", "wechat", "alipay"),
    count: int = 90,
    errors: Iterable[tuple[Channel, Stage, ErrorKind, int]] = (),
    bank_errors: Iterable[tuple[ErrorKind, int]] = (),
    named: bool = True,
    seed: int = 5,
    days: int = 30,
) -> World:
    """A month of these channels."""
    random = Random(seed)
    payments = {one: sample_payments(one, count, FROM, days, [BOOK], random) for one in channels}
    wanted = list(errors)
    months = {
        one: channel_month(
            one, payments[one], random, [(stage, kind, n) for name, stage, kind, n in wanted if name == one]
        )
        for one in channels
    }
    bank, bank_put_in = bank_month(list(months.values()), random, bank_errors, named)
    put_in = [error for month in months.values() for error in month.errors] + bank_put_in
    return World(payments, months, bank, put_in)


def receipt_entry(channel: Channel, payment: Payment) -> NewEntry:
    """A receipt (or refund) as the rent office books it, with prepaid rent on the other side."""
    code = ACCOUNTS[channel].account_code
    about = Dimensions(payment.book, None, None, payment.method)
    fen = abs(payment.amount_fen)
    lines = (debit(code, fen, about), credit("2305.01", fen, about))
    kind = "payment"
    if payment.amount_fen < 0:
        kind, lines = "refund", (lines[1].mirrored(), lines[0].mirrored())
    return NewEntry(
        payment.book,
        kind,
        f"{channel}:{payment.ref}",
        payment.at.astimezone(BEIJING).date(),
        NOW,
        "收款",
        lines,
        "test",
    )


@pytest.fixture
def books(engine: Engine) -> Books:
    """One estate with its book and its four accounts."""
    with engine.begin() as connection:
        connection.execute(
            insert(registry.estate).values(
                estate_id=BOOK,
                name_zh="示例小区",
                name_en="Sample",
                district="蓬江区",
                faces_enabled=False,
                fpir=0.003,
                hmac_key_sealed=b"sealed",
                created_at=NOW,
            )
        )
        open_books(connection, NOW)
        load_accounts(connection, [entry_of(one) for one in ACCOUNTS.values()], NOW)
    return Books(engine)


def entry_of(account: Account) -> AccountEntry:
    """An account as the configuration file has it."""
    return AccountEntry(
        id=account.account_id,
        source=account.source,
        ref=account.account_ref,
        name_zh=account.name_zh,
        account_code=account.account_code,
        since_on=account.since_on,
        book=account.book_id,
        settings=msgspec.convert(msgspec.to_builtins(account.settings), type(account.settings)),
    )


@pytest.fixture
def clerk(books: Books) -> Principal:
    """Somebody of the finance staff."""
    from uuid import uuid4  # noqa: PLC0415

    principal_id = uuid4()
    with books.engine.begin() as connection:
        connection.execute(
            insert(principal_table).values(
                principal_id=principal_id, login="clerk", display_name="示例会计", created_at=NOW
            )
        )
        connection.execute(
            insert(principal_role).values(
                grant_id=uuid4(), principal_id=principal_id, role="finance", valid_from=NOW, created_at=NOW
            )
        )
    return Principal(principal_id, "clerk", "示例会计", None, (Grant("finance", None, NOW, None),))
