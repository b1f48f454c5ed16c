"""An entry by hand: asked for by one person, posted exactly so when another agrees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from backend.approvals.errors import ApprovalMissingError, ApprovalUsedError, NoRightError
from backend.approvals.service import Proposal, approve, change, get
from backend.identity.principal import Principal
from backend.ledger import manual, periods
from backend.ledger.commands import read_line
from backend.ledger.errors import (
    AccountUnknownError,
    BookUnknownError,
    LineTextError,
    PeriodLockedError,
    UnbalancedEntryError,
)
from backend.ledger.rules import Line, credit, debit
from backend.ledger.service import trial_balance
from estate.cli import estate
from tests.integration.money.conftest import NOW, make_principal

if TYPE_CHECKING:
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Office

BOOK, DAY, LATER = "pengjiang-1", date(2026, 11, 3), NOW + timedelta(hours=1)
LINES = (debit("1002", 1234), credit("1001", 1234))


@pytest.fixture
def chief(engine: Engine, office: Office) -> Principal:
    with engine.begin() as connection:
        return make_principal(connection, "chief", "finance", BOOK)


@pytest.fixture
def ask(engine: Engine, clerk: Principal) -> Callable[..., Proposal]:
    def asked(book: str = BOOK, lines: tuple[Line, ...] = LINES, who: Principal = clerk) -> Proposal:
        with engine.begin() as connection:
            return manual.propose_entry(connection, book, DAY, "现金缴存", lines, "漏记", who, NOW)

    return asked


def balances(engine: Engine) -> list[tuple[str, int]]:
    with engine.connect() as connection:
        return [(one.account_code, one.balance_fen) for one in trial_balance(connection, BOOK, DAY)]


def test_it_is_posted_once_and_exactly_as_agreed(
    engine: Engine, ask: Callable[..., Proposal], chief: Principal
) -> None:
    asked = ask()
    assert "12.34" in asked.summary_zh
    with engine.begin() as connection, pytest.raises(ApprovalMissingError):
        manual.post_agreed(connection, asked.proposal_id, chief, LATER)
    with engine.begin() as connection:
        approve(connection, asked.proposal_id, chief, LATER)
        assert manual.post_agreed(connection, asked.proposal_id, chief, LATER).is_new
    assert balances(engine) == [("1001", -1234), ("1002", 1234)]
    with engine.begin() as connection, pytest.raises(ApprovalUsedError):
        manual.post_agreed(connection, asked.proposal_id, chief, LATER)


def test_what_was_changed_before_the_approval_is_what_is_posted(
    engine: Engine, ask: Callable[..., Proposal], clerk: Principal, chief: Principal
) -> None:
    asked = ask()
    lines = [
        {"account": "1002", "debit_fen": 5, "credit_fen": 0},
        {"account": "1001", "debit_fen": 0, "credit_fen": 5},
    ]
    with engine.begin() as connection:
        change(connection, asked.proposal_id, "改", {**asked.payload, "lines": lines}, "改", clerk, LATER)
        approve(connection, asked.proposal_id, chief, LATER)
        manual.post_agreed(connection, asked.proposal_id, chief, LATER)
    assert balances(engine) == [("1001", -5), ("1002", 5)]


def test_a_month_that_was_locked_meanwhile_takes_it_no_longer(
    engine: Engine, ask: Callable[..., Proposal], clerk: Principal, chief: Principal
) -> None:
    asked = ask()
    with engine.begin() as connection:
        approve(connection, asked.proposal_id, chief, LATER)
        periods.lock_period(connection, BOOK, date(2026, 11, 1), clerk, LATER)
    with engine.begin() as connection, pytest.raises(PeriodLockedError):
        manual.post_agreed(connection, asked.proposal_id, chief, LATER)
    with engine.connect() as connection:
        assert get(connection, asked.proposal_id).state == "approved", "and the approval is not used up"


def test_what_would_be_refused_later_is_refused_at_once(
    ask: Callable[..., Proposal], chief: Principal
) -> None:
    with pytest.raises(UnbalancedEntryError):
        ask(lines=(debit("1002", 5), credit("1001", 4)))
    with pytest.raises(AccountUnknownError):
        ask(lines=(debit("1002", 5), credit("9999", 5)))
    with pytest.raises(BookUnknownError):
        ask(book="nowhere")
    with pytest.raises(NoRightError):
        ask(book="jianghai-1", who=chief)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("1002 借 12.34", debit("1002", 1234)),
        (" 1021.01  贷 5 ", credit("1021.01", 500)),
        ("1002 借0.5", debit("1002", 50)),
    ],
)
def test_a_posting_is_read_as_it_is_typed(words: str, line: Line) -> None:
    assert read_line(words) == line


@pytest.mark.parametrize(
    "words", ["", "1002", "1002 借", "1002 借 -5", "1002 借 1.234", "1002 D 5", "1002 借 1e3"]
)
def test_a_posting_that_is_no_posting_is_named(words: str) -> None:
    with pytest.raises(LineTextError):
        read_line(words)


def test_an_entry_is_proposed_by_command(
    engine: Engine, database: Database, clerk: Principal, tmp_path: Path
) -> None:
    config = tmp_path / "backend.toml"
    config.write_text(
        f'[database]\nurl = "{database.app_url}"\n'
        '[secrets]\nsession_key_file = "unused"\nmaster_key_file = "unused"\n'
    )

    def run(*lines: str) -> Result:
        words = [
            "--book",
            BOOK,
            "--on",
            "2026-11-03",
            "--summary",
            "现金缴存",
            "--reason",
            "漏记",
            "--as",
            "clerk",
        ]
        for line in lines:
            words += ["--line", line]
        return CliRunner().invoke(estate, ["ledger", "--config", str(config), "propose-entry", *words])

    done = run("1002 借 12.34", "1001 贷 12.34")
    assert done.exit_code == 0, done.output
    assert "手工凭证 12.34 元" in done.output
    wrong = run("1002 借 12.34", "1001 贷 12.33")
    assert (wrong.exit_code, len(wrong.output.strip().splitlines())) == (1, 1)
