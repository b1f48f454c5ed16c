"""A waiver and a write-off: two people, what is still owed, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from backend.approvals import service as approvals
from backend.approvals.errors import (
    ApprovalMissingError,
    ApprovalUsedError,
    NoRightError,
    ReasonMissingError,
    SecondPersonNeededError,
)
from backend.ledger.service import entries_of_day
from backend.rent.allocation import Due
from backend.rent.errors import AmountNotPositiveError, ChargeUnknownError, LetOffTooMuchError
from backend.rent.let_off import Kind, let_off, propose_let_off
from backend.rent.service import read_month, reassess, run_month
from backend.rent.settings import LateFeeRule, RentSettings
from tests.integration.money.conftest import make_principal

if TYPE_CHECKING:
    from backend.identity.principal import Principal
    from tests.integration.money.conftest import Home, Office

RULES = RentSettings(late_fee=LateFeeRule(daily_ppm=500))


def ask(
    office: Office,
    charge_id: UUID,
    due: Due,
    fen: int,
    who: Principal,
    kind: Kind = "waiver",
    reason: str = "困难",
) -> UUID:
    with office.engine.begin() as connection:
        return propose_let_off(connection, kind, charge_id, due, fen, reason, who, office.now).proposal_id


def agree(office: Office, proposal_id: UUID, who: Principal) -> UUID:
    with office.engine.begin() as connection:
        approvals.approve(connection, proposal_id, who, office.now)
    return proposal_id


def carry_out(office: Office, proposal_id: UUID, kind: Kind = "waiver") -> None:
    with office.engine.begin() as connection:
        let_off(connection, proposal_id, kind, office.now)


@pytest.fixture
def second(office: Office) -> Principal:
    """Another person of the finance staff."""
    with office.engine.begin() as connection:
        return make_principal(connection, "second", "finance", None)


def test_a_late_fee_is_waived_by_two_people_and_once(
    office: Office, home: Home, clerk: Principal, second: Principal, table: Callable[[str], str]
) -> None:
    for month in ("2026-10", "2026-11"):
        run_month(office.engine, None, read_month(month), None, office.now, RULES)
    november = office.charge_id(home, date(2026, 11, 1))
    asked = ask(office, november, Due.LATE_FEE, 800, clerk)
    with pytest.raises(ApprovalMissingError):
        carry_out(office, asked)
    with pytest.raises(SecondPersonNeededError):
        agree(office, asked, clerk)
    agree(office, asked, second)
    carry_out(office, asked)
    with pytest.raises(ApprovalUsedError):
        carry_out(office, asked)
    assert office.statement(home).total_owed_fen == 200_000
    assert office.balances() == table("""
        1212.01  应收账款—租金                    借  2,000.00
        1212.02  应收账款—滞纳金                  平      0.00
        2103.01  应缴财政款—租金（应收未收）      贷  2,000.00
        2103.03  应缴财政款—滞纳金（应收未收）    平      0.00
    """)
    with office.engine.connect() as connection:
        (entry,) = [
            one
            for one in entries_of_day(connection, ["pengjiang-1"], office.now.date())
            if one.event_kind == "waiver"
        ]
    assert (entry.event_key, entry.principal_id) == (str(asked), second.principal_id)


def test_a_correction_does_not_undo_a_waiver(
    office: Office, home: Home, clerk: Principal, second: Principal
) -> None:
    office.charge("2026-11")
    charge_id = office.charge_id(home, date(2026, 11, 1))
    carry_out(office, agree(office, ask(office, charge_id, Due.RENT, 30_000, clerk), second))
    with office.engine.begin() as connection:
        assert reassess(connection, home.tenancy_id, date(2026, 11, 1), clerk, office.now, RULES) == []
    assert office.statement(home).total_owed_fen == 70_000


def test_arrears_are_written_off_and_what_was_paid_in_the_meantime_is_not(
    office: Office, home: Home, clerk: Principal, second: Principal
) -> None:
    office.charge("2026-10")
    charge_id = office.charge_id(home, date(2026, 10, 1))
    first = agree(office, ask(office, charge_id, Due.RENT, 60_000, clerk, "write_off"), second)
    other = agree(office, ask(office, charge_id, Due.RENT, 100_000, clerk, "write_off"), second)
    carry_out(office, first, "write_off")
    office.take(home, 10_000)
    with pytest.raises(LetOffTooMuchError):
        carry_out(office, other, "write_off")
    assert office.statement(home).total_owed_fen == 30_000


def test_what_is_no_waiver_is_refused(office: Office, home: Home, clerk: Principal) -> None:
    office.charge("2026-11")
    charge_id = office.charge_id(home, date(2026, 11, 1))
    for fen, refusal in (
        (0, AmountNotPositiveError),
        (-1, AmountNotPositiveError),
        (100_001, LetOffTooMuchError),
    ):
        with pytest.raises(refusal):
            ask(office, charge_id, Due.RENT, fen, clerk)
    with pytest.raises(LetOffTooMuchError):
        ask(office, charge_id, Due.LATE_FEE, 1, clerk)
    with pytest.raises(ChargeUnknownError):
        ask(office, uuid4(), Due.RENT, 1, clerk)
    with pytest.raises(ReasonMissingError):
        ask(office, charge_id, Due.RENT, 1, clerk, reason=" ")
    with pytest.raises(NoRightError):
        ask(office, charge_id, Due.RENT, 1, home.tenant)
