"""Paying through the channel's stand-in, as it goes well and as it goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy.exc import OperationalError

from backend.db.engine import connect
from backend.identity.principal import Principal
from backend.payments.errors import (
    AmountOutOfRangeError,
    CheckoutClosedError,
    CheckoutUnknownError,
    ForeignHouseholdError,
)
from backend.payments.port import (
    ONLINE,
    CheckoutState,
    Method,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from backend.payments.service import checkout_state
from simulators.stripe.faults import Fault

if TYPE_CHECKING:
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Desk, Home

SESSIONS = "/v1/checkout/sessions"


def paid_once(desk: Desk) -> None:
    assert desk.office.count("payment") == 1
    with desk.office.engine.connect() as connection:
        sql = "SELECT count(*) FROM journal_entry WHERE event_kind = 'payment'"
        assert connection.exec_driver_sql(sql).scalar_one() == 1


@pytest.mark.parametrize("method", list(ONLINE))
def test_a_tenant_pays_what_is_owed(
    desk: Desk, home: Home, table: Callable[[str], str], method: Method
) -> None:
    desk.office.charge()
    started = desk.start(home, 100_000, method)
    desk.pay(started, method)
    assert desk.deliver() == 1
    assert desk.notices() == [("waiting", None)]
    desk.work()

    assert desk.notices() == [("settled", None)]
    paid_once(desk)
    statement = desk.office.statement(home)
    assert (statement.unpaid, statement.prepaid_fen) == ((), 0)
    (payment,) = statement.payments
    with desk.office.engine.connect() as connection:
        view = checkout_state(connection, started.checkout_id, home.tenant, desk.clock())
    assert (view.state, view.receipt_number) == (CheckoutState.PAID, payment.receipt_number)
    assert (payment.channel, payment.amount_fen) == (method.value, 100_000)
    assert desk.office.balances() == table("""
        1021.01  其他货币资金—支付渠道在途（Stripe）  借  1,000.00
        1212.01  应收账款—租金                        平      0.00
        2103.01  应缴财政款—租金（应收未收）          平      0.00
        2103.02  应缴财政款—租金（已收待缴）          贷  1,000.00
    """)


def test_what_is_paid_above_what_is_owed_is_the_tenants_credit(
    desk: Desk, table: Callable[[str], str]
) -> None:
    home = desk.office.move_in(60_000)
    desk.office.charge("2026-10")
    desk.office.charge("2026-11")
    started = desk.start(home, 70_000)
    desk.pay(started)
    desk.deliver()
    desk.work()
    (november,) = desk.office.statement(home).unpaid
    assert (november.month.month, november.paid_fen, november.left_fen) == (11, 10_000, 50_000)

    desk.pay(desk.start(home, 65_000))
    desk.deliver()
    desk.work()
    assert desk.office.statement(home).prepaid_fen == 15_000
    assert desk.office.balances() == table("""
        1021.01  其他货币资金—支付渠道在途（Stripe）  借  1,350.00
        1212.01  应收账款—租金                        平      0.00
        2103.01  应缴财政款—租金（应收未收）          平      0.00
        2103.02  应缴财政款—租金（已收待缴）          贷  1,200.00
        2305.01  预收账款—预收租金                    贷    150.00
    """)


@pytest.mark.parametrize("amount_fen", [0, -1, 2_000_001])
def test_an_amount_that_cannot_be_paid_never_reaches_the_channel(
    desk: Desk, home: Home, amount_fen: int
) -> None:
    with pytest.raises(AmountOutOfRangeError):
        desk.start(home, amount_fen)
    assert desk.office.count("checkout") == 0


def test_nobody_starts_or_sees_another_households_payment(desk: Desk, home: Home, clerk: Principal) -> None:
    other = desk.office.move_in()
    with pytest.raises(ForeignHouseholdError):
        desk.start(replace(home, tenant=other.tenant))
    started = desk.start(home)
    with desk.office.engine.connect() as connection:
        with pytest.raises(ForeignHouseholdError):
            checkout_state(connection, started.checkout_id, other.tenant, desk.clock())
        with pytest.raises(CheckoutUnknownError):
            checkout_state(connection, uuid4(), home.tenant, desk.clock())
        assert checkout_state(connection, started.checkout_id, clerk, desk.clock()).amount_fen == 100_000


def test_the_same_form_twice_is_one_checkout(desk: Desk, home: Home) -> None:
    attempt = uuid4()
    first, second = desk.start(home, attempt_id=attempt), desk.start(home, attempt_id=attempt)
    assert first == second
    assert desk.office.count("checkout") == 1
    with pytest.raises(CheckoutClosedError):
        desk.start(home, 5_000, attempt_id=attempt)
    desk.pay(first)
    desk.deliver()
    desk.work()
    with pytest.raises(CheckoutClosedError):
        desk.start(home, attempt_id=attempt)


@pytest.mark.parametrize("fault", ["answer_lost", "request_lost", "lock_timeout", "rate_limit"])
def test_a_second_try_after_an_unknown_outcome_sends_the_same_key(desk: Desk, home: Home, fault: str) -> None:
    attempt = uuid4()
    desk.core.plan_fault(Fault(kind=fault, path=SESSIONS))
    with pytest.raises(ProviderUnavailableError):
        desk.start(home, attempt_id=attempt)
    assert desk.checkout(attempt).state == "asked"
    desk.pay(desk.start(home, attempt_id=attempt))
    desk.deliver()
    desk.work()
    paid_once(desk)
    assert sessions(desk) == 1


def test_the_sweeper_sends_the_same_key_for_a_checkout_without_an_answer(desk: Desk, home: Home) -> None:
    attempt = uuid4()
    desk.core.plan_fault(Fault(kind="answer_lost", path=SESSIONS))
    with pytest.raises(ProviderUnavailableError):
        desk.start(home, attempt_id=attempt)
    assert desk.work() == 0
    desk.clock.forward(60)
    assert desk.work() == 1
    assert desk.checkout(attempt).state == "open"
    assert sessions(desk) == 1


def sessions(desk: Desk) -> int:
    found = desk.core.handle("GET", SESSIONS, "limit=100", {"Authorization": "Bearer sk_test_money"})
    return len(found.body["data"])


def test_a_conflict_in_our_database_after_the_channel_said_yes_reuses_the_key(
    desk: Desk, home: Home, database: Database
) -> None:
    attempt = uuid4()
    with connect(database.owner_url) as owner:
        owner.execute("""
            CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'conflict' USING ERRCODE = 'serialization_failure'; END $$;
            CREATE TRIGGER conflict BEFORE UPDATE ON checkout EXECUTE FUNCTION conflict()
        """)
    with pytest.raises(OperationalError):
        desk.start(home, attempt_id=attempt)
    with connect(database.owner_url) as owner:
        owner.execute("DROP TRIGGER conflict ON checkout")
    assert (desk.checkout(attempt).state, sessions(desk)) == ("asked", 1)
    desk.pay(desk.start(home, attempt_id=attempt))
    desk.deliver()
    desk.work()
    paid_once(desk)
    assert sessions(desk) == 1


def test_a_checkout_that_the_channel_refuses_is_closed(desk: Desk, home: Home) -> None:
    attempt = uuid4()
    with pytest.raises(ProviderRefusedError):
        desk.start(home, 1, attempt_id=attempt)  # below the channel's minimum
    assert (desk.checkout(attempt).state, desk.checkout(attempt).next_check_at) == ("failed", None)


def test_a_payment_whose_notice_never_comes_is_found_by_the_sweeper(desk: Desk, home: Home) -> None:
    desk.office.charge()
    desk.pay(desk.start(home))
    desk.clock.forward(180)
    assert desk.work() == 1
    paid_once(desk)
    assert desk.office.statement(home).total_owed_fen == 0
    desk.deliver()
    desk.work()
    paid_once(desk)
    assert desk.notices() == [("settled", None)]


def test_a_checkout_that_nobody_pays_expires(desk: Desk, home: Home) -> None:
    started = desk.start(home)
    desk.clock.forward(2 * 3600)
    desk.core.advance()
    desk.deliver()
    desk.work()
    assert desk.checkout(started.checkout_id).state == "expired"
    assert desk.office.count("payment") == 0


def test_a_late_wallet_payment_settles_when_it_succeeds_in_any_order_of_notices(
    desk: Desk, home: Home
) -> None:
    started = desk.start(home, 44_403)  # the stand-in: processing, succeeds an hour later
    desk.pay(started)
    completed = desk.core.due_notices()
    desk.clock.forward(3700)
    desk.core.advance()
    succeeded = desk.core.due_notices()
    assert (len(completed), len(succeeded)) == (1, 1)
    for notice in (*succeeded, *completed):
        assert desk.receive("", notice.body, desk.signed(notice.body)) == 200
        desk.work()
    assert desk.checkout(started.checkout_id).state == "paid"
    assert desk.notices() == [("settled", None), ("settled", None)]
    paid_once(desk)


def test_a_wallet_payment_that_fails_late_is_failed_and_not_booked(desk: Desk, home: Home) -> None:
    started = desk.start(home, 44_404)
    desk.pay(started)
    desk.deliver()
    desk.work()
    assert desk.checkout(started.checkout_id).state == "processing"
    desk.clock.forward(3700)
    desk.core.advance()
    desk.deliver()
    desk.work()
    assert desk.checkout(started.checkout_id).state == "failed"
    assert desk.office.count("payment") == 0


def test_two_tabs_that_are_both_paid_leave_the_second_as_credit(desk: Desk, home: Home) -> None:
    desk.office.charge()
    tabs = [desk.start(home), desk.start(home)]
    for tab in tabs:
        desk.pay(tab)
    desk.deliver()
    desk.work()
    statement = desk.office.statement(home)
    assert (statement.total_owed_fen, statement.prepaid_fen) == (0, 100_000)


def test_copies_of_one_notice_at_the_same_moment_are_one_entry(desk: Desk, home: Home) -> None:
    desk.office.charge()
    desk.pay(desk.start(home))
    (notice,) = desk.core.due_notices()
    together(8, lambda: desk.receive("", notice.body, notice.headers))
    assert desk.office.count("provider_notice") == 1
    together(4, desk.work)
    paid_once(desk)
    assert desk.notices() == [("settled", None)]


def test_two_events_of_one_payment_settled_by_two_workers_are_one_entry(desk: Desk, home: Home) -> None:
    desk.office.charge()
    desk.pay(desk.start(home))
    (notice,) = desk.core.due_notices()
    for number in range(6):
        body = notice.body.replace(b'"id":"evt_', f'"id":"evt_{number}'.encode(), 1)
        if body == notice.body:
            body = notice.body.replace(b'"id": "evt_', f'"id": "evt_{number}'.encode(), 1)
        assert desk.receive("", body, desk.signed(body)) == 200
    assert desk.office.count("provider_notice") == 6
    together(6, desk.work)
    paid_once(desk)
    assert {state for state, _ in desk.notices()} == {"settled"}


def test_the_redirect_and_the_notice_at_the_same_moment_agree(desk: Desk, home: Home) -> None:
    started = desk.start(home)
    desk.pay(started)

    def look() -> None:
        with desk.office.engine.connect() as connection:
            view = checkout_state(connection, started.checkout_id, home.tenant, desk.clock())
        assert (view.state is CheckoutState.PAID) == (view.receipt_number is not None)

    def notice() -> None:
        desk.deliver()
        desk.work()

    together(1, notice, look, look, look)
    look()
    paid_once(desk)


def together(times: int, *deeds: Callable[[], object]) -> None:
    """Do each deed in `times` threads, all from the same moment on; a failure of any is a failure."""
    start = threading.Barrier(times * len(deeds))
    failures: list[BaseException] = []

    def run(deed: Callable[[], object]) -> None:
        start.wait()
        try:
            deed()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(deed,)) for deed in deeds for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
