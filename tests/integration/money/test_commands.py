"""The commands of money, as they are typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from backend.commands import backend

if TYPE_CHECKING:
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Desk

Run = Callable[..., Result]


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Run:
    config = tmp_path / "backend.toml"
    config.write_text(
        f'[database]\nurl = "{database.app_url}"\n'
        '[secrets]\nsession_key_file = "unused"\nmaster_key_file = "unused"\n'
    )
    return lambda *words: CliRunner().invoke(backend, ["--config", str(config), *words])


def test_parked_notices_are_listed_and_replayed_by_command(desk: Desk, run: Run) -> None:
    raw = b'{"id": "evt_1", "type": "invoice.paid", "created": 1, "data": {"object": {}}}'
    desk.receive("", raw, desk.signed(raw))
    desk.work()
    listed = run("notices", "parked").output.split("\t")
    assert listed[2:] == ["evt_1", "unknown_version: invoice.paid None\n"]
    assert run("notices", "replay", listed[0]).exit_code == 0
    assert desk.notices() == [("waiting", None)]
    assert "搁置" in run("notices", "replay", listed[0]).output
