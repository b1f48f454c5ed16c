"""`payments.webhooks`: signed notices of paid checkouts, over HTTP into the books; all parts are processes.

The load comes from a process of its own. `payments.webhooks` is the rate on the clock, load included;
`payments.webhooks_2_cores` leaves the load out: what two cores could do at the CPU time that web, worker and
PostgreSQL took for a notice.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psutil
import psycopg

from backend.db.engine import connect, make_single_engine
from backend.db.guards import APP, OWNER, READER
from backend.db.migrate import bootstrap, migrate
from backend.ledger.books import open_books
from backend.payments.stripe_events import API_VERSION
from estate.embedded.postgres import EmbeddedPostgres
from estate.processes import free_port, port_answers, start_child, stop_child, wait_until
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.payments_town import (
    BARE_TABLES,
    RENT_FEN,
    TOWN,
    bare_notice,
    bare_settlement,
    town_moment,
)

DATABASE, SECRET = "bench", "whsec_bench"
NOTICES = int(os.environ.get("ESTATE_BENCH_NOTICES", "6000"))
WARM, COPIES, SENDERS, BATCH = 200, 1_000, 8, 100
WITHIN_S = 300


@dataclass(frozen=True)
class Service:
    """Web and worker over one database."""

    port: int
    database_url: str
    parts: Sequence[psutil.Process]

    def cpu_s(self) -> float:
        """What its processes, and those that they started, have used so far."""
        total = 0.0
        for top in self.parts:
            for one in (top, *top.children(recursive=True)):
                times = one.cpu_times()
                total += times.user + times.system
            ended = top.cpu_times()
            total += ended.children_user + ended.children_system
        return total

    def settled(self) -> int:
        """How many notices are through."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM provider_notice WHERE state = 'settled'"
            ).fetchone()
        return int(row[0]) if row else 0


def measure(folder: Path) -> Iterator[Figure]:
    """Ours first, then the same rows by bare SQL on the same server."""
    folder.chmod(0o711)
    with EmbeddedPostgres(folder / "postgres") as server:
        app_url = _prepare(server)
        with _serving(folder, server, app_url) as service:
            _run(service, 0, WARM, WARM)
            before_s = service.cpu_s()
            took_s = _run(service, WARM, NOTICES, WARM + NOTICES)
            used_s = service.cpu_s() - before_s
            entries = _copies(service, WARM + NOTICES)
        bare = _bare_rate(server.dsn(DATABASE))
    words = f"{NOTICES} notices over {SENDERS} connections, 2 web processes, 1 worker, PostgreSQL with fsync"
    yield figure(
        "payments.webhooks",
        NOTICES / took_s,
        "notices/s",
        bare,
        f"{words}; verified, stored and settled, on the clock, load included; floor: the same rows, bare",
    )
    yield figure(
        "payments.webhooks_2_cores",
        2 * NOTICES / used_s,
        "notices/s",
        None,
        f"{words}; by their CPU time ({1_000 * used_s / NOTICES:.2f} ms each), load left out",
    )
    yield figure(
        "payments.one_event",
        entries,
        "entries",
        None,
        f"entries made of {COPIES} copies of one event, sent side by side",
    )


def _prepare(server: EmbeddedPostgres) -> str:
    bootstrap(server.dsn(), DATABASE, dict.fromkeys((OWNER, APP, READER), "bench"))
    migrate(server.dsn(DATABASE, OWNER, "bench"))
    town = TOWN.format(many=WARM + NOTICES + 1, rent=RENT_FEN)
    with connect(server.dsn(DATABASE), autocommit=True) as connection:
        connection.execute(town)  # type: ignore[call-overload]
        connection.execute(BARE_TABLES)
    app_url = server.dsn(DATABASE, APP, "bench")
    engine = make_single_engine(app_url)
    with engine.begin() as owner:
        open_books(owner, datetime.now(UTC))
    return app_url


@contextmanager
def _serving(folder: Path, server: EmbeddedPostgres, app_url: str) -> Iterator[Service]:
    secrets = {"key": "sk_bench", "webhook": SECRET, "session": "s" * 40, "master": "A" * 43 + "="}
    for name, word in secrets.items():
        (folder / name).write_text(word)
    port = free_port()
    config = folder / "backend.toml"
    config.write_text(
        f'log_level = "warning"\n[database]\nurl = "{app_url}"\n'
        f'[secrets]\nsession_key_file = "{folder}/session"\nmaster_key_file = "{folder}/master"\n'
        f"[serve]\nport = {port}\nthreads = 8\n"
        f'[payments]\nstripe_api_key_file = "{folder}/key"\nstripe_webhook_secret_file = "{folder}/webhook"\n'
    )
    run = (sys.executable, "-m", "estate", "backend", "--config", config)
    with (folder / "log").open("wb") as log:
        children = [start_child([*run, "serve"], log=log), start_child([*run, "work"], log=log)]
        try:
            wait_until(lambda: port_answers(port), 60, "the web did not start")
            assert server.pid is not None
            parts = [psutil.Process(pid) for pid in (*(child.pid for child in children), server.pid)]
            yield Service(port, server.dsn(DATABASE), parts)
        finally:
            for child in children:
                stop_child(child)


def _run(service: Service, first: int, many: int, until: int) -> float:
    """Send notices and wait until they are settled; how long both took."""
    sender = multiprocessing.get_context("spawn").Process(target=_send_all, args=(service.port, first, many))
    started_s = time.perf_counter()
    sender.start()
    sender.join(WITHIN_S)
    wait_until(lambda: service.settled() >= until, WITHIN_S, "the notices were not settled")
    return time.perf_counter() - started_s


def _copies(service: Service, number: int) -> int:
    """One event many times at once; how many entries came of it."""
    context = multiprocessing.get_context("spawn")
    sender = context.Process(target=_send_copies, args=(service.port, number))
    sender.start()
    sender.join(WITHIN_S)
    wait_until(lambda: service.settled() >= number + 1, WITHIN_S, "the event was not settled")
    with psycopg.connect(service.database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM journal_entry WHERE event_key = %s", (f"stripe:pi_{number}",)
        ).fetchone()
    return int(row[0]) if row else 0


def _send_all(port: int, first: int, many: int) -> None:
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(lambda place: _send(port, range(first + place, first + many, SENDERS)), range(SENDERS)))


def _send_copies(port: int, number: int) -> None:
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(lambda _: _send(port, [number] * (COPIES // SENDERS)), range(SENDERS)))


def _send(port: int, numbers: Sequence[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for number in numbers:
        body = notice(number)
        connection.request("POST", "/webhooks/stripe", body, signed(body))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    connection.close()


def notice(number: int) -> bytes:
    """The event of a checkout of the town that was paid."""
    checkout_id = UUID(hashlib.md5(f"checkout{number}".encode()).hexdigest())  # noqa: S324 (names, no secrets)
    session = {
        "id": f"cs_{number}",
        "object": "checkout.session",
        "status": "complete",
        "payment_status": "paid",
        "amount_total": RENT_FEN,
        "currency": "cny",
        "payment_intent": f"pi_{number}",
        "metadata": {"checkout": str(checkout_id), "book": "bench"},
    }
    return json.dumps(
        {
            "id": f"evt_{number}",
            "object": "event",
            "api_version": API_VERSION,
            "created": town_moment(),
            "type": "checkout.session.completed",
            "data": {"object": session},
        }
    ).encode()


def signed(body: bytes) -> dict[str, str]:
    """The headers of a notice, as Stripe signs it."""
    at = town_moment()
    signature = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={signature}", "Content-Type": "application/json"}


def _bare_rate(url: str) -> float:
    """The same rows a second: a commit for each notice, and one for what becomes of a hundred."""
    with psycopg.connect(url, autocommit=True) as connection:
        started_s = time.perf_counter()
        for number in range(NOTICES):
            bare_notice(connection, number, notice(number))
            if number % BATCH == BATCH - 1:
                bare_settlement(connection, number - BATCH + 1, number)
        return NOTICES / (time.perf_counter() - started_s)
