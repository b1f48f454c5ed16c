"""The commands from outside: simulate a month, register accounts, import, run, cases, report."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from simulators.bank.month import Payment
from tests.integration.conftest import Database
from tests.integration.reconciliation.conftest import Books
from tests.unit.reconciliation.sample import BOOK

ACCOUNTS_FILE = Path(__file__).resolve().parents[3] / "config" / "reconciliation.toml"


@pytest.fixture
def config(database: Database, tmp_path: Path) -> Path:
    path = tmp_path / "backend.toml"
    path.write_text(
        f"[database]\nurl = '{database.app_url}'\n[secrets]\nsession_key_file = 'x'\nmaster_key_file = 'x'\n"
    )
    return path


def estate(config: Path, *words: str | Path, status: int = 0) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "estate", *map(str, words)],
        env={**os.environ, "ESTATE_CONFIG_BACKEND": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def test_a_simulated_month_is_imported_and_reconciled_by_commands(
    books: Books, config: Path, tmp_path: Path
) -> None:
    bills = tmp_path / "bills"
    said, _ = estate(
        config,
        "simulate",
        "bills",
        "--folder",
        bills,
        "--count",
        "90",
        "--errors",
        "1",
        "--in",
        "wechat:bill",
        "--mchid",
        "19000001099",
    )
    assert "6 errors" in said
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(re.sub(r'(?m)^(ref = ".*)"', r'\g<1>9"', ACCOUNTS_FILE.read_text("utf-8")), "utf-8")
    said, _ = estate(config, "reconcile", "accounts", accounts)
    assert "wechat-pengjiang-1" in said
    for one in json.loads((bills / "payments.json").read_text("utf-8"))["wechat"]:
        books.receive("wechat", [_payment(one)])
    trade, flow = sorted(bills.glob("wechat-trade-*")), sorted(bills.glob("wechat-flow-*"))
    wechat = ("reconcile", "import", "--account", "wechat-pengjiang-1", "--format")
    said, _ = estate(config, *wechat, "wechat_trade", "--dry-run", trade[0])
    assert "dry run" in said
    assert books.count("statement_file") == 0
    estate(config, *wechat, "wechat_trade", *trade)
    estate(config, *wechat, "wechat_flow", *flow)
    said, _ = estate(config, *wechat, "wechat_flow", *flow[:1])
    assert "nothing changed" in said
    said, _ = estate(config, "reconcile", "cases", "--account", "wechat-pengjiang-1")
    assert said.splitlines()[-1] == "未结 6  |  6 open"
    said, _ = estate(config, "reconcile", "run")
    assert "wechat-pengjiang-1" in said
    said, _ = estate(config, "reconcile", "report", "--days", "40")
    assert said


def test_wrong_arguments_and_files_are_one_sentence(books: Books, config: Path, tmp_path: Path) -> None:
    broken = tmp_path / "bill.csv"
    broken.write_text("交易时间,商户号\n", "utf-8")
    import_ = ("reconcile", "import", "--account")
    _, said = estate(config, *import_, "wechat-main", "--format", "wechat_trade", broken, status=1)
    assert said.startswith("文件未导入，第 1 行")
    _, said = estate(config, *import_, "nobody", "--format", "wechat_trade", broken, status=1)
    assert "nobody" in said
    _, said = estate(config, *import_, "bank-main", "--format", "wechat_trade", broken, status=1)
    assert "bank-main" in said
    _, said = estate(config, *import_, "wechat-main", "--format", "xls", broken, status=2)
    assert len(said.strip().splitlines()) == 1
    _, said = estate(
        config, *import_, "wechat-main", "--format", "wechat_trade", "--from", "2026-11-01", broken, status=2
    )
    assert "--to" in said
    _, said = estate(config, "reconcile", "cases", "--account", "nobody", status=1)
    assert "nobody" in said
    _, said = estate(config, "reconcile", "accounts", broken, status=1)
    assert str(broken) in said
    _, said = estate(config, "reconcile", "accounts", ACCOUNTS_FILE, status=1)
    assert "1900000109" in said
    said, _ = estate(config, "reconcile", "report")
    assert "no day-end check yet" in said


def _payment(one: dict[str, object]) -> Payment:
    return Payment(**{**one, "at": datetime.fromisoformat(str(one["at"])), "book": BOOK})  # type: ignore[arg-type]
