"""`close.pack_100k`: a month of a hundred thousand entries closed; its pack checked by ours and by beancount.

The entries are those of a large estate's month: a charge for each household by the monthly run, and a payment
at the counter for each. Timed is all that `estate ledger close` does: checklist, closing entry, lock, files,
workbooks, documents, the verifier, bean-check, the zip.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, Engine, insert, text

from backend.closing.programs import BEAN_CHECK, find_program
from backend.closing.records import Month
from backend.closing.service import close_month
from backend.db.engine import make_engine
from backend.identity.principal import Grant, Principal
from backend.identity.tables import principal
from backend.ledger import service as ledger
from backend.ledger.books import open_books
from backend.ledger.rules import Dimensions, Line, NewEntry, credit, debit
from backend.rent.service import run_month
from backend.settings import DatabaseSettings
from estate.embedded.postgres import EmbeddedPostgres
from tests.benchmarks import rent
from tests.benchmarks.figures import Figure, figure
from tests.sealing import seal_all

ENTRIES = int(os.environ.get("ESTATE_BENCH_ENTRIES", "100000"))
BOOK, AT_ONCE = "bench", 5_000
MONTH = Month(rent.MONTH)
PAID_ON, CLOSED_AT = date(2026, 11, 18), datetime(2026, 12, 2, tzinfo=UTC)


def measure(folder: Path) -> Iterator[Figure]:
    """The close as finance staff start it, beside reading the same rows by bare SQL and checking nothing."""
    folder.chmod(0o711)
    with EmbeddedPostgres(folder / "postgres") as server:
        engine = make_engine(DatabaseSettings(url=rent.prepare(server, ENTRIES // 2)))
        clerk = _month(engine)
        floor_s = _bare_read_s(engine)
        find_program(BEAN_CHECK)  # without it, the close would not ask it, and be quicker
        began_s = time.perf_counter()
        closed = close_month(engine, BOOK, MONTH, clerk, CLOSED_AT, folder / "packs", ("days",), "基准")
        passed_s = time.perf_counter() - began_s
        engine.dispose()
    yield figure(
        "close.pack_100k",
        passed_s,
        "s",
        floor_s,
        f"{closed.head_sequence:,} entries in one month: pack built, verified and asked of bean-check; "
        "floor: the month's entries and lines read by bare SQL",
    )


def _month(engine: Engine) -> Principal:
    """A charge and a payment for each household, all with their seals; who closes the month."""
    who = Principal(uuid4(), "bench", "基准", None, (Grant("finance", None, rent.NOW, None),))
    with engine.begin() as connection:
        connection.execute(
            insert(principal).values(
                principal_id=who.principal_id, login="bench", display_name="基准", created_at=rent.NOW
            )
        )
        open_books(connection, rent.NOW)
    run_month(engine, None, rent.MONTH, None, rent.NOW)
    with engine.begin() as connection:
        entries = _payments(connection)
    for start in range(0, len(entries), AT_ONCE):
        with engine.begin() as connection:
            ledger.post(connection, entries[start : start + AT_ONCE])
    with engine.begin() as connection:
        seal_all(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return who


def _payments(connection: Connection) -> list[NewEntry]:
    """What every household owes, paid in cash: kept as prepaid rent, so that the charges stay open items."""
    rows = connection.execute(
        text("SELECT charge_id, household_id, unit_id, amount_fen FROM rent_charge ORDER BY charge_id")
    )
    return [
        NewEntry(
            BOOK,
            "payment",
            f"cash:{row.charge_id}",
            PAID_ON,
            CLOSED_AT,
            "收款",
            _lines(row.amount_fen, Dimensions(BOOK, row.unit_id, row.household_id, "cash")),
            "bench",
        )
        for row in rows
    ]


def _lines(fen: int, about: Dimensions) -> tuple[Line, ...]:
    return debit("1001", fen, about), credit("2305.01", fen, about)


def _bare_read_s(engine: Engine) -> float:
    with engine.connect() as connection:
        began_s = time.perf_counter()
        for table in ("journal_entry", "posting"):
            connection.exec_driver_sql(f"SELECT * FROM {table}").fetchall()
        return time.perf_counter() - began_s
