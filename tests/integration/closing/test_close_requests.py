"""A close that was asked for on the page is done by the worker: once, and again where a worker was killed."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg.errors import DiskFull
from sqlalchemy.exc import OperationalError

from backend.closing import service, verify_pack
from backend.closing.errors import MonthNotReadyError
from backend.closing.records import Month
from backend.closing.requests import Request, close_requested, last_request, request_close
from backend.closing.service import closes, lock_of
from backend.db.engine import connect
from backend.identity.errors import NotAllowedError
from estate.processes import wait_until
from tests.integration.closing.test_close_or_nothing import held_before_the_record, waiting_for_the_record
from tests.integration.closing.test_closing_refusals import FEBRUARY, JANUARY, LATER, charge
from tests.integration.closing.year import ESTATE, Year
from tests.integration.conftest import Database

WITHIN_S = 60


@pytest.fixture
def ready(year: Year) -> Year:
    """January can be closed."""
    charge(year, JANUARY)
    year.state(1)
    return year


def ask(year: Year, month: Month = JANUARY, at: datetime = LATER) -> None:
    with year.engine.begin() as connection:
        request_close(connection, ESTATE, month, year.people[0], at)


def last(year: Year, month: Month = JANUARY) -> Request:
    with year.engine.connect() as connection:
        found = last_request(connection, ESTATE, month)
    assert found is not None
    return found


def count(database: Database, table: str) -> int:
    with connect(database.superuser_url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(str(row[0]))


def test_a_button_pressed_twice_closes_once(ready: Year, database: Database, tmp_path: Path) -> None:
    ask(ready)
    ask(ready, at=LATER + timedelta(seconds=1))
    assert (count(database, "close_request"), last(ready).state) == (1, "waiting")
    assert close_requested(ready.engine, tmp_path, LATER) == 1
    assert close_requested(ready.engine, tmp_path, LATER) == 0
    assert (count(database, "month_close"), last(ready).state) == (1, "done")
    (path,) = tmp_path.iterdir()
    assert verify_pack.verify(path) == []


def test_what_is_missing_is_said_at_once_and_nothing_is_asked_for(year: Year, database: Database) -> None:
    with pytest.raises(MonthNotReadyError):
        ask(year)
    year.people[0] = year.people[0].__class__(year.people[0].principal_id, "x", "x", None, ())
    with pytest.raises(NotAllowedError):
        ask(year)
    assert count(database, "close_request") == 0


def test_what_stopped_being_ready_is_refused_with_its_sentence(ready: Year, tmp_path: Path) -> None:
    ask(ready)
    ready.moves["bank"][JANUARY.last_on] += 5
    ready.post("bank_interest", "late", JANUARY.last_on, {"amount": 5})
    assert close_requested(ready.engine, tmp_path, LATER) == 1
    asked = last(ready)
    assert asked.state == "refused"
    assert asked.said_zh is not None
    assert "差 -0.05 元" in asked.said_zh
    with ready.engine.connect() as connection:
        assert lock_of(connection, ESTATE, JANUARY) is None
    # Nothing is tried by itself again; a new press is.
    assert close_requested(ready.engine, tmp_path, LATER) == 0


def test_a_right_that_ended_before_the_worker_came_closes_nothing(
    ready: Year, database: Database, tmp_path: Path
) -> None:
    ask(ready)
    with connect(database.owner_url) as owner:
        owner.execute("UPDATE principal_role SET valid_to = %s", [LATER])
    assert close_requested(ready.engine, tmp_path, LATER + timedelta(seconds=1)) == 1
    assert last(ready).state == "refused"
    assert count(database, "month_close") == 0


def test_what_nobody_expected_is_refused_once_and_does_not_come_again(
    ready: Year, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError

    ask(ready)
    monkeypatch.setattr(service, "build_pack", broken)
    assert close_requested(ready.engine, tmp_path, LATER) == 1
    assert "出错" in (last(ready).said_zh or "")
    assert list(tmp_path.iterdir()) == []
    assert close_requested(ready.engine, tmp_path, LATER) == 0


def test_a_close_that_the_database_fails_is_tried_later_and_not_for_ever(
    ready: Year, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def full(*_: object) -> str:
        tried.append(1)
        raise OperationalError("INSERT", {}, DiskFull("no space left"))

    ask(ready)
    monkeypatch.setattr(service, "build_pack", full)
    assert close_requested(ready.engine, tmp_path, LATER) == 0
    assert (last(ready).state, len(tried)) == ("running", 1)
    assert close_requested(ready.engine, tmp_path, LATER + timedelta(minutes=59)) == 0
    assert close_requested(ready.engine, tmp_path, LATER + timedelta(minutes=61)) == 1
    assert (last(ready).state, len(tried)) == ("refused", 3)
    monkeypatch.undo()
    ask(ready, at=LATER + timedelta(minutes=62))
    assert close_requested(ready.engine, tmp_path, LATER + timedelta(minutes=63)) == 1
    assert last(ready).state == "done"


def test_two_workers_close_once(ready: Year, database: Database, tmp_path: Path) -> None:
    ask(ready)
    done: list[int] = []
    with held_before_the_record(database):
        first = threading.Thread(target=lambda: done.append(close_requested(ready.engine, tmp_path, LATER)))
        first.start()
        wait_until(lambda: waiting_for_the_record(database), WITHIN_S, "the close does not come that far")
        assert last(ready).state == "running"
        assert close_requested(ready.engine, tmp_path, LATER) == 0
        assert last(ready).state == "running"
    first.join()
    assert done == [1]
    with ready.engine.connect() as connection:
        assert len(closes(connection, [ESTATE])) == 1


@contextmanager
def worker(database: Database, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The worker as a process; packs are filed in `packs`."""
    (folder / "session").write_text("secret")
    (folder / "master").write_text(base64.b64encode(bytes(32)).decode())
    config = folder / "worker.toml"
    config.write_text(
        f'[database]\nurl = "{database.app_url}"\n[closing]\npacks_folder = "{folder}/packs"\n'
        f'[secrets]\nsession_key_file = "{folder}/session"\nmaster_key_file = "{folder}/master"\n'
    )
    command = [sys.executable, "-m", "estate", "backend", "work"]
    environment = {**os.environ, "ESTATE_CONFIG_BACKEND": str(config)}
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_killed_workers_close_is_taken_up_again_and_gives_the_same_pack(
    year: Year, database: Database, tmp_path: Path
) -> None:
    for month in (JANUARY, FEBRUARY):
        charge(year, month)
        year.state(month.from_on.month)
    asked_at = datetime.now(UTC)
    ask(year, at=asked_at)
    with held_before_the_record(database), worker(database, tmp_path) as killed:
        wait_until(lambda: waiting_for_the_record(database), WITHIN_S, "the worker does not come that far")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert last(year).state == "running"
    (left,) = (tmp_path / "packs").iterdir()
    body = (left / f"{ESTATE}-2026-01.zip").read_bytes()
    with year.engine.connect() as connection:
        assert lock_of(connection, ESTATE, JANUARY) is None
    with worker(database, tmp_path) as process:
        wait_until(lambda: last(year).state == "done", WITHIN_S, "nobody takes it up again")
        (path,) = (tmp_path / "packs").iterdir()
        assert path.read_bytes() == body
        # Woken by the request itself.
        ask(year, FEBRUARY)
        wait_until(lambda: last(year, FEBRUARY).state == "done", WITHIN_S, "the worker was not woken")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
