"""The books under load, with the worker's sealer running: only what is sealed counts.

`ledger.entries_8`: one entry a commit, eight connections over eight books. `ledger.entries_8_one_book`: the
same on one book, against one bare connection. `ledger.entries_batched`: a hundred entries a commit.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path
from statistics import median, quantiles

import psycopg
from sqlalchemy import insert

from backend.db.engine import connect, make_single_engine
from backend.db.guards import APP, OWNER, READER
from backend.db.migrate import bootstrap, migrate
from backend.ledger import service
from backend.ledger.books import open_books
from backend.ledger.rules import Line, NewEntry
from backend.ledger.sealing import Sealer
from backend.registry.tables import estate
from estate.embedded.postgres import EmbeddedPostgres
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.ledger_floor import (
    FLOOR_TABLES,
    bare_insert,
    bare_insert_many,
    bare_parameters,
    bare_parameters_of_many,
)

CONNECTIONS = 8
BATCH = 100
ROUNDS = 4
SECONDS = 3.0
SEALED_WITHIN_S = 60
DATABASE = "bench"
TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
Post = Callable[[Sequence[NewEntry]], object]
Way = Callable[[str, Callable[[Post], None]], None]


@dataclass(frozen=True, slots=True)
class Load:
    """How entries arrive: from so many connections, over one book or one each, so many a commit."""

    connections: int = CONNECTIONS
    one_book: bool = False
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round gave: entries a second, each commit's ms, how long at most from an entry to its seal."""

    rate: float
    commit_ms: tuple[float, ...]
    late_s_max: float


def measure(folder: Path) -> Iterator[Figure]:
    """Ours and the bare statement in turn on the same server, so that a noisy machine hits both."""
    folder.chmod(0o711)
    with EmbeddedPostgres(folder / "postgres") as server:
        app_url = prepare(server)
        bare_url = server.dsn(DATABASE)
        yield from _compare(
            "ledger.entries_8", app_url, bare_url, Load(), Load(), "8 processes, each a connection and a book"
        )
        yield from _compare(
            "ledger.entries_8_one_book",
            app_url,
            bare_url,
            Load(one_book=True),
            Load(connections=1),
            "8 processes on one book; floor: one connection",
        )
        yield from _compare(
            "ledger.entries_batched",
            app_url,
            bare_url,
            Load(batch=BATCH),
            Load(batch=BATCH),
            f"8 processes, each a book, {BATCH} entries a commit",
        )


def _compare(
    name: str, app_url: str, bare_url: str, load: Load, bare_load: Load, words: str
) -> Iterator[Figure]:
    ours, bare = [], []
    for _ in range(1 + ROUNDS):
        ours.append(sealed_rate(app_url, load))
        bare.append(_rate(_bare, bare_url, bare_load).rate)
    # The first round of each meets empty tables, and is not counted.
    del ours[0], bare[0]
    late_s = max(one.late_s_max for one in ours)
    said = (
        f"{words}, 2 postings an entry, all sealed, the latest after {late_s:.2f} s;"
        f" {ROUNDS} rounds of {SECONDS:.0f} s; floor: the same rows by bare SQL without guards or seals"
    )
    yield figure(name, _mean([one.rate for one in ours]), "entries/s", _mean(bare), said)
    commits = [ms for one in ours for ms in one.commit_ms]
    yield figure(f"{name}_p50", median(commits), "ms", None, f"of one commit; {words}")
    yield figure(f"{name}_p99", quantiles(commits, n=100)[98], "ms", None, f"of one commit; {words}")


def prepare(server: EmbeddedPostgres) -> str:
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


def _entry(book_id: str, key: str, at: datetime = NOW) -> NewEntry:
    lines = (Line("1212.01", 38_640, 0), Line("2103.01", 0, 38_640))
    return NewEntry(
        book_id=book_id,
        event_kind="benchmark",
        event_key=key,
        effective_on=TODAY,
        posted_at=at,
        summary_zh="基准",
        actor="bench",
        lines=lines,
    )


def _guarded(url: str, run: Callable[[Post], None]) -> None:
    engine = make_single_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        run(partial(service.post, connection))


def _bare(url: str, run: Callable[[Post], None]) -> None:
    one, many = bare_insert(2), bare_insert_many()
    with psycopg.connect(url, autocommit=True) as connection:

        def post(entries: Sequence[NewEntry]) -> None:
            if len(entries) == 1:
                connection.execute(one, bare_parameters(entries[0]))  # type: ignore[arg-type]
            else:
                connection.execute(many, bare_parameters_of_many(entries))  # type: ignore[arg-type]

        run(post)


def sealed_rate(url: str, load: Load) -> Outcome:
    """As `_rate`, with the sealer in a process of its own; the clock stops when everything is sealed."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    sealer = context.Process(target=_seal, args=(url, stop))
    sealer.start()
    try:
        return _rate(_guarded, url, load, sealed_url=url)
    finally:
        stop.set()
        sealer.join()


def _seal(url: str, stop: multiprocessing.synchronize.Event) -> None:
    sealer = Sealer(lambda: connect(url, autocommit=True))
    sealer.start()
    stop.wait()
    sealer.stop()


def _rate(way: Way, url: str, load: Load, sealed_url: str | None = None) -> Outcome:
    """Entries a second by all connections together; with `sealed_url`, those that have their seal."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(load.connections + 1), context.Queue()
    prefix = str(time.time_ns())
    workers = [
        context.Process(target=_work, args=(way, url, index, load, prefix, start, results))
        for index in range(load.connections)
    ]
    for worker in workers:
        worker.start()
    start.wait(60)
    started_s, late_s = time.perf_counter(), 0.0
    # Nothing is asked while writers write: looking at what waits is work for the same two cores.
    found = [results.get(timeout=60 + SECONDS) for _ in workers]
    passed_s = max(took_s for _, took_s, _ in found)
    if sealed_url is not None:
        with connect(sealed_url, autocommit=True) as connection:
            _wait_until_sealed(connection)
            passed_s = time.perf_counter() - started_s
            late_s = _longest_wait_s(connection, prefix)
    for worker in workers:
        worker.join()
    entries = sum(count for count, _, _ in found)
    return Outcome(entries / passed_s, tuple(ms for _, _, times in found for ms in times), late_s)


def _wait_until_sealed(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    until_s = time.perf_counter() + SEALED_WITHIN_S
    while connection.execute("SELECT EXISTS (SELECT FROM unsealed_entries())").fetchone() != (False,):
        if time.perf_counter() > until_s:
            raise TimeoutError("the sealer does not keep up")
        time.sleep(0.02)


def _longest_wait_s(connection: psycopg.Connection[tuple[object, ...]], prefix: str) -> float:
    """From the moment an entry was made, just before it was sent, until its seal."""
    row = connection.execute(
        """
        SELECT extract(epoch FROM max(sealed_at - posted_at))::float
        FROM seal JOIN journal_entry USING (entry_id) WHERE event_key LIKE %s AND posted_at > %s
        """,
        [f"{prefix}-%", NOW],
    ).fetchone()
    return float(row[0]) if row else 0.0  # type: ignore[arg-type]


def _work(
    way: Way,
    url: str,
    index: int,
    load: Load,
    prefix: str,
    start: multiprocessing.synchronize.Barrier,
    results: Queue[tuple[int, float, list[float]]],
) -> None:
    book_id = _book(0 if load.one_book else index)

    def run(post: Post) -> None:
        post([_entry(book_id, f"{prefix}-{index}-warm")])
        start.wait(60)
        number, times, started_s = 0, [], time.perf_counter()
        while (begun_s := time.perf_counter()) - started_s < SECONDS:
            keys, now = range(number, number + load.batch), datetime.now(UTC)
            post([_entry(book_id, f"{prefix}-{index}-{key}", now) for key in keys])
            number += load.batch
            times.append((time.perf_counter() - begun_s) * 1000)
        results.put((number, time.perf_counter() - started_s, times))

    way(url, run)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
