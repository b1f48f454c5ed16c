"""`estate ledger takeover`, as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from backend.documents.table_file import ZIP
from estate.cli import estate
from tests.unit.closing.old_books import Evening

if TYPE_CHECKING:
    from backend.identity.principal import Principal
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Home, Office

Run = Callable[..., Result]
BOOK = "pengjiang-1"
WHERE = ("--book", BOOK, "--month", "2026-11")


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Run:
    config = tmp_path / "backend.toml"
    config.write_text(
        f'[database]\nurl = "{database.app_url}"\n'
        '[secrets]\nsession_key_file = "unused"\nmaster_key_file = "unused"\n'
    )
    return lambda *words: CliRunner().invoke(estate, ["ledger", "--config", str(config), "takeover", *words])


@pytest.fixture
def file(office: Office, home: Home, tmp_path: Path) -> str:
    ref = office.row("household", household_id=home.household_id).ref
    path = tmp_path / "期初.xlsx"
    path.write_bytes(Evening([(ref, "", "2026-09", "", "租金", 60_000)], [(ref, 5)]).workbook())
    return str(path)


def test_a_dry_run_tells_the_totals_and_writes_nothing(office: Office, file: str, run: Run) -> None:
    told = run(file, *WHERE, "--dry-run")
    assert told.exit_code == 0, told.output
    assert "欠费合计 Arrears  600.00" in told.output
    assert "检查通过，尚未提交" in told.output
    assert office.count("take_over_file") == 0


def test_it_is_asked_for_once(office: Office, clerk: Principal, file: str, run: Run) -> None:
    first, again = (run(file, *WHERE, "--as", clerk.login, "--reason", "上线") for _ in range(2))
    assert (first.exit_code, again.exit_code) == (0, 0), first.output + again.output
    assert "请另一人在“审批”页同意后入账" in first.output
    assert "没有变化" in again.output
    assert first.output.split()[0] == again.output.split()[0]
    assert office.count("approval_proposal") == 1


def test_every_fault_is_a_line_of_its_own(file: str, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "faulty.csv"
    path.write_bytes(Evening([("X", "", "2026-09", "", "租金", 1), ("Y", "", "9", "", "租金", 1)]).csv())
    told = run(str(path), *WHERE, "--dry-run")
    assert told.exit_code == 1
    assert "欠费 第 2 行「家庭编号」  本小区没有这户" in told.output
    assert "欠费 第 3 行「费用月份」  应为月份" in told.output
    assert "整份退回" in told.output


def test_the_pattern_is_written_and_read(tmp_path: Path, run: Run, office: Office) -> None:
    path = tmp_path / "样板.xlsx"
    assert run("--template", str(path)).exit_code == 0
    assert path.read_bytes().startswith(ZIP)
    assert run(str(path), *WHERE, "--dry-run").exit_code == 0
    assert office.count("take_over_file") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "命令参数有误"),
        (("FILE",), "命令参数有误"),
        (("nowhere.xlsx", *WHERE, "--dry-run"), "命令参数有误"),
        (("FILE", *WHERE), "命令参数有误"),
        (("FILE", "--book", BOOK, "--month", "2026-13", "--dry-run"), "不是月份"),
        (("FILE", "--book", BOOK, "--month", "2999-01", "--dry-run"), "还没有开始"),
        (("FILE", "--book", "city", "--month", "2026-11", "--dry-run"), "没有账簿 city"),
        (("FILE", "--book", "nowhere", "--month", "2026-11", "--dry-run"), "没有账簿 nowhere"),
        (("FILE", *WHERE, "--as", "nobody"), "nobody"),
        (("FILE", *WHERE, "--as", "clerk", "--reason", " "), "理由"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    clerk: Principal, file: str, run: Run, words: tuple[str, ...], said: str
) -> None:
    assert clerk.login == "clerk"
    told = run(*(file if word == "FILE" else word for word in words))
    assert told.exit_code != 0
    assert said in told.output
    assert "Traceback" not in told.output
    assert len(told.output.strip().splitlines()) == 1
