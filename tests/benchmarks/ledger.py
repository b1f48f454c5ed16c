"""`ledger.entries_8`: one entry a commit through the ledger service, eight connections over eight books."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from multiprocessing.queues import Queue
from pathlib import Path

import psycopg
from sqlalchemy import insert

from backend.db.engine import connect, make_single_engine
from backend.db.guards import APP, OWNER, READER
from backend.db.migrate import bootstrap, migrate
from backend.ledger import service
from backend.ledger.books import open_books
from backend.ledger.rules import Line, NewEntry
from backend.registry.tables import estate
from estate.embedded.postgres import EmbeddedPostgres
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.ledger_floor import FLOOR_TABLES, bare_insert, bare_parameters

CONNECTIONS = 8
ROUNDS = 4
SECONDS = 3.0
DATABASE = "bench"
TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
Post = Callable[[NewEntry], object]


def measure(folder: Path) -> Iterator[Figure]:
    """Ours and the bare statement in turn on the same server, so that a noisy machine hits both."""
    folder.chmod(0o711)
    with EmbeddedPostgres(folder / "postgres") as server:
        app_url = _prepare(server)
        superuser_url = server.dsn(DATABASE)
        ours = bare = 0.0
        for _ in range(ROUNDS):
            ours += _rate(_guarded, app_url)
            bare += _rate(_bare, superuser_url)
        yield figure(
            "ledger.entries_8",
            ours / ROUNDS,
            "entries/s",
            bare / ROUNDS,
            f"{CONNECTIONS} processes, each a connection and a book, 2 postings an entry, 1 entry a commit, "
            f"{ROUNDS} rounds of {SECONDS:.0f} s; floor: the same rows by bare SQL without guards",
        )


def _prepare(server: EmbeddedPostgres) -> str:
    """A migrated database with eight estates and their books; the application's address."""
    passwords = dict.fromkeys((OWNER, APP, READER), "bench")
    bootstrap(server.dsn(), DATABASE, passwords)
    migrate(server.dsn(DATABASE, OWNER, "bench"))
    app_url = server.dsn(DATABASE, APP, "bench")
    engine = make_single_engine(app_url)
    with engine.begin() as connection:
        for index in range(CONNECTIONS):
            values = {"name_zh": "基准", "name_en": "bench", "district": "蓬江区", "faces_enabled": False}
            connection.execute(
                insert(estate).values(
                    estate_id=_book(index), fpir=0.003, hmac_key_sealed=b"-", created_at=NOW, **values
                )
            )
        open_books(connection, NOW)
    with connect(server.dsn(DATABASE), autocommit=True) as connection:
        connection.execute(FLOOR_TABLES)
    return app_url


def _book(index: int) -> str:
    return f"bench-{index}"


def _entry(book_id: str, key: str) -> NewEntry:
    lines = (Line("1212.01", 38_640, 0), Line("2103.01", 0, 38_640))
    return NewEntry(
        book_id=book_id,
        event_kind="benchmark",
        event_key=key,
        effective_on=TODAY,
        posted_at=NOW,
        summary_zh="基准",
        actor="bench",
        lines=lines,
    )


def _guarded(url: str, run: Callable[[Post], None]) -> None:
    engine = make_single_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        run(lambda entry: service.post(connection, [entry]))


def _bare(url: str, run: Callable[[Post], None]) -> None:
    statement = bare_insert(2)
    with psycopg.connect(url, autocommit=True) as connection:
        run(lambda entry: connection.execute(statement, bare_parameters(entry)))  # type: ignore[arg-type]


def _rate(way: Callable[[str, Callable[[Post], None]], None], url: str) -> float:
    """Entries committed a second by all connections together."""
    context = multiprocessing.get_context("spawn")
    start, counts = context.Barrier(CONNECTIONS), context.Queue()
    workers = [
        context.Process(target=_work, args=(way, url, _book(index), start, counts))
        for index in range(CONNECTIONS)
    ]
    for worker in workers:
        worker.start()
    total = sum(counts.get(timeout=60 + SECONDS) for _ in workers)
    for worker in workers:
        worker.join()
    return total


def _work(
    way: Callable[[str, Callable[[Post], None]], None],
    url: str,
    book_id: str,
    start: multiprocessing.synchronize.Barrier,
    counts: Queue[float],
) -> None:
    def run(post: Post) -> None:
        prefix = time.time_ns()
        post(_entry(book_id, f"{prefix}-warm"))
        start.wait(60)
        number, started_s = 0, time.perf_counter()
        while (passed_s := time.perf_counter() - started_s) < SECONDS:
            post(_entry(book_id, f"{prefix}-{number}"))
            number += 1
        counts.put(number / passed_s)

    way(url, run)
