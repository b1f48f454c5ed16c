"""Closed months of a year with every kind of voucher, proved by tools that share no code with ours."""

import subprocess
import sys
import zipfile
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from backend.closing import verify_pack
from backend.closing.build import ask_bean_check, wrong_with
from backend.closing.helpers import Helpers
from backend.closing.programs import bean_check, find_program, hledger_check
from backend.closing.records import Month
from backend.closing.service import close_month
from backend.ledger.service import trial_balance
from tests.integration.closing.conftest import ClosedYear
from tests.unit.money.voucher_page import documented

# The months that hold the rarer vouchers, and one with opening balances only from before.
MONTHS = (5, 9, 12)


def unpack(closed_year: ClosedYear, month: int, folder: Path) -> Path:
    with zipfile.ZipFile(closed_year.closed[month - 1].path) as package:
        package.extractall(folder)
    return folder


def test_every_documented_kind_of_voucher_is_in_the_year(closed_year: ClosedYear) -> None:
    assert closed_year.year.kinds | {"period_close"} == set(documented())


@pytest.mark.parametrize("month", MONTHS)
def test_beancount_hledger_and_our_trial_balance_agree_to_the_fen(
    closed_year: ClosedYear, tmp_path: Path, month: int
) -> None:
    folder = unpack(closed_year, month, tmp_path)
    assert bean_check(folder / "book.beancount") == []
    assert hledger_check(folder / "book.journal") == []
    last = date(2026, month, 28) if month == 2 else date(2026, month, 30 if month in {4, 6, 9, 11} else 31)
    with closed_year.year.engine.connect() as connection:
        ours = {
            line.account_code: line.balance_fen
            for line in trial_balance(connection, closed_year.year.book_id, last)
            if line.balance_fen
        }
    assert by_hledger(folder / "book.journal") == ours
    assert by_beancount(folder / "book.beancount") == ours


def by_hledger(path: Path) -> dict[str, int]:
    """Balances as hledger adds them up, by account code."""
    done = subprocess.run(
        ["hledger", "-f", str(path), "balance", "--flat", "--output-format", "csv", "--no-total"],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin:/usr/local/bin"},
    )
    found = {}
    for line in done.stdout.splitlines()[1:]:
        account, balance = line.strip('"').split('","')
        found[account.split(":")[1].split(" ")[0]] = verify_pack.fen_from(balance.removesuffix(" CNY"))
    return found


def by_beancount(path: Path) -> dict[str, int]:
    """Balances as beancount adds them up: its own parser and booking, in a Python process of its own."""
    script = (
        "import sys; from beancount import loader; from beancount.core import data, realization\n"
        "entries, errors, _ = loader.load_file(sys.argv[1]); assert not errors, errors\n"
        "from collections import Counter; sums = Counter()\n"
        "for entry in data.filter_txns(entries):\n"
        "  for posting in entry.postings: sums[posting.account] += posting.units.number\n"
        "for account, number in sums.items(): print(account.split(':')[1], number)\n"
    )
    python = str(Path(find_program("bean-check")).with_name("python"))
    done = subprocess.run([python, "-c", script, str(path)], capture_output=True, text=True, check=True)
    found: Counter[str] = Counter()
    for line in done.stdout.splitlines():
        account, number = line.split()
        digits = account.split("-")
        code = digits[0] if not digits[1].isdigit() else f"{digits[0]}.{digits[1]}"
        found[code] += verify_pack.fen_from(number)
    return {code: fen for code, fen in found.items() if fen}


def test_every_pack_passes_with_its_head_and_the_pack_before(closed_year: ClosedYear) -> None:
    before: Path | None = None
    for closed in closed_year.closed:
        assert verify_pack.verify(closed.path, closed.head_hash, before) == []
        before = closed.path


def test_the_verifier_in_a_pack_runs_by_itself(closed_year: ClosedYear, tmp_path: Path) -> None:
    folder = unpack(closed_year, 3, tmp_path)
    head = closed_year.closed[2].head_hash
    command = [sys.executable, "-I", "-S", "verify_pack.py", ".", "--head", head]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert head in done.stdout
    command[-1] = "f" * 64
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "head kept outside" in done.stdout


def test_the_pack_of_the_month_before_last_is_no_predecessor(closed_year: ClosedYear) -> None:
    wrong = verify_pack.verify(closed_year.closed[5].path, None, closed_year.closed[3].path)
    assert any(line.startswith("previous:") for line in wrong)


def test_a_close_that_is_repeated_gives_the_same_pack(closed_year: ClosedYear, tmp_path: Path) -> None:
    year, closed = closed_year.year, closed_year.closed[4]
    again = close_month(
        year.engine,
        year.book_id,
        Month(date(2026, 5, 1)),
        year.people[1],
        datetime(2027, 2, 1, tzinfo=UTC),
        tmp_path,
    )
    assert again.manifest_sha256 == closed.manifest_sha256
    assert again.path.read_bytes() == closed.path.read_bytes()


def checked(folder: Path) -> list[str]:
    """What a close finds wrong with it."""
    with Helpers() as helpers:
        return wrong_with(helpers, folder, 0, ask_bean_check(helpers, folder))


def test_a_pack_checked_in_two_halves_shows_what_is_wrong_in_each(unpacked: Path) -> None:
    (unpacked / "cash-book.xlsx").write_bytes((unpacked / "remittances.xlsx").read_bytes())
    (unpacked / "book.journal").write_text("")
    wrong = verify_pack.verify(unpacked)
    assert {said.split(":")[0] for said in wrong} == {"manifest", "hledger", "excel"}
    assert checked(unpacked) == wrong


def test_a_close_asks_bean_check_as_well(unpacked: Path) -> None:
    assert checked(unpacked) == []
    with (unpacked / "book.beancount").open("a", encoding="utf-8") as file:
        file.write("2026-03-31 balance Assets:Nowhere 1.00 CNY\n")
    said = [line for line in checked(unpacked) if line.startswith("bean-check:")]
    assert any("Assets:Nowhere" in line for line in said)
