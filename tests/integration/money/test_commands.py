"""The commands of money, as they are typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from backend.commands import backend

if TYPE_CHECKING:
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Desk, Office

Run = Callable[..., Result]


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Run:
    config = tmp_path / "backend.toml"
    config.write_text(
        f'[database]\nurl = "{database.app_url}"\n[rent]\ndue_day = 20\n'
        '[secrets]\nsession_key_file = "unused"\nmaster_key_file = "unused"\n'
    )
    return lambda *words: CliRunner().invoke(backend, ["--config", str(config), *words])


def test_a_month_is_charged_by_command(office: Office, run: Run) -> None:
    home = office.move_in(60_000)
    for charged in (1, 0):
        result = run("charge", "--month", "2026-11")
        assert result.exit_code == 0, result.output
        said = json.loads(result.output)
        assert (said["month"], said["charged"], said["amount_fen"]) == ("2026-11", charged, charged * 60_000)
    assert office.statement(home).unpaid[0].due_on.day == 20


@pytest.mark.parametrize("words", [("--month", "2026-13"), ("--month", "2026-11", "--estate", "nowhere")])
def test_a_wrong_month_or_estate_is_one_sentence(office: Office, run: Run, words: tuple[str, ...]) -> None:
    result = run("charge", *words)
    assert result.exit_code == 1
    assert "  |  " in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_parked_notices_are_listed_and_replayed_by_command(desk: Desk, run: Run) -> None:
    raw = b'{"id": "evt_1", "type": "invoice.paid", "created": 1, "data": {"object": {}}}'
    desk.receive("", raw, desk.signed(raw))
    desk.work()
    listed = run("notices", "parked").output.split("\t")
    assert listed[2:] == ["evt_1", "unknown_version: invoice.paid None\n"]
    assert run("notices", "replay", listed[0]).exit_code == 0
    assert desk.notices() == [("waiting", None)]
    assert "搁置" in run("notices", "replay", listed[0]).output
