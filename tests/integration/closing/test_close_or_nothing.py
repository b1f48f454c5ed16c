"""A close is all or nothing: refused, failed or killed, it leaves the month as it was, to be closed again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from backend.closing import verify_pack
from backend.closing.errors import CloseRunningError, PackChangedError, PackWrongError
from backend.closing.service import closes, lock_of
from backend.db.engine import connect
from estate.processes import wait_until
from tests.integration.closing.test_closing_commands import ledger
from tests.integration.closing.test_closing_refusals import JANUARY, charge, close, points
from tests.integration.closing.year import ESTATE, Year
from tests.integration.conftest import Database

MONTH = ("--book", ESTATE, "--month", "2026-01")
STARTS_WITHIN_S = 60


@pytest.fixture
def busy(year: Year) -> Year:
    """January can be closed, and needs a closing entry: the bank charged something."""
    charge(year, JANUARY)
    year.pay(year.houses[0], date(2026, 1, 15), "bank", "1")
    year.post("bank_charge", "line-1", date(2026, 1, 20), {"amount": 1_500}, outside={"bank": -1_500})
    return year


@pytest.fixture
def ready(busy: Year) -> Year:
    busy.state(1)
    return busy


def assert_untouched(year: Year, entries: int) -> None:
    """The month is open, without a closing entry or a record, and entries still go into it."""
    with year.engine.connect() as connection:
        assert lock_of(connection, ESTATE, JANUARY) is None
        assert closes(connection, [ESTATE]) == []
    assert count(year) == entries


def count(year: Year) -> int:
    with year.engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM journal_entry")) or 0)


def test_a_statement_that_disagrees_is_named_with_the_difference_and_the_month_stays_open(
    busy: Year, config: Path, tmp_path: Path
) -> None:
    # The bank has booked 12.34 yuan of interest of which the books know nothing yet.
    busy.moves["bank"][date(2026, 1, 21)] += 1_234
    busy.state(1)
    entries, out = count(busy), tmp_path / "packs"
    out.mkdir()
    assert points(busy, out) == {"balances"}
    assert points(busy, out, despite=("balances",), reason="下月再查") == {"balances"}
    for said in (
        ledger(config, "close", *MONTH, "--check"),
        ledger(config, "close", *MONTH, "--as", "wang", status=1),
    ):
        assert "2026-01-31 1002 银行存款" in said
        assert "差 12.34 元" in said
        assert "2026-01-20" not in said
    assert_untouched(busy, entries)
    busy.post("bank_interest", "line-2", date(2026, 1, 21), {"amount": 1_234})
    assert "链头" in ledger(config, "close", *MONTH, "--as", "wang")


def test_a_pack_that_fails_its_own_checks_leaves_nothing_behind(busy: Year, tmp_path: Path) -> None:
    # One line of the bank twice in the books, as two events; what the bank states is right all the same.
    on = date(2026, 1, 21)
    busy.post("bank_interest", "line-1", on, {"amount": 300}, outside={"bank": 300})
    busy.state(1)
    entries = count(busy)
    with pytest.raises(PackWrongError) as refused:
        close(busy, tmp_path)
    assert "second entry for bank:line-1" in refused.value.zh
    assert_untouched(busy, entries)
    assert list(tmp_path.iterdir()) == []
    busy.pay(busy.houses[1], date(2026, 1, 30), "cash", "late")
    assert_untouched(busy, entries + 1)


@contextmanager
def held_before_the_record(database: Database) -> Iterator[None]:
    """Whoever closes waits just before the close is recorded: the pack is built and checked by then."""
    with connect(database.owner_url) as connection:
        connection.execute("LOCK TABLE month_close IN SHARE MODE")
        yield


def waiting_for_the_record(database: Database) -> bool:
    with connect(database.superuser_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'month_close'::regclass"
        ).fetchone()
    return row != (0,)


def test_a_close_that_is_killed_leaves_the_month_open_and_is_pressed_again(
    ready: Year, config: Path, database: Database, tmp_path: Path
) -> None:
    entries, out = count(ready), tmp_path / "packs"
    command = [sys.executable, "-m", "estate", "ledger", "close", *MONTH, "--as", "wang"]
    environment = {**os.environ, "ESTATE_CONFIG_BACKEND": str(config)}
    with held_before_the_record(database), subprocess.Popen(command, env=environment) as closing:
        wait_until(
            lambda: waiting_for_the_record(database), STARTS_WITHIN_S, "the close does not come that far"
        )
        with pytest.raises(CloseRunningError):
            close(ready, out)
        assert_untouched(ready, entries)
        closing.send_signal(signal.SIGKILL)
    (left,) = out.iterdir()
    assert (left / f"{ESTATE}-2026-01.zip").is_file()
    assert_untouched(ready, entries)
    closed = close(ready, out)
    assert list(out.iterdir()) == [closed.path]
    assert verify_pack.verify(closed.path, closed.head_hash) == []
    assert count(ready) == entries + 1


def test_a_close_that_was_recorded_and_not_filed_writes_the_same_bytes(ready: Year, tmp_path: Path) -> None:
    closed = close(ready, tmp_path)
    body = closed.path.read_bytes()
    closed.path.unlink()
    again = close(ready, tmp_path, who=ready.people[1])
    assert again == closed
    assert again.path.read_bytes() == body


def test_a_pack_whose_facts_changed_is_not_passed_off_as_the_one_on_record(
    ready: Year, database: Database, tmp_path: Path
) -> None:
    closed = close(ready, tmp_path)
    body = closed.path.read_bytes()
    with connect(database.owner_url) as connection:
        connection.execute("UPDATE estate SET name_zh = '新名'")
    with pytest.raises(PackChangedError):
        close(ready, tmp_path)
    assert closed.path.read_bytes() == body
