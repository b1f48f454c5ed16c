"""The worker's loop over a real PostgreSQL: woken, polling, surviving, stopping."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from backend.db.engine import connect
from backend.jobs.worker import Job, Worker
from backend.payments.notices import CHANNEL
from backend.payments.service import settle_pending
from estate.processes import wait_until

if TYPE_CHECKING:
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Desk, Home, Office


@contextmanager
def running(worker: Worker) -> Iterator[None]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(10)
        assert not thread.is_alive()


def worker_of(database: Database, jobs: list[Job], poll_s: float) -> Worker:
    return Worker(
        jobs,
        [CHANNEL],
        lambda: connect(database.app_url, autocommit=True),
        lambda: datetime.now(UTC),
        poll_s,
    )


def test_a_notice_wakes_the_worker_long_before_it_would_look_by_itself(
    desk: Desk, home: Home, database: Database
) -> None:
    looks: list[float] = []

    def settle(_now: datetime) -> int:
        looks.append(time.monotonic())
        return settle_pending(desk.office.engine, desk.provider, desk.clock())

    started = desk.start(home)
    with running(worker_of(database, [Job("notices", settle)], poll_s=600)):
        wait_until(lambda: len(looks) >= 1, 10, "the worker did not start")
        desk.pay(started)
        desk.deliver()
        wait_until(lambda: desk.checkout(started.checkout_id).state == "paid", 10, "the worker was not woken")
    assert desk.notices() == [("settled", None)]


def test_without_a_wake_up_the_worker_looks_by_itself(database: Database, estates: object) -> None:
    looks: list[datetime] = []
    with running(worker_of(database, [Job("look", lambda now: looks.append(now) or 0)], poll_s=0.02)):
        wait_until(lambda: len(looks) >= 5, 10, "the worker does not poll")


def test_a_job_that_fails_stops_neither_the_others_nor_the_loop(database: Database, estates: object) -> None:
    looks: list[datetime] = []

    def fail(_now: datetime) -> int:
        raise RuntimeError("on purpose")

    jobs = [Job("fails", fail), Job("look", lambda now: looks.append(now) or 0)]
    with running(worker_of(database, jobs, poll_s=0.02)):
        wait_until(lambda: len(looks) >= 3, 10, "the loop stopped")


def test_a_lost_connection_is_made_again(database: Database, estates: object) -> None:
    looks: list[datetime] = []
    with running(worker_of(database, [Job("look", lambda now: looks.append(now) or 0)], poll_s=0.05)):
        wait_until(lambda: len(looks) >= 2, 10, "the worker did not start")
        before = listeners(database)
        assert len(before) == 1
        with connect(database.superuser_url, autocommit=True) as superuser:
            superuser.execute("SELECT pg_terminate_backend(%s)", [before[0]])
        wait_until(lambda: listeners(database) not in ([], before), 10, "it does not listen again")
        seen = len(looks)
        wait_until(lambda: len(looks) > seen, 10, "it does not work again")


def listeners(database: Database) -> list[int]:
    with connect(database.superuser_url, autocommit=True) as superuser:
        rows = superuser.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND datname = current_database()"
        )
        return [int(str(pid)) for (pid,) in rows]


def test_without_a_database_the_worker_waits_for_one() -> None:
    tries: list[int] = []

    def refuse() -> psycopg.Connection[tuple[object, ...]]:
        tries.append(1)
        raise psycopg.OperationalError("away")

    with running(Worker([], [CHANNEL], refuse, lambda: datetime.now(UTC), 0.02)):
        wait_until(lambda: len(tries) >= 3, 10, "it gave up")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_process_seals_entries_and_ends_in_order_when_asked_to(
    database: Database, office: Office, home: Home, tmp_path: Path, number: int
) -> None:
    config = tmp_path / "backend.toml"
    (tmp_path / "session").write_text("secret")
    (tmp_path / "master").write_text(base64.b64encode(bytes(32)).decode())
    config.write_text(
        f'[database]\nurl = "{database.app_url}"\n'
        f'[secrets]\nsession_key_file = "{tmp_path}/session"\nmaster_key_file = "{tmp_path}/master"\n'
    )
    program = (
        "from pathlib import Path; from backend import settings;"
        "from backend.jobs.commands import run_worker;"
        f"run_worker(settings.load(Path({str(config)!r}), {{}}))"
    )
    child = subprocess.Popen([sys.executable, "-c", program], cwd=Path.cwd(), env=dict(os.environ))
    try:
        wait_until(lambda: len(listeners(database)) == 2, 50, "the worker did not start")
        office.charge()
        wait_until(lambda: office.count("seal") == 1, 50, "the worker's sealer did not seal the entry")
        child.send_signal(number)
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.wait()
