"""`reconcile.100k` and `reconcile.1m`: bill lines against as many receipts and 300 payouts, import included.

Receipts are in the books before the clock starts. Timed are ten files of the provider's itemised report and
one bank statement: reading, checking, storing, matching, and posting every fee and payout that they imply.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import psycopg
from sqlalchemy import Connection, Engine, insert, text

from backend.db.engine import make_single_engine
from backend.db.guards import APP, OWNER, READER
from backend.db.migrate import bootstrap, migrate
from backend.ledger import service as ledger
from backend.ledger.books import open_books
from backend.ledger.rules import Dimensions, NewEntry, credit, debit
from backend.reconciliation.accounts import (
    Account,
    AccountEntry,
    AccountSettings,
    Rate,
    accounts_of,
    load_accounts,
)
from backend.reconciliation.files import import_file
from backend.reconciliation.lines import Format
from backend.reconciliation.reading import Limits
from backend.reconciliation.run import around, run_account
from backend.registry.tables import estate
from estate.embedded.postgres import EmbeddedPostgres
from simulators.bank.bank_files import camt053
from simulators.bank.channel_files import stripe_report
from simulators.bank.month import ChannelMonth, Payment, bank_month, channel_month
from simulators.bank.sample import sample_payments
from simulators.wechat.settings import BEIJING
from tests.benchmarks.figures import Figure, figure

SIZES = (("reconcile.100k", 100_000), ("reconcile.1m", 1_000_000))
BOOK, BANK_NO = "bench-0", "44050167010100000001"
FROM, DAYS, FILES = date(2026, 1, 1), 298, 10  # 298 days of payments are paid out on 300 days
END = FROM + timedelta(days=DAYS + 7)
NOW = datetime(2026, 11, 25, tzinfo=UTC)
RATES = {
    "wechat_pay": Rate(basis_points=220),
    "alipay": Rate(basis_points=220),
    "card": Rate(basis_points=340, fixed_fen=235),
}
FLOOR = """
CREATE UNLOGGED TABLE floor_receipt (ref text, amount_fen bigint);
CREATE UNLOGGED TABLE floor_line (ref text, amount_fen bigint, fee_fen bigint, payout text);
"""


def measure(folder: Path) -> Iterator[Figure]:
    """Both sizes, each in a database of its own on the same server."""
    folder.chmod(0o711)
    with EmbeddedPostgres(folder / "postgres") as server:
        for name, count in SIZES:
            yield _measured(server, name, count)


def _measured(server: EmbeddedPostgres, name: str, count: int) -> Figure:
    random = Random(1)
    payments = sample_payments("stripe", count, FROM, DAYS, [BOOK], random)
    month = channel_month("stripe", payments, random)
    reports = list(_reports(month))
    lines, _ = bank_month([month], random)
    statement = camt053(lines, BANK_NO, 0, FROM, END)
    engine = _prepare(server, name.replace(".", "_"))
    _receive(engine, payments)
    floor_s = _floor(server.dsn(name.replace(".", "_")), payments, reports)
    del payments, month
    started_s = time.perf_counter()
    with engine.begin() as connection:
        stripe, bank = sorted(accounts_of(connection), key=lambda one: one.is_bank)
    for from_on, to_on, raw in reports:
        with engine.begin() as connection:
            _bring(connection, stripe, Format.STRIPE_REPORT, raw, from_on, to_on)
    with engine.begin() as connection:
        _bring(connection, bank, Format.CAMT053, statement, FROM, END)
    took_s = time.perf_counter() - started_s
    with engine.connect() as connection:
        matched = connection.scalar(text("SELECT count(*) FROM line_standing WHERE match_id IS NOT NULL"))
        every = connection.scalar(text("SELECT count(*) FROM statement_line"))
    if matched != every:
        raise AssertionError(f"{matched} of {every} lines matched")
    engine.dispose()
    return figure(
        name,
        took_s,
        "s",
        floor_s,
        f"{count:,} bill lines against {count:,} receipts, {len(lines) - DAYS:,}+ bank lines, {FILES} files;"
        " import, match, post fees and payouts; floor: csv, COPY and one join without checks or entries",
    )


def _bring(
    connection: Connection, account: Account, format_: Format, raw: bytes, from_on: date, to_on: date
) -> None:
    limits = Limits(bytes_max=512 * 1024 * 1024, lines_max=2_000_000)
    import_file(
        connection,
        account,
        format_,
        "bench",
        raw,
        principal_id=None,
        now=NOW,
        limits=limits,
        days=(from_on, to_on),
    )
    run_account(connection, account, around(from_on, to_on), NOW)


def _reports(month: ChannelMonth) -> Iterator[tuple[date, date, bytes]]:
    """The report in parts: each holds the payouts of some days, and so the payments of the days before."""
    size = -(-len(month.payouts) // FILES)
    for start in range(0, len(month.payouts), size):
        part = month.payouts[start : start + size]
        days = [item.day for payout in part for item in payout.items]
        yield min(days), max(days) + timedelta(days=1), stripe_report(replace(month, payouts=part))


def _prepare(server: EmbeddedPostgres, database: str) -> Engine:
    bootstrap(server.dsn(), database, dict.fromkeys((OWNER, APP, READER), "bench"))
    migrate(server.dsn(database, OWNER, "bench"))
    engine = make_single_engine(server.dsn(database, APP, "bench"))
    accounts = (
        AccountEntry(
            id="stripe",
            source="stripe",
            ref="acct",
            name_zh="基准",
            account_code="1021.01",
            since_on=FROM,
            book=BOOK,
            settings=AccountSettings(rates=RATES, payout_lag_days=1),
        ),
        AccountEntry(
            id="bank",
            source="bank",
            ref=BANK_NO,
            name_zh="基准",
            account_code="1002",
            since_on=FROM,
            book=BOOK,
            settings=AccountSettings(charges_fen={"来账手续费": 100}),
        ),
    )
    with engine.begin() as connection:
        connection.execute(
            insert(estate).values(
                estate_id=BOOK,
                name_zh="基准",
                name_en="bench",
                district="蓬江区",
                faces_enabled=False,
                fpir=0.003,
                hmac_key_sealed=b"-",
                created_at=NOW,
            )
        )
        open_books(connection, NOW)
        load_accounts(connection, accounts, NOW)
    return engine


def _receive(engine: Engine, payments: list[Payment]) -> None:
    for start in range(0, len(payments), 5_000):
        with engine.begin() as connection:
            ledger.post(connection, [_receipt(one) for one in payments[start : start + 5_000]])


def _receipt(payment: Payment) -> NewEntry:
    about = Dimensions(BOOK, None, None, payment.method)
    fen = abs(payment.amount_fen)
    lines = (debit("1021.01", fen, about), credit("2305.01", fen, about))
    if payment.amount_fen < 0:
        lines = (lines[1].mirrored(), lines[0].mirrored())
    kind = "payment" if payment.amount_fen > 0 else "refund"
    day = payment.at.astimezone(BEIJING).date()
    return NewEntry(BOOK, kind, f"stripe:{payment.ref}", day, NOW, "收款", lines, "bench")


def _floor(dsn: str, payments: list[Payment], reports: list[tuple[date, date, bytes]]) -> float:
    """The same bytes by the standard library into bare tables, and one join by number and amount."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(FLOOR)
        with connection.cursor().copy("COPY floor_receipt FROM STDIN") as copy:
            for one in payments:
                copy.write_row((one.ref, one.amount_fen))
        connection.execute("VACUUM ANALYZE")
        started_s = time.perf_counter()
        with connection.cursor().copy("COPY floor_line FROM STDIN") as copy:
            for _, _, raw in reports:
                for row in csv.DictReader(io.StringIO(raw.decode(), newline="")):
                    ref = (
                        row["source_id"]
                        if row["reporting_category"] == "refund"
                        else row["payment_intent_id"]
                    )
                    fen = int(row["gross"].replace(".", ""))
                    copy.write_row((ref, fen, int(row["fee"].replace(".", "")), row["automatic_payout_id"]))
        found = connection.execute(
            "SELECT count(*) FROM floor_line JOIN floor_receipt USING (ref, amount_fen)"
        ).fetchone()
        took_s = time.perf_counter() - started_s
    if found is None or found[0] != len(payments):
        raise AssertionError("the floor does not match either")
    return took_s
