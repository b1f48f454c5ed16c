"""`estate rent …`, as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from backend.approvals import service as approvals
from backend.rent.commands import rent
from backend.rent.measures import NewMeter, install_meter
from backend.rent.preview import preview
from backend.rent.runs import propose_run
from backend.rent.settings import RentSettings
from tests.integration.money.conftest import make_principal

if TYPE_CHECKING:
    from backend.identity.principal import Principal
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Office

Run = Callable[..., Result]
NOVEMBER = date(2026, 11, 1)


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Run:
    config = tmp_path / "backend.toml"
    config.write_text(
        f'[database]\nurl = "{database.app_url}"\n'
        '[secrets]\nsession_key_file = "unused"\nmaster_key_file = "unused"\n'
    )
    return lambda *words: CliRunner().invoke(rent, ["--config", str(config), *words])


def test_a_run_is_previewed_and_posted_only_after_two_people_agreed(
    office: Office, clerk: Principal, run: Run
) -> None:
    office.move_in(60_000)
    seen = run("run", "preview", "--month", "2026-11", "--lines")
    assert seen.exit_code == 0, seen.output
    for said in ("将计收 1 户", "600.00", "合同租金", "A栋"):
        assert said in seen.output
    assert office.count("rent_charge") == 0

    refused = run("run", "post", "--month", "2026-11")
    assert refused.exit_code == 1
    assert "还没有人申请" in refused.output
    with office.engine.begin() as connection:
        second = make_principal(connection, "second", "finance", None)
        asked = propose_run(
            connection, preview(connection, None, NOVEMBER, RentSettings()), "计租", clerk, office.now
        )
    assert "待审批" in run("run", "post", "--month", "2026-11").output
    with office.engine.begin() as connection:
        approvals.approve(connection, asked.proposal_id, second, office.now)
    for _ in range(2):
        posted = run("run", "post", "--month", "2026-11")
        assert posted.exit_code == 0, posted.output
        assert json.loads(posted.output)["charged"] == 1
    assert (office.count("rent_charge"), office.count("journal_entry")) == (1, 1)


def test_tariffs_are_loaded_once_by_command(office: Office, run: Run) -> None:
    first, second = (run("tariffs", "config/tariffs.toml") for _ in range(2))
    assert first.exit_code == 0, first.output
    assert office.count("tariff") == 5
    assert "新增或截止 0 个版本" in second.output


def test_readings_are_imported_by_command_all_of_a_table_or_nothing(
    office: Office, clerk: Principal, run: Run, tmp_path: Path
) -> None:
    home = office.move_in()
    with office.engine.begin() as connection:
        install_meter(
            connection,
            NewMeter(home.unit_id, "water", "tap", "W-1", 10_000_000, 0, date(2026, 10, 1)),
            clerk,
            office.now,
        )
    file = tmp_path / "readings.csv"
    told = ("measures", "readings", str(file), "--as", "clerk")
    first = "表别,表号,抄表日期,读数\n水表,W-1,2026-10-31,12.5\n"
    file.write_text(f"{first}水表,W-1,2026-11-30,3\n水表,W-2,2026-11-30,x\n")
    refused = run(*told)
    assert refused.exit_code == 1
    assert [word in refused.output for word in ("第 3 行", "第 4 行", "什么都没有写入")] == [True] * 3
    assert office.count("meter_reading") == 1
    file.write_text(first)
    assert "未写入" in run(*told, "--dry-run").output
    assert office.count("meter_reading") == 1
    for _ in range(2):
        assert run(*told).exit_code == 0
        assert office.count("meter_reading") == 2


def test_areas_are_imported_by_what_stands_on_the_door(
    office: Office, clerk: Principal, run: Run, tmp_path: Path
) -> None:
    home = office.move_in()
    number = office.row("unit", unit_id=home.unit_id).number
    file = tmp_path / "areas.csv"
    file.write_text(f"小区,楼栋,房号,面积,起用日期\npengjiang-1,A栋,{number},51.25,2026-01-01\n")
    assert run("measures", "areas", str(file), "--as", "clerk").exit_code == 0
    assert office.row("unit_area", unit_id=home.unit_id).area_hundredths == 5_125
    file.write_text("小区,楼栋,房号,面积,起用日期\npengjiang-1,A栋,none,51.25,2026-01-01\n")
    assert "第 2 行" in run("measures", "areas", str(file), "--as", "clerk").output


@pytest.mark.parametrize(
    "words",
    [
        ("measures", "readings", "missing.csv", "--as", "clerk"),
        ("measures", "pressure", "pyproject.toml", "--as", "clerk"),
        ("measures", "readings", "pyproject.toml", "--as", "clerk"),
        ("measures", "readings", "pyproject.toml", "--as", "ghost"),
        ("measures", "readings", "pyproject.toml"),
        ("run", "preview", "--month", "2026-13"),
        ("run", "preview", "--month", "2026-11", "--estate", "nowhere"),
        ("run", "post", "--month", "2026-11", "--estate", "nowhere"),
        ("run", "preview"),
        ("run", "lock", "--month", "2026-11"),
    ],
)
def test_wrong_words_are_one_sentence(
    office: Office, clerk: Principal, run: Run, words: tuple[str, ...]
) -> None:
    result = run(*words)
    assert result.exit_code in {1, 2}
    assert "  |  " in result.output
    assert len(result.output.strip().splitlines()) == 1
