"""Arrears that were given up and come back: in the books again for what came, and no more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.approvals import service as approvals
from backend.ledger.service import entries_of_day
from backend.rent.account_book import account_book
from backend.rent.allocation import Due
from backend.rent.let_off import let_off, propose_let_off
from backend.rent.recoveries import GivenUp, after, given_up, share_out
from tests.integration.conftest import Database
from tests.integration.money.conftest import NOW

if TYPE_CHECKING:
    from tests.integration.money.conftest import Home, Office


def write_off(office: Office, home: Home, month: date, fen: int) -> UUID:
    charge_id = office.charge_id(home, month)
    first, second = office.clerk(), office.clerk()
    with office.engine.begin() as connection:
        asked = propose_let_off(
            connection, "write_off", charge_id, Due.RENT, fen, "下落不明", first, office.now
        )
        approvals.approve(connection, asked.proposal_id, second, office.now)
        let_off(connection, asked.proposal_id, "write_off", office.now)
    return asked.proposal_id


def off(office: Office, home: Home) -> list[GivenUp]:
    with office.engine.connect() as connection:
        return given_up(connection, households=[home.household_id])


def test_a_later_payment_brings_back_what_was_written_off_before_it_is_prepaid(
    office: Office, home: Home, table: Callable[[str], str]
) -> None:
    office.charge("2026-10")
    proposal_id = write_off(office, home, date(2026, 10, 1), 100_000)
    assert office.statement(home).total_owed_fen == 0
    office.take(home, 30_000)
    assert [(one.amount_fen, one.left_fen) for one in off(office, home)] == [(100_000, 70_000)]
    office.take(home, 90_000, "pi_2")
    assert [one.left_fen for one in off(office, home)] == [0]
    assert office.statement(home).prepaid_fen == 20_000
    assert office.statement(home).total_owed_fen == 0
    assert office.balances() == table("""
        1021.01  其他货币资金—支付渠道在途（Stripe）  借  1,200.00
        1212.01  应收账款—租金                        平      0.00
        2103.01  应缴财政款—租金（应收未收）          平      0.00
        2103.02  应缴财政款—租金（已收待缴）          贷  1,000.00
        2305.01  预收账款—预收租金                    贷    200.00
    """)
    with office.engine.connect() as connection:
        entries = entries_of_day(connection, ["pengjiang-1"], office.now.date())
        words = [one.words_zh for one in account_book(connection, home.household_id).movements]
    recovered = [one for one in entries if one.event_kind == "recovery"]
    receipt = office.row("payment", provider_ref="pi_1").receipt_number
    assert recovered[0].event_key == f"{proposal_id}:{receipt}"
    assert [one.total_fen for one in recovered] == [30_000, 70_000]
    assert any("坏账核销" in one for one in words)
    assert any("核销收回" in one for one in words)


def test_what_is_open_is_paid_before_what_was_written_off(office: Office, home: Home) -> None:
    office.charge("2026-10")
    write_off(office, home, date(2026, 10, 1), 40_000)
    office.charge("2026-11")
    office.take(home, 160_000)
    assert [one.left_fen for one in off(office, home)] == [40_000]
    office.take(home, 1, "pi_2")
    assert [one.left_fen for one in off(office, home)] == [39_999]


def test_the_next_months_charge_is_not_paid_by_what_came_back(office: Office, home: Home) -> None:
    office.charge("2026-10")
    write_off(office, home, date(2026, 10, 1), 100_000)
    office.take(home, 100_000)
    assert office.charge("2026-11").prepaid_used_fen == 0
    assert [(one.month, one.left_fen) for one in office.statement(home).unpaid] == [
        (date(2026, 11, 1), 100_000)
    ]


def test_two_payments_at_once_bring_it_back_once(office: Office, home: Home) -> None:
    office.charge("2026-10")
    write_off(office, home, date(2026, 10, 1), 100_000)
    ready = threading.Barrier(2)

    def pay(ref: str) -> None:
        ready.wait(10)
        office.take(home, 80_000, ref)

    threads = [threading.Thread(target=pay, args=(ref,)) for ref in ("pi_1", "pi_2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [one.left_fen for one in off(office, home)] == [0]
    assert office.statement(home).prepaid_fen == 60_000


def test_a_payment_that_is_told_twice_brings_it_back_once(office: Office, home: Home) -> None:
    office.charge("2026-10")
    write_off(office, home, date(2026, 10, 1), 100_000)
    office.take(home, 30_000)
    office.take(home, 30_000)
    assert [one.left_fen for one in off(office, home)] == [70_000]


@pytest.mark.parametrize("role", ["app", "owner"])
def test_raw_sql_brings_back_no_more_than_was_written_off(
    office: Office, home: Home, database: Database, role: str
) -> None:
    office.charge("2026-10")
    proposal_id = write_off(office, home, date(2026, 10, 1), 50_000)
    office.charge("2026-11")
    url = database.app_url if role == "app" else database.owner_url
    row = f"INSERT INTO recovery SELECT charge_id, '{proposal_id}', now() FROM rent_charge WHERE"
    for statement in (
        f"{row} month = '2026-11-01'",  # of another month
        f"{row} month = '2026-10-01' AND revision = 0",  # more than was written off
        f"{row} amount_fen < 0",
    ):
        with psycopg.connect(url) as connection, pytest.raises(psycopg.Error) as refused:
            connection.execute(statement)
        assert refused.value.diag.constraint_name == "recovery_fits"


def given_up_one(place: int, left_fen: int) -> GivenUp:
    anything, day = UUID(int=place), date(2026, 1, 1)
    return GivenUp(
        anything, "e", anything, anything, anything, day, day, Due.RENT, left_fen + 5, left_fen, NOW
    )


@given(st.integers(0, 500), st.lists(st.integers(0, 200), max_size=6))
def test_shares_add_up_and_the_oldest_comes_first(over_fen: int, left: list[int]) -> None:
    owed = [given_up_one(place, fen) for place, fen in enumerate(left)]
    shares = share_out(over_fen, owed)
    assert sum(fen for _, fen in shares) == min(over_fen, sum(left))
    rest = [one.left_fen for one in after(owed, shares)]
    assert all(fen >= 0 for fen in rest)
    # None is touched while an older one is left.
    touched = [before != now for before, now in zip(left, rest, strict=True)]
    assert not any(rest[place] and any(touched[place + 1 :]) for place in range(len(rest)))
