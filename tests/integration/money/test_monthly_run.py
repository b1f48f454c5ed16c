"""The monthly run on a real database, with its entries."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from backend.identity.errors import NotAllowedError
from backend.identity.principal import Principal
from backend.ledger.service import entries_of_day
from backend.registry.errors import UnknownThingError
from backend.rent import monthly
from backend.rent.errors import HouseholdUnknownError, TermExistsError
from backend.rent.rules import TermKind
from backend.rent.service import Agreed, add_term, household_of, household_statement, run_month
from backend.rent.settings import RentSettings

if TYPE_CHECKING:
    from tests.integration.money.conftest import Home, Office

NOVEMBER, DECEMBER = date(2026, 11, 1), date(2026, 12, 1)


def term(kind: str, fen: int | None, share: int | None = None, from_on: date = NOVEMBER) -> Agreed:
    return Agreed(TermKind(kind), from_on, None, kind, fen, share)


def set_terms(office: Office, home: Home, clerk: Principal, *terms: Agreed) -> None:
    with office.engine.begin() as connection:
        for given in terms:
            add_term(connection, home.tenancy_id, given, clerk, office.now)


def owed(office: Office, *homes: Home) -> list[int]:
    return [office.statement(home).total_owed_fen for home in homes]


def test_a_month_of_two_households_ends_with_this_trial_balance(
    office: Office, clerk: Principal, table: Callable[[str], str]
) -> None:
    plain, helped = office.move_in(60_000), office.move_in(100_000)
    set_terms(
        office,
        helped,
        clerk,
        term("relief", None, 300),
        term("subsidy", 20_000),
        term("property_fee", 8_050),
    )

    result = run_month(office.engine, "pengjiang-1", NOVEMBER, clerk, office.now)

    # 600.00 rent, and 1,000.00 rent less 30 % less a subsidy of 200.00 plus a property fee of 80.50
    assert (result.charged, result.amount_fen) == (2, 60_000 + 58_050)
    assert office.balances() == table("""
        1212.01  应收账款—租金                        借  1,100.00
        1218.01  其他应收款—物业费                    借     80.50
        1218.02  其他应收款—租金补贴资金              借    200.00
        2103.01  应缴财政款—租金（应收未收）          贷  1,300.00
        2307.01  其他应付款—代收物业费（应收未收）    贷     80.50
    """)
    assert [(line.kind, line.amount_fen) for line in office.statement(helped).unpaid[0].lines] == [
        ("rent", 100_000),
        ("relief", -30_000),
        ("subsidy", -20_000),
        ("property_fee", 8_050),
    ]
    with office.engine.connect() as connection:
        entries = entries_of_day(connection, ["pengjiang-1"], office.now.date())
    assert {entry.principal_id for entry in entries} == {clerk.principal_id}
    units = {posting.about.unit_id for entry in entries for posting in entry.postings}
    assert units == {plain.unit_id, helped.unit_id}


def test_running_twice_charges_nobody_twice(office: Office) -> None:
    for _ in range(3):
        office.move_in()
    first, second = office.charge(), office.charge()
    assert (first.charged, first.already) == (3, 0)
    assert (second.charged, second.already, second.amount_fen) == (0, 3, 0)
    assert (office.count("rent_charge"), office.count("journal_entry")) == (3, 3)


def test_an_interrupted_run_goes_on_where_it_stopped(office: Office) -> None:
    for _ in range(5):
        office.move_in()
    small = RentSettings(batch_size=2)
    with office.engine.connect() as connection:
        assert run_month(connection, None, NOVEMBER, None, office.now, small).charged == 5
        connection.rollback()
    assert office.count("rent_charge") == 0
    assert run_month(office.engine, "pengjiang-1", NOVEMBER, None, office.now, small).charged == 5
    office.move_in()
    assert run_month(office.engine, None, NOVEMBER, None, office.now, small).charged == 1
    assert (office.count("rent_charge"), office.count("journal_entry")) == (6, 6)


def test_a_run_that_dies_between_two_batches_keeps_the_first(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        office.move_in()
    batches = iter([True, True, False])
    real = monthly.use_prepaid

    def die_in_the_third(*args: Any, **named: Any) -> int:
        if not next(batches):
            raise ConnectionError("the database went away")
        return real(*args, **named)

    monkeypatch.setattr(monthly, "use_prepaid", die_in_the_third)
    with pytest.raises(ConnectionError):
        run_month(office.engine, None, NOVEMBER, None, office.now, RentSettings(batch_size=2, connections=1))
    assert (office.count("rent_charge"), office.count("journal_entry")) == (4, 4)
    monkeypatch.undo()
    assert office.charge().charged == 1
    assert (office.count("rent_charge"), office.count("journal_entry")) == (5, 5)


def test_a_payment_during_the_run_pays_the_new_charge(office: Office) -> None:
    homes = [office.move_in() for _ in range(10)]
    start = threading.Barrier(2)

    def pay() -> None:
        start.wait()
        for number, home in enumerate(homes):
            office.take(home, 100_000, f"pi_{number}")

    thread = threading.Thread(target=pay)
    thread.start()
    start.wait()
    run_month(office.engine, None, NOVEMBER, None, office.now, RentSettings(batch_size=2))
    thread.join()
    accounts = [office.statement(home) for home in homes]
    assert {(one.total_owed_fen, one.prepaid_fen) for one in accounts} == {(0, 0)}


def test_runs_at_the_same_time_charge_nobody_twice(office: Office) -> None:
    for _ in range(12):
        office.move_in()
    start, charged = threading.Barrier(3), []

    def run() -> None:
        start.wait()
        result = run_month(office.engine, None, NOVEMBER, None, office.now, RentSettings(batch_size=3))
        charged.append(result.charged)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(charged) == 12
    assert (office.count("rent_charge"), office.count("journal_entry")) == (12, 12)


def test_who_is_not_of_the_estates_finance_staff_charges_nothing(
    office: Office, home: Home, clerk: Principal
) -> None:
    elsewhere = replace(clerk, grants=(replace(clerk.grants[0], estate_id="jianghai-1"),))
    for who in (home.tenant, elsewhere):
        with pytest.raises(NotAllowedError):
            run_month(office.engine, "pengjiang-1", NOVEMBER, who, office.now)
        with pytest.raises(NotAllowedError), office.engine.begin() as connection:
            add_term(connection, home.tenancy_id, term("relief", None, 999), who, office.now)
    with pytest.raises(UnknownThingError, match="pengjiang-9"):
        run_month(office.engine, "pengjiang-9", NOVEMBER, clerk, office.now)
    assert office.count("rent_charge") == 0


def test_a_tenancy_pays_for_the_days_it_lasts(office: Office) -> None:
    homes = [
        office.move_in(30_000, date(2026, 11, 11)),
        office.move_in(30_000, date(2026, 1, 1), date(2026, 11, 11)),
        office.move_in(30_000, DECEMBER),
        office.move_in(30_000, date(2026, 1, 1), NOVEMBER),
        office.move_in(0),
    ]
    result = office.charge()
    assert owed(office, *homes) == [20_000, 10_000, 0, 0, 0]
    assert (result.charged, result.nothing_due) == (2, 1)


def test_a_subsidy_above_the_rent_is_carried_into_the_next_month(office: Office, clerk: Principal) -> None:
    home = office.move_in(50_000)
    set_terms(office, home, clerk, replace(term("subsidy", 70_000), to_on=DECEMBER))
    office.charge("2026-11")
    assert owed(office, home) == [0]
    office.charge("2026-12")
    assert owed(office, home) == [30_000]
    office.charge("2027-01")
    assert owed(office, home) == [80_000]


def test_a_new_term_of_a_day_that_has_one_is_refused(office: Office, home: Home, clerk: Principal) -> None:
    set_terms(office, home, clerk, term("rent", 90_000))
    with pytest.raises(TermExistsError):
        set_terms(office, home, clerk, term("rent", 80_000))
    office.charge()
    assert owed(office, home) == [90_000]


def test_money_paid_in_advance_is_used_by_the_next_runs(office: Office, table: Callable[[str], str]) -> None:
    home, other = office.move_in(60_000), office.move_in(10_000)
    office.take(home, 150_000)
    assert [office.charge(month).prepaid_used_fen for month in ("2026-11", "2026-12")] == [60_000, 60_000]
    statement = office.statement(home)
    assert (statement.unpaid, statement.total_owed_fen, statement.prepaid_fen) == ((), 0, 30_000)
    assert owed(office, other) == [20_000]
    amounts = (statement.prepaid_fen, office.statement(other).total_owed_fen)
    assert [type(amount) for amount in amounts] == [int, int]
    assert office.balances() == table("""
        1021.01  其他货币资金—支付渠道在途（Stripe）  借  1,500.00
        1212.01  应收账款—租金                        借    200.00
        2103.01  应缴财政款—租金（应收未收）          贷    200.00
        2103.02  应缴财政款—租金（已收待缴）          贷  1,200.00
        2305.01  预收账款—预收租金                    贷    300.00
    """)


def test_an_unknown_household_has_no_account(office: Office, home: Home) -> None:
    with office.engine.connect() as connection:
        with pytest.raises(HouseholdUnknownError):
            household_statement(connection, home.tenancy_id)
        assert household_of(connection, home.person_id, NOVEMBER) == home.household_id
        assert household_of(connection, home.person_id, date(2025, 12, 31)) is None
