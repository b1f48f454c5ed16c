"""The page for the second person: what waits, in plain words, and the decision."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from backend.approvals.service import Proposal, change, get, propose
from backend.identity.accounts import set_password
from backend.identity.principal import Principal
from backend.ledger.manual import propose_entry
from backend.ledger.rules import credit, debit
from backend.ledger.service import trial_balance
from tests.integration.money.conftest import make_principal

if TYPE_CHECKING:
    from tests.integration.money.conftest import Office

ESTATE, OTHER, PASSWORD = "pengjiang-1", "jianghai-1", "a-long-password-1"


@pytest.fixture
def staff(engine: Engine, office: Office) -> dict[str, Principal]:
    now = datetime.now(UTC)
    people = {}
    with engine.begin() as connection:
        for login, estate in (("clerk", ESTATE), ("chief", ESTATE), ("elsewhere", OTHER)):
            people[login] = make_principal(connection, login, "finance", estate)
            set_password(connection, people[login].principal_id, PASSWORD, actor="test", now=now)
    return people


@pytest.fixture
def asked(engine: Engine, staff: dict[str, Principal]) -> Proposal:
    with engine.begin() as connection:
        return propose(
            connection, "refund", ESTATE, "charge:1", "退还 302 室 2024 年多收", {"amount_fen": 123_456},
            "多年查找无着", staff["clerk"], datetime.now(UTC),
        )  # fmt: skip


@pytest.fixture
def as_person(app: Flask) -> Callable[[str], FlaskClient]:
    def logged_in(login: str) -> FlaskClient:
        client = app.test_client()
        token = token_of(client.get("/login").text)
        client.post("/login", data={"login": login, "password": PASSWORD, "csrf_token": token})
        return client

    return logged_in


def token_of(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def send(client: FlaskClient, asked: Proposal, verdict: str, reason: str = "", revision: int = 1) -> int:
    page = client.get(f"/approvals/{asked.proposal_id}").text
    data = {"verdict": verdict, "reason": reason, "revision": str(revision), "csrf_token": token_of(page)}
    return client.post(f"/approvals/{asked.proposal_id}", data=data).status_code


def state(engine: Engine, asked: Proposal) -> str:
    with engine.connect() as connection:
        return get(connection, asked.proposal_id).state


def test_another_person_reads_it_in_plain_words_and_approves(
    engine: Engine, asked: Proposal, as_person: Callable[[str], FlaskClient]
) -> None:
    chief = as_person("chief")
    listed = chief.get("/approvals").text
    assert "退还 302 室 2024 年多收" in listed
    assert "等您审批" in listed
    page = chief.get(f"/approvals/{asked.proposal_id}").text
    assert "1,234.56" in page
    assert "多年查找无着" in page
    assert send(chief, asked, "approve", "同意") == 303
    assert state(engine, asked) == "approved"


def test_whoever_proposed_it_finds_no_button_and_is_refused(
    engine: Engine, asked: Proposal, as_person: Callable[[str], FlaskClient]
) -> None:
    clerk = as_person("clerk")
    assert 'value="approve"' not in clerk.get(f"/approvals/{asked.proposal_id}").text
    assert send(clerk, asked, "approve") == 409
    assert send(clerk, asked, "withdraw") == 303
    assert state(engine, asked) == "withdrawn"


def test_somebody_of_another_estate_does_not_see_it(
    asked: Proposal, as_person: Callable[[str], FlaskClient]
) -> None:
    stranger = as_person("elsewhere")
    assert str(asked.proposal_id) not in stranger.get("/approvals").text
    assert stranger.get(f"/approvals/{asked.proposal_id}").status_code == 403


def test_a_no_needs_a_reason_and_a_changed_text_a_second_look(
    engine: Engine, asked: Proposal, staff: dict[str, Principal], as_person: Callable[[str], FlaskClient]
) -> None:
    chief = as_person("chief")
    assert send(chief, asked, "decline") == 409
    with engine.begin() as connection:
        now = datetime.now(UTC)
        change(connection, asked.proposal_id, "核销全部", {"amount_fen": 9}, "改", staff["clerk"], now)
    assert send(chief, asked, "approve", revision=1) == 409
    assert state(engine, asked) == "open"
    assert send(chief, asked, "decline", "金额不符", revision=2) == 303
    assert state(engine, asked) == "declined"


def test_an_entry_by_hand_is_posted_with_its_approval(
    engine: Engine, staff: dict[str, Principal], as_person: Callable[[str], FlaskClient]
) -> None:
    lines, today = (debit("1002", 1234), credit("1001", 1234)), datetime.now(UTC)
    with engine.begin() as connection:
        entry = propose_entry(
            connection, ESTATE, today.date(), "现金缴存", lines, "漏记", staff["clerk"], today
        )
    chief = as_person("chief")
    read = " ".join(re.sub(r"<[^>]+>", "", chief.get(f"/approvals/{entry.proposal_id}").text).split())
    assert "account 1001 · debit_fen ¥0.00 · credit_fen ¥12.34" in read
    assert send(chief, entry, "approve") == 303
    assert state(engine, entry) == "used"
    with engine.connect() as connection:
        assert [one.balance_fen for one in trial_balance(connection, ESTATE, today.date())] == [-1234, 1234]
