"""`estate ledger head`, `check`, `seal-status` and `household`, as they are typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from backend.db.engine import connect
from backend.ledger.chain import head
from estate.cli import estate
from tests.sealing import seal_all

if TYPE_CHECKING:
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Home, Office

Run = Callable[..., Result]
BOOK = "pengjiang-1"


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Run:
    config = tmp_path / "backend.toml"
    config.write_text(
        f'[database]\nurl = "{database.app_url}"\n'
        '[secrets]\nsession_key_file = "unused"\nmaster_key_file = "unused"\n'
    )
    return lambda *words: CliRunner().invoke(estate, ["ledger", "--config", str(config), *words])


def test_the_head_is_what_two_people_write_down(engine: Engine, office: Office, home: Home, run: Run) -> None:
    office.charge()
    with engine.begin() as connection:
        assert seal_all(connection) == 1
        found = head(connection, BOOK)
    assert found.hash is not None
    assert f"{BOOK}  1  {found.hash.hex()}" in run("head", "--book", BOOK).output
    assert "city  0  -" in run("head").output


def test_the_status_counts_what_has_no_seal_yet(engine: Engine, office: Office, home: Home, run: Run) -> None:
    office.charge()
    assert (
        f"{BOOK}  已封 (sealed) 0  未封 (unsealed) 1  最早 (oldest) 2026-11-03" in run("seal-status").output
    )
    with engine.begin() as connection:
        seal_all(connection)
    assert f"{BOOK}  已封 (sealed) 1  未封 (unsealed) 0\n" in run("seal-status").output


def test_the_check_finds_what_was_changed_behind_the_triggers(
    engine: Engine, database: Database, office: Office, home: Home, run: Run
) -> None:
    office.charge()
    with engine.begin() as connection:
        seal_all(connection)
    good = run("check")
    assert (good.exit_code, f"{BOOK}  完好 (sound)  1" in good.output) == (0, True)
    with connect(database.owner_url) as owner:
        owner.execute("ALTER TABLE posting DISABLE TRIGGER ALL; UPDATE posting SET unit_id = NULL")
    bad = run("check", "--book", BOOK)
    assert bad.exit_code == 1
    assert "凭证缺失或被改动 (entry)，自第 1 号起" in bad.output


def test_one_households_account_is_printed_with_balances(office: Office, home: Home, run: Run) -> None:
    office.charge()
    office.take(home, 60_000)
    found = run("household", str(home.household_id))
    assert found.exit_code == 0, found.output
    assert "应收账款—租金  贷 600.00  余额 400.00" in found.output
    assert run("household", str(home.household_id), "--from", "2027-01-01").output.startswith("没有分录")
    account = run("household", str(home.household_id)).output
    day = account.split("  ")[0]
    assert run("household", str(home.household_id), "--from", day, "--to", day).output in account
    for days, said in (
        (("--from", "2026-12-01", "--to", "2026-11-30"), "早于开始"),
        (("--from", "20226-11-01"), "您填的是 20226"),
        (("--to", "2026-13-01"), "结束日期“2026-13-01”不对"),
        (("--from", ""), "请填写开始日期"),
    ):
        refused = run("household", str(home.household_id), *days)
        assert refused.exit_code == 1
        assert said in refused.output


@pytest.mark.parametrize(
    "words", [("head", "--book", "nowhere"), ("check", "--book", "nowhere"), ("household", "7"), ("sing",)]
)
def test_wrong_arguments_are_one_sentence(office: Office, run: Run, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code in (1, 2)
    assert len(result.output.strip().splitlines()) == 1
    assert "  |  " in result.output


def test_a_household_nobody_knows_has_no_account(office: Office, run: Run) -> None:
    assert "没有分录" in run("household", str(uuid4())).output
