"""Sixteen writers on one book are killed with -9 again and again; no gap in the chain, the sums are right."""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from backend.db.engine import make_single_engine
from backend.ledger.books import CITY_BOOK, open_books
from backend.ledger.chain import check_chain, head, seal_status
from backend.ledger.service import trial_balance
from estate.processes import wait_until
from tests.drill.conftest import Drill
from tests.drill.ledger_writers import DAY, NOW, entry, seal, write
from tests.integration.conftest import database, migrated_template

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Database

__all__ = ["database", "migrated_template"]

WRITERS, SEALERS, KILLS_A_SECOND = 16, 2, 1.5
SECONDS = {"short": 6, "long": 60}


@pytest.mark.timeout(300)
def test_sixteen_writers_with_kills_leave_a_chain_without_a_gap(
    drill: Drill, database: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url, seconds = database.app_url, SECONDS[request.config.getoption("--drill")]
    engine = make_single_engine(url)
    with engine.begin() as connection:
        open_books(connection, NOW)
    # A server that has imported everything forks them: what is killed is soon replaced.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.drill.ledger_writers"])
    files = [tmp_path / f"{index}.txt" for index in range(WRITERS)]

    def start(place: int, life: int) -> multiprocessing.process.BaseProcess:
        if place < WRITERS:
            child = context.Process(target=write, args=(url, f"{place}.{life}", files[place]))
        else:
            child = context.Process(target=seal, args=(url,))
        child.start()
        return child

    children = [start(place, 0) for place in range(WRITERS + SEALERS)]
    try:
        wait_until(lambda: all(file.exists() for file in files), 60, "the writers do not start")
        until, kills = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            time.sleep(drill.choice.uniform(0, 2 / KILLS_A_SECOND))
            place = drill.choice.randrange(WRITERS + SEALERS)
            children[place].kill()
            children[place].join()
            kills += 1
            children[place] = start(place, kills)
    finally:
        for child in children[:WRITERS]:
            child.kill()
            child.join()
    with engine.connect() as connection:
        wait_until(lambda: not unsealed(connection), 60, "the tail is not sealed")
    for child in children[WRITERS:]:
        child.kill()
        child.join()
    confirmed = {key for file in files for key in file.read_text("utf-8").split("\n") if ":" in key}
    with engine.connect() as connection:
        known = set(
            connection.scalars(text("SELECT event_key FROM journal_entry WHERE event_kind = 'drill'"))
        )
        assert check_chain(connection, CITY_BOOK) == []
        assert head(connection, CITY_BOOK).seq == len(known)
        assert confirmed <= known, "something that was committed is gone"
        total = sum(entry(key).total_fen for key in known)
        assert [one.balance_fen for one in trial_balance(connection, CITY_BOOK, DAY)] == [total, -total]
    assert kills > 0
    assert len(confirmed) > WRITERS
    engine.dispose()


def unsealed(connection: object) -> int:
    connection.rollback()  # type: ignore[attr-defined]
    return sum(one.unsealed for one in seal_status(connection))  # type: ignore[arg-type]
