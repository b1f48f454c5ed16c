"""Reading a book of a million entries: `ledger.trial_balance_1m` at any date, one household's statement."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from uuid import UUID

from sqlalchemy import Connection, text

from backend.db.engine import connect, make_single_engine
from backend.ledger import service
from backend.ledger.household import household_account
from backend.ledger.rules import Dimensions, NewEntry, credit, debit
from estate.embedded.postgres import EmbeddedPostgres
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.ledger import DATABASE, NOW, prepare
from tests.sealing import seal_all

ENTRIES = 1_000_000
AT_ONCE = 2_000
UNSEALED = 1_000
HOUSEHOLDS = 5_000
FIRST, DAYS = date(2024, 1, 1), 1_000
BOOK = "bench-0"
TRIES = 7
PAIRS = (("1212.01", "2103.01"), ("1021.01", "1212.01"), ("1002", "1021.09"), ("2103.02", "1002"))


def measure(folder: Path) -> Iterator[Figure]:
    """Ours beside the plain sum over the whole book, on the same rows."""
    folder.chmod(0o711)
    with EmbeddedPostgres(folder / "postgres") as server:
        engine = make_single_engine(prepare(server))
        with engine.connect() as connection:
            _fill(connection)
            with connect(server.dsn(DATABASE), autocommit=True) as superuser:
                superuser.execute("VACUUM ANALYZE")
            days = [FIRST + timedelta(days=DAYS * place // TRIES) for place in range(1, TRIES + 1)]
            ours = [_ms(lambda day=day: service.trial_balance(connection, BOOK, day)) for day in days]  # type: ignore[misc]
            bare = [_ms(lambda day=day: connection.execute(_SUMS, {"on": day}).all()) for day in days]  # type: ignore[misc]
            words = (
                f"{ENTRIES:,} entries of {DAYS} days, {UNSEALED:,} not sealed yet, median of {TRIES} dates"
            )
            yield figure(
                "ledger.trial_balance_1m",
                median(ours),
                "ms",
                median(bare),
                f"{words}; floor: summing the book",
            )
            homes = [UUID(int=1 + HOUSEHOLDS * place // TRIES) for place in range(TRIES)]
            found = [
                _ms(lambda home=home: household_account(connection, home, FIRST, date.max))  # type: ignore[misc]
                for home in homes
            ]
            lines = len(household_account(connection, homes[0], FIRST, date.max))
            said = f"{lines} postings of one household among {ENTRIES:,} entries, median of {TRIES}"
            yield figure("ledger.household_statement", median(found), "ms", None, said)
        engine.dispose()


def _fill(connection: Connection) -> None:
    for start in range(0, ENTRIES, AT_ONCE):
        service.post(connection, [_entry(number) for number in range(start, min(start + AT_ONCE, ENTRIES))])
        if start + AT_ONCE <= ENTRIES - UNSEALED:
            seal_all(connection)
        connection.commit()


def _entry(number: int) -> NewEntry:
    debited, credited = PAIRS[number % len(PAIRS)]
    about = Dimensions(BOOK, None, UUID(int=1 + number % HOUSEHOLDS), None)
    lines = (debit(debited, 100 + number % 977, about), credit(credited, 100 + number % 977, about))
    day = FIRST + timedelta(days=number * DAYS // ENTRIES)
    return NewEntry(BOOK, "benchmark", str(number), day, NOW, "基准", lines, "bench")


def _ms(read: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    read()
    return (time.perf_counter() - started_s) * 1000


_SUMS = text("""
    SELECT account_code, sum(debit_fen), sum(credit_fen) FROM posting JOIN journal_entry USING (entry_id)
    WHERE book_id = 'bench-0' AND effective_on <= :on GROUP BY account_code ORDER BY account_code
""")
