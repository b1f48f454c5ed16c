"""`estate ledger close | verify | reopen | fava` from outside, with right and with wrong arguments."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path

from backend.closing.records import Month
from tests.integration.closing.conftest import ClosedYear
from tests.integration.closing.test_closing_refusals import charge
from tests.integration.closing.year import ESTATE, Year

SERVES_WITHIN_S = 60


def ledger(config: Path | None, *words: str | Path, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "estate", "ledger", *map(str, words)],
        env={**os.environ, "ESTATE_CONFIG_BACKEND": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_a_month_is_checked_closed_verified_and_asked_open_again(
    year: Year, config: Path, tmp_path: Path
) -> None:
    month = ("--book", ESTATE, "--month", "2026-01")
    assert "✗ charges" in ledger(config, "close", *month, "--check")
    assert "还不能结账" in ledger(config, "close", *month, "--as", "wang", status=1)
    charge(year, Month(date(2026, 1, 1)))
    year.state(1)
    said = ledger(config, "close", *month, "--as", "wang")
    pack, head = tmp_path / "packs" / f"{ESTATE}-2026-01.zip", said.split("head: ")[1].strip()
    assert str(pack) in said
    assert head in ledger(None, "verify", pack, "--head", head)
    asked = ledger(config, "reopen", *month, "--as", "wang", "--reason", "漏记")
    assert "/approvals/" in asked
    again = ("--as", "wang", "--reason", "漏记")
    assert "没有结账" in ledger(config, "reopen", "--book", ESTATE, "--month", "2026-02", *again, status=1)


def test_wrong_arguments_are_one_sentence(year: Year, config: Path, tmp_path: Path) -> None:
    good = ("--book", ESTATE, "--month", "2026-01")
    assert "没有账簿" in ledger(config, "close", "--book", "no", *good[2:], "--as", "wang", status=1)
    assert "没有账簿" in ledger(config, "close", "--book", "no", *good[2:], "--check", status=1)
    assert "--as" in ledger(config, "close", *good, status=2)
    ledger(config, "close", *good[:2], "--month", "2026-13", "--as", "wang", status=1)
    ledger(config, "close", *good, "--as", "nobody", status=1)
    assert "PACK" in ledger(None, "verify", tmp_path / "none.zip", status=2)
    torn = tmp_path / "torn.zip"
    torn.write_bytes(b"PK\x03\x04 torn")
    ledger(None, "verify", torn, status=1)


def test_another_head_and_another_predecessor_are_found_by_the_command(closed_year: ClosedYear) -> None:
    packs = [one.path for one in closed_year.closed]
    assert "WRONG" in ledger(None, "verify", packs[8], "--head", "f" * 64, status=1)
    assert "WRONG" in ledger(None, "verify", packs[8], "--previous", packs[5], status=1)


def test_fava_serves_the_exported_book(year: Year, config: Path) -> None:
    charge(year, Month(date(2026, 1, 1)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "estate", "ledger", "fava", "--book", ESTATE, "--port", str(port)]
    environment = {**os.environ, "ESTATE_CONFIG_BACKEND": str(config)}
    with subprocess.Popen(command, env=environment, start_new_session=True) as served:
        try:
            assert "1212" in _page(served, f"http://127.0.0.1:{port}/")
        finally:
            # Its own group: the command and the server that it started.
            os.killpg(served.pid, 15)


def _page(served: subprocess.Popen[bytes], url: str) -> str:
    until = time.monotonic() + SERVES_WITHIN_S
    while time.monotonic() < until and served.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (loopback)
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"nothing was served, exit status {served.poll()}")
