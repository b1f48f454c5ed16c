"""Whatever the channel's notices go through, the books come out the same."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.integration.money.conftest import Desk, Home

# What happens to each notice: how many copies arrive (0: lost), and in which order all of them do.
FATES = st.lists(st.integers(0, 3), min_size=6, max_size=6)
# succeeds at once · succeeds late · fails late · above what is owed
AMOUNTS = (40_000, 44_403, 44_404, 90_000)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(fates=FATES, order=st.randoms(use_true_random=False), work_between=st.booleans())
def test_loss_duplication_and_reordering_end_in_the_same_books(
    desk: Desk, fates: list[int], order: random.Random, work_between: bool
) -> None:
    home = desk.office.move_in(60_000)
    desk.office.charge()
    captured = pay_all(desk, home)
    arrivals = [
        notice for notice, copies in zip(all_notices(desk), fates, strict=True) for _ in range(copies)
    ]
    order.shuffle(arrivals)
    for notice in arrivals:
        assert desk.receive("", notice, desk.signed(notice)) == 200
        if work_between:
            desk.work()
    # Days pass: the worker and the sweeper look again and again.
    for _ in range(6):
        desk.clock.forward(3_700)
        desk.work()

    statement = desk.office.statement(home)
    assert sorted(payment.amount_fen for payment in statement.payments) == sorted(captured)
    assert statement.total_owed_fen == 0
    assert statement.prepaid_fen == sum(captured) - 60_000
    with desk.office.engine.connect() as connection:
        sql = (
            "SELECT account_code, sum(debit_fen - credit_fen)::int FROM posting"
            f" WHERE household_id = '{home.household_id}' GROUP BY 1 ORDER BY 1"
        )
        balances = dict(connection.exec_driver_sql(sql).all())
    assert balances == {
        "1021.01": sum(captured),
        "1212.01": 0,
        "2103.01": 0,
        "2103.02": -60_000,
        "2305.01": 60_000 - sum(captured),
    }
    assert {state for state, _ in desk.notices()} <= {"settled"}


def pay_all(desk: Desk, home: Home) -> list[int]:
    for amount in AMOUNTS:
        desk.pay(desk.start(home, amount))
    return [amount for amount in AMOUNTS if amount != 44_404]


def all_notices(desk: Desk) -> list[bytes]:
    notices = desk.core.due_notices()
    desk.clock.forward(3_700)
    desk.core.advance()
    return [notice.body for notice in (*notices, *desk.core.due_notices())]


@pytest.mark.parametrize("copies", [1, 3])
def test_the_notices_of_these_payments_are_the_six_that_the_property_plays_with(
    desk: Desk, home: Home, copies: int
) -> None:
    for _ in range(copies):
        pay_all(desk, home)
    assert len(all_notices(desk)) == 6 * copies
