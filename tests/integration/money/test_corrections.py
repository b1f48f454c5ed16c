"""What was charged before, put right by lines that are added."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from backend.identity.errors import NotAllowedError
from backend.rent.errors import (
    AmountNotPositiveError,
    DatesReversedError,
    OnceKindError,
    PriceError,
    TermPriceError,
    TermUnknownError,
)
from backend.rent.rules import LineKind, TermKind
from backend.rent.service import Agreed, add_term, charge_once, end_term, reassess
from backend.rent.settings import RentSettings

if TYPE_CHECKING:
    from backend.identity.principal import Principal
    from tests.integration.money.conftest import Home, Office

RULES = RentSettings()
SEPTEMBER = date(2026, 9, 1)
MONTHS = ("2026-09", "2026-10", "2026-11")


def agreed(
    kind: str, from_on: date, fen: int | None = None, share: int | None = None, to_on: date | None = None
) -> Agreed:
    return Agreed(TermKind(kind), from_on, to_on, kind, fen, share)


def add(office: Office, home: Home, clerk: Principal, term: Agreed) -> UUID:
    with office.engine.begin() as connection:
        return add_term(connection, home.tenancy_id, term, clerk, office.now)


def correct(office: Office, home: Home, clerk: Principal, month: date = SEPTEMBER) -> list[int]:
    with office.engine.begin() as connection:
        made = reassess(connection, home.tenancy_id, month, clerk, office.now, RULES)
    return [charge.amount_fen for charge in made]


def end(office: Office, term_id: UUID, to_on: date, clerk: Principal) -> list[int]:
    with office.engine.begin() as connection:
        return [
            charge.amount_fen for charge in end_term(connection, term_id, to_on, clerk, office.now, RULES)
        ]


def charged(office: Office, home: Home) -> Home:
    for month in MONTHS:
        office.charge(month)
    return home


def test_a_relief_that_was_granted_late_takes_off_what_is_owed(
    office: Office, home: Home, clerk: Principal, table: Callable[[str], str]
) -> None:
    charged(office, home)
    add(office, home, clerk, agreed("relief", date(2026, 10, 1), share=300))
    assert correct(office, home, clerk) == [-30_000, -30_000]
    unpaid = office.statement(home).unpaid
    assert [(one.month.month, one.amount_fen, one.left_fen) for one in unpaid] == [
        (9, 100_000, 100_000),
        (10, 100_000, 70_000),
        (11, 100_000, 70_000),
    ]
    assert office.balances() == table("""
        1212.01  应收账款—租金                  借  2,400.00
        2103.01  应缴财政款—租金（应收未收）    贷  2,400.00
    """)
    assert correct(office, home, clerk) == []


def test_a_relief_for_months_that_are_paid_is_used_by_the_next_charge(
    office: Office, home: Home, clerk: Principal, table: Callable[[str], str]
) -> None:
    office.charge("2026-10")
    office.take(home, 100_000)
    add(office, home, clerk, agreed("relief", date(2026, 10, 1), share=300))
    correct(office, home, clerk)
    assert (office.statement(home).total_owed_fen, office.statement(home).credit_fen) == (0, 30_000)
    office.charge("2026-11")
    account = office.statement(home)
    assert (account.total_owed_fen, account.credit_fen) == (40_000, 0)
    assert [(one.amount_fen, one.taken_off_fen, one.left_fen) for one in account.unpaid] == [
        (70_000, 30_000, 40_000)
    ]
    office.take(home, 40_000, "pi_2")
    account = office.statement(home)
    assert (account.unpaid, account.total_owed_fen, account.prepaid_fen, account.credit_fen) == ((), 0, 0, 0)
    assert office.balances() == table("""
        1021.01  其他货币资金—支付渠道在途（Stripe）  借  1,400.00
        1212.01  应收账款—租金                        平  0.00
        2103.01  应缴财政款—租金（应收未收）          平  0.00
        2103.02  应缴财政款—租金（已收待缴）          贷  1,400.00
    """)


def test_a_subsidy_that_ended_retroactively_is_charged_back(
    office: Office, home: Home, clerk: Principal, table: Callable[[str], str]
) -> None:
    term_id = add(office, home, clerk, agreed("subsidy", date(2026, 9, 1), 20_000))
    charged(office, home)
    office.take(home, 240_000)
    # It ended in the middle of October: half of October's and the whole of November's come back.
    assert end(office, term_id, date(2026, 10, 16), clerk) == [10_323, 20_000]
    unpaid = office.statement(home).unpaid
    assert [(one.month.month, one.left_fen, [line.label_zh for line in one.lines]) for one in unpaid] == [
        (10, 10_323, ["更正：补贴"]),
        (11, 20_000, ["更正：补贴"]),
    ]
    assert {one.due_on for one in unpaid} == {date(2026, 12, 3)}
    assert office.balances() == table("""
        1021.01  其他货币资金—支付渠道在途（Stripe）  借  2,400.00
        1212.01  应收账款—租金                        借    303.23
        1218.02  其他应收款—租金补贴资金              借    296.77
        2103.01  应缴财政款—租金（应收未收）          贷    600.00
        2103.02  应缴财政款—租金（已收待缴）          贷  2,400.00
    """)


def test_what_a_subsidy_carried_is_corrected_through_every_month(office: Office, clerk: Principal) -> None:
    home = office.move_in(10_000)
    term_id = add(office, home, clerk, agreed("subsidy", date(2026, 9, 1), 14_000))
    charged(office, home)
    assert office.statement(home).total_owed_fen == 0
    assert end(office, term_id, date(2026, 10, 1), clerk) == [6_000, 10_000]
    # September's 40.00 still offset October's rent.
    assert office.statement(home).total_owed_fen == 16_000


def test_a_tenancy_that_ended_earlier_is_charged_for_its_days_only(
    office: Office, home: Home, clerk: Principal
) -> None:
    charged(office, home)
    with office.engine.begin() as connection:
        connection.execute(text("UPDATE tenancy SET to_on = '2026-10-16'"))
    assert correct(office, home, clerk) == [-51_613, -100_000]
    assert office.statement(home).total_owed_fen == 148_387


def test_a_deposit_and_a_lost_key_are_asked_for_once(office: Office, home: Home, clerk: Principal) -> None:
    office.charge()
    key = uuid4()
    for _ in range(2):
        with office.engine.begin() as connection:
            charge_once(
                connection, home.tenancy_id, LineKind.DEPOSIT, 100_000, "押金", clerk, office.now, RULES,
                charge_id=key,
            )  # fmt: skip
    assert office.statement(home).total_owed_fen == 200_000
    assert correct(office, home, clerk) == []
    with office.engine.begin() as connection:
        charge_once(connection, home.tenancy_id, LineKind.DAMAGE, 5_000, "补办钥匙", clerk, office.now, RULES)
    assert [one.lines[0].label_zh for one in office.statement(home).unpaid] == [
        "合同租金",
        "押金",
        "补办钥匙",
    ]


def test_what_follows_from_rules_is_not_asked_for_once(office: Office, home: Home, clerk: Principal) -> None:
    with office.engine.begin() as connection:
        for kind in (LineKind.RENT, LineKind.WATER, LineKind.LATE_FEE):
            with pytest.raises(OnceKindError):
                charge_once(connection, home.tenancy_id, kind, 1, "x", clerk, office.now, RULES)
        for amount in (0, -1):
            with pytest.raises(AmountNotPositiveError):
                charge_once(
                    connection, home.tenancy_id, LineKind.DAMAGE, amount, "x", clerk, office.now, RULES
                )


def test_a_month_never_falls_below_zero_also_by_raw_sql(office: Office, home: Home) -> None:
    office.charge()
    insert = (
        "INSERT INTO rent_charge SELECT gen_random_uuid(), estate_id, household_id, tenancy_id, unit_id,"
        " month, {}, due_on, {}, NULL, now() FROM rent_charge WHERE revision = 0"
    )
    with office.engine.begin() as connection:
        connection.execute(text(insert.format(1, -100_000)))
    with pytest.raises(IntegrityError, match="below zero"), office.engine.begin() as connection:
        connection.execute(text(insert.format(2, -1)))


@pytest.mark.parametrize(
    ("term", "refusal"),
    [
        (agreed("rent", SEPTEMBER), TermPriceError),
        (agreed("rent", SEPTEMBER, 1, 1), TermPriceError),
        (agreed("rent", SEPTEMBER, share=1), TermPriceError),
        (agreed("subsidy", SEPTEMBER, share=1), TermPriceError),
        (Agreed(TermKind.SUBSIDY, SEPTEMBER, None, "x", plan_id="p"), TermPriceError),
        (Agreed(TermKind.RENT, SEPTEMBER, None, "x", tier_id="t"), TermPriceError),
        (agreed("rent", SEPTEMBER, -1), PriceError),
        (agreed("relief", SEPTEMBER, share=0), PriceError),
        (agreed("relief", SEPTEMBER, share=1001), PriceError),
        (agreed("rent", SEPTEMBER, 1, to_on=SEPTEMBER), DatesReversedError),
        (agreed("rent", SEPTEMBER, 1, to_on=date(2026, 8, 1)), DatesReversedError),
    ],
)
def test_what_is_no_term_is_refused(
    office: Office, home: Home, clerk: Principal, term: Agreed, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        add(office, home, clerk, term)


def test_only_the_estates_finance_staff_corrects(office: Office, home: Home, clerk: Principal) -> None:
    term_id = add(office, home, clerk, agreed("subsidy", SEPTEMBER, 1))
    for act in (
        lambda: correct(office, home, home.tenant),
        lambda: end(office, term_id, SEPTEMBER, home.tenant),
    ):
        with pytest.raises(NotAllowedError):
            act()
    with pytest.raises(TermUnknownError):
        end(office, uuid4(), SEPTEMBER, clerk)
    with pytest.raises(DatesReversedError):
        end(office, term_id, date(2026, 8, 31), clerk)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["rent", "relief", "subsidy", "property_fee"]),
        st.dates(date(2026, 9, 1), date(2026, 11, 30)),
        st.integers(0, 150_000),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda change: change[:2],
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(changes=CHANGES, order=st.randoms(use_true_random=False), paid=st.integers(0, 400_000))
def test_corrections_in_any_order_give_the_same_balance(
    office: Office,
    clerk: Principal,
    changes: list[tuple[str, date, int]],
    order: random.Random,
    paid: int,
) -> None:
    shuffled = list(changes)
    order.shuffle(shuffled)
    one, other, at_once = (office.move_in() for _ in range(3))
    for home, mine, each in ((one, changes, True), (other, shuffled, True), (at_once, changes, False)):
        charged(office, home)
        if paid:
            office.take(home, paid, f"pi_{uuid4()}")
        for kind, from_on, fen in mine:
            add(office, home, clerk, agreed(kind, from_on, fen))
            if each:
                correct(office, home, clerk)
        correct(office, home, clerk)
        assert correct(office, home, clerk) == []
    accounts = [office.statement(home) for home in (one, other, at_once)]
    balances = {one.total_owed_fen - one.prepaid_fen - one.credit_fen for one in accounts}
    assert len(balances) == 1
    with office.engine.connect() as connection:
        sql = (
            "SELECT household_id, sum(debit_fen - credit_fen)::bigint FROM posting"
            " WHERE account_code IN ('1212.01', '1218.01') AND household_id = ANY(:homes) GROUP BY 1"
        )
        homes = [home.household_id for home in (one, other, at_once)]
        books = dict(connection.execute(text(sql), {"homes": homes}).all())  # type: ignore[arg-type]
    for account in accounts:
        assert books.get(account.household_id, 0) == account.total_owed_fen - account.credit_fen
