"""The incidents that others paid for, one test each: on a real PostgreSQL, with real threads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.exc import IntegrityError

from backend.approvals import service as approvals
from backend.approvals.errors import ApprovalMissingError, SecondPersonNeededError
from backend.db.engine import connect
from backend.identity.principal import Principal
from backend.ledger import periods
from backend.ledger.chain import check_chain, head
from backend.ledger.errors import PeriodLockedError
from backend.ledger.rules import NewEntry, credit, debit
from backend.ledger.service import post
from backend.payments import refunds
from backend.payments.counter_adapter import CounterProvider
from backend.payments.errors import RefundTooMuchError
from backend.payments.money_sweeper import sweep_money_back
from backend.payments.port import Method, ProviderUnavailableError
from backend.payments.providers import Providers
from backend.payments.service import (
    checkout_state,
    parked_notices,
    replay_notice,
    settle_pending,
    take_notice,
)
from simulators.stripe.deliveries import DeliveryPlan
from simulators.stripe.faults import Fault
from tests.sealing import seal_all

if TYPE_CHECKING:
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Desk, Home, Office

BOOK = "pengjiang-1"
SESSIONS, REFUNDS = "/v1/checkout/sessions", "/v1/refunds"


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run jobs in threads that all begin at the same moment."""
    gate = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        gate.wait(20)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def bodies(desk: Desk) -> list[bytes]:
    """The notices that the channel would send now."""
    return [notice.body for notice in desk.core.due_notices()]


def send(desk: Desk, body: bytes) -> None:
    assert desk.receive("", body, desk.signed(body)) == 200


def settle_all_at_once(desk: Desk, workers: int = 4) -> None:
    now = desk.clock()
    at_once(*[lambda: settle_pending(desk.office.engine, desk.provider, now) for _ in range(workers)])


@pytest.fixture
def providers(desk: Desk) -> Providers:
    counter = [CounterProvider(desk.office.engine, one) for one in (Method.CASH, Method.BANK_TRANSFER)]
    return Providers({one.name: one for one in (desk.provider, *counter)})


@pytest.fixture
def two(office: Office) -> tuple[Principal, Principal]:
    return office.clerk(), office.clerk()


@pytest.fixture
def refund_of(desk: Desk, providers: Providers, two: Sequence[Principal]) -> Callable[..., UUID]:
    def make(payment_id: UUID, amount_fen: int) -> UUID:
        with desk.office.engine.begin() as connection:
            made = refunds.propose_refund(
                connection, providers, payment_id, amount_fen, "多缴", two[0], desk.clock()
            )
            (open_one,) = [
                one for one in approvals.about(connection, f"payment:{payment_id}") if one.state == "open"
            ]
            approvals.approve(connection, open_one.proposal_id, two[1], desk.clock())
        refunds.carry_out(desk.office.engine, providers, made, desk.clock())
        return made

    return make


def paid(desk: Desk, home: Home, amount_fen: int = 100_000) -> UUID:
    started = desk.start(home, amount_fen, Method.CARD)
    desk.pay(started, Method.CARD)
    desk.deliver()
    desk.work()
    return UUID(str(desk.checkout(started.checkout_id).payment_id))


def test_01_two_identical_webhooks_in_two_threads_are_one_entry(desk: Desk, home: Home) -> None:
    desk.office.charge()
    desk.pay(desk.start(home))
    (body,) = bodies(desk)
    headers, now, engine = desk.signed(body), desk.clock(), desk.office.engine
    taken = at_once(*[lambda: take_notice(engine, desk.provider, body, headers, now) for _ in range(8)])
    assert sorted(one.is_new for one in taken) == [False] * 7 + [True]
    settle_all_at_once(desk)
    assert (desk.office.count("provider_notice"), desk.office.count("payment")) == (1, 1)
    # The index decides, also against somebody who asks nobody.
    again = (
        "INSERT INTO provider_notice (provider, event_id, body, received_at, state, attempts, next_try_at)"
        " SELECT provider, event_id, body, received_at, state, attempts, next_try_at FROM provider_notice"
    )
    with engine.begin() as connection, pytest.raises(IntegrityError):
        connection.exec_driver_sql(again)


def test_02_the_return_of_the_browser_and_the_webhook_at_the_same_moment(desk: Desk, home: Home) -> None:
    desk.office.charge()
    started = desk.start(home)
    desk.pay(started)
    (body,) = bodies(desk)
    desk.clock.forward(200)
    engine, now = desk.office.engine, desk.clock()

    def browser() -> str:
        with engine.connect() as connection:
            return checkout_state(connection, started.checkout_id, home.tenant, now).state

    seen = at_once(browser, lambda: send(desk, body), desk.work, browser, desk.work)
    assert {seen[0], seen[3]} <= {"open", "paid"}
    desk.work()
    assert browser() == "paid"
    assert (desk.office.count("payment"), desk.office.statement(home).total_owed_fen) == (1, 0)


def test_03_completed_after_async_succeeded_and_refund_before_the_payment(
    desk: Desk, home: Home, providers: Providers
) -> None:
    desk.office.charge()
    desk.pay(desk.start(home, 44_403))  # succeeds an hour later
    (completed,) = bodies(desk)
    desk.clock.forward(3_700)
    desk.core.advance()
    (succeeded,) = bodies(desk)
    send(desk, succeeded)
    desk.work()
    send(desk, completed)
    desk.work()
    assert [payment.amount_fen for payment in desk.office.statement(home).payments] == [44_403]
    # Somebody gives money back in the channel's own pages, and we hear of that before the payment.
    second = desk.start(home, 10_000, Method.CARD)
    desk.pay(second, Method.CARD)
    (payment_notice,) = bodies(desk)
    intent = desk.core.act(
        lambda world: world.get("checkout.session", desk.checkout(second.checkout_id).provider_ref)
    )["payment_intent"]
    desk.provider._client.v1.refunds.create({"payment_intent": intent, "amount": 4_000})  # type: ignore[attr-defined]
    for notice in bodies(desk):
        send(desk, notice)
    desk.work()
    assert desk.office.count("refund") == 0
    send(desk, payment_notice)
    desk.work()
    # What could not be understood without its payment is looked at again, by itself.
    desk.clock.forward(2)
    desk.work()
    assert desk.office.row("refund").amount_fen == 4_000
    assert {state for state, _ in desk.notices()} <= {"settled", "ignored"}


def test_04_an_unknown_outcome_a_second_try_and_the_first_succeeds_late(desk: Desk, home: Home) -> None:
    desk.office.charge()
    first = desk.start(home, 100_000)
    second = desk.start(home, 100_000, Method.ALIPAY)
    desk.pay(second, Method.ALIPAY)
    desk.deliver()
    desk.work()
    desk.pay(first)
    desk.deliver()
    desk.work()
    found = desk.office.statement(home)
    assert (found.total_owed_fen, found.prepaid_fen, len(found.payments)) == (0, 100_000, 2)
    desk.office.charge("2026-12")
    assert desk.office.statement(home).total_owed_fen == 0


def test_05_a_database_conflict_after_the_provider_said_yes_reuses_the_stored_key(
    desk: Desk, home: Home, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = UUID(int=5)
    asked: list[str] = []
    ask = desk.provider.start_checkout

    def watched(order: Any) -> Any:
        asked.append(order.idempotency_key)
        opened = ask(order)
        if len(asked) == 1:
            # The connections break between the provider's yes and our writing it down.
            with connect(database.superuser_url, autocommit=True) as superuser:
                superuser.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            desk.office.engine.dispose()
            raise psycopg.errors.SerializationFailure("a conflict, on purpose")
        return opened

    monkeypatch.setattr(desk.provider, "start_checkout", watched)
    with pytest.raises(psycopg.errors.SerializationFailure):
        desk.start(home, attempt_id=attempt)
    desk.start(home, attempt_id=attempt)
    assert len(set(asked)) == 1
    assert len(asked) == 2
    assert len(desk.core.act(lambda world: list(world.store.oldest_first("checkout.session")))) == 1


def test_06_a_refund_above_what_is_left_never_reaches_the_provider(
    desk: Desk, home: Home, providers: Providers, two: Sequence[Principal], refund_of: Callable[..., UUID]
) -> None:
    payment_id = paid(desk, home)
    refund_of(payment_id, 60_000)
    desk.core.plan_fault(Fault(kind="error_before", path=REFUNDS, times=100))
    for amount_fen in (40_001, 100_000, 0, -1):
        with pytest.raises(RefundTooMuchError), desk.office.engine.begin() as connection:
            refunds.propose_refund(
                connection, providers, payment_id, amount_fen, "多缴", two[0], desk.clock()
            )

    # Two clerks ask at the same moment for all that is left: one of them gets it.
    def ask(clerk: Principal) -> bool:
        try:
            with desk.office.engine.begin() as connection:
                refunds.propose_refund(connection, providers, payment_id, 40_000, "多缴", clerk, desk.clock())
        except RefundTooMuchError:
            return False
        return True

    assert sorted(at_once(lambda: ask(two[0]), lambda: ask(two[1]))) == [False, True]
    assert len(desk.core.act(lambda world: list(world.store.oldest_first("refund")))) == 1


def test_07_a_failed_refund_is_reversed_in_the_books(
    desk: Desk, home: Home, refund_of: Callable[..., UUID]
) -> None:
    desk.office.charge()
    payment_id = paid(desk, home, 44_407)  # its refund fails a minute after it was made
    before = desk.office.balances()
    refund_id = refund_of(payment_id, 44_407)
    assert desk.office.statement(home).total_owed_fen == 100_000
    desk.clock.forward(120)
    desk.core.advance()
    desk.deliver()
    settle_all_at_once(desk)
    row = desk.office.row("refund", refund_id=refund_id)
    assert (row.state, row.entry_id is None, row.reversal_entry_id is None) == ("failed", False, False)
    assert desk.office.row("journal_entry", entry_id=row.reversal_entry_id).reverses_entry_id == row.entry_id
    assert desk.office.balances() == before
    assert desk.office.statement(home).total_owed_fen == 100_000 - 44_407


def test_08_partial_refunds_lose_no_fen(
    desk: Desk, home: Home, refund_of: Callable[..., UUID], table: Callable[[str], str]
) -> None:
    desk.office.charge()
    payment_id = paid(desk, home)
    for amount_fen in (33_333, 33_333, 33_334):
        refund_of(payment_id, amount_fen)
    assert desk.office.statement(home).total_owed_fen == 100_000
    assert desk.office.balances() == table("""
        1021.01 其他货币资金—支付渠道在途（Stripe） 平 0.00
        1212.01 应收账款—租金 借 1,000.00
        2103.01 应缴财政款—租金（应收未收） 贷 1,000.00
        2103.02 应缴财政款—租金（已收待缴） 平 0.00
    """)


def test_09_two_events_of_the_same_second_both_count(desk: Desk, home: Home) -> None:
    desk.office.charge()
    for amount_fen in (30_000, 20_000):
        desk.pay(desk.start(home, amount_fen))
    both = bodies(desk)
    assert len({json.loads(body)["created"] for body in both}) == 1
    at_once(*[lambda body=body: send(desk, body) for body in both])
    settle_all_at_once(desk)
    assert desk.office.statement(home).total_owed_fen == 50_000


def test_10_an_event_about_an_object_we_do_not_know_is_parked(desk: Desk, home: Home) -> None:
    desk.pay(desk.start(home))
    (body,) = bodies(desk)
    told = json.loads(body)
    told["data"]["object"]["metadata"] = {"checkout": str(UUID(int=404))}
    send(desk, json.dumps(told).encode())
    told |= {"id": "evt_other", "type": "issuing_card.created"}
    send(desk, json.dumps(told).encode())
    desk.work()
    assert [state for state, _ in desk.notices()] == ["parked", "parked"]
    assert desk.office.count("payment") == 0


def test_11_an_unknown_api_version_is_parked_and_can_be_replayed(
    desk: Desk, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = desk.start(home)
    desk.pay(started)
    (body,) = bodies(desk)
    monkeypatch.setattr("backend.payments.stripe_events.API_VERSION", "2020-01-01.older")
    send(desk, body)
    settle_pending(desk.office.engine, desk.provider, desk.clock())
    with desk.office.engine.connect() as connection:
        (parked,) = parked_notices(connection)
    assert parked.reason.startswith("unknown_version")
    monkeypatch.undo()  # newer software
    with desk.office.engine.begin() as connection:
        replay_notice(connection, parked.notice_id, desk.clock())
    settle_pending(desk.office.engine, desk.provider, desk.clock())
    assert desk.checkout(started.checkout_id).state == "paid"
    assert desk.office.count("payment") == 1


def entry(key: str, on: date = date(2026, 11, 3)) -> NewEntry:
    """An entry that nobody minds."""
    lines, at = (debit("1001", 7), credit("1002", 7)), datetime(2026, 11, 3, tzinfo=UTC)
    return NewEntry(BOOK, "test", key, on, at, "试", lines, "t")


def test_12_the_hash_chain_has_no_gap_after_a_rollback(desk: Desk, home: Home) -> None:
    engine = desk.office.engine
    desk.office.charge()
    paid(desk, home, 30_000)
    with engine.connect() as connection:
        post(connection, [entry("never")])
        connection.rollback()
    desk.pay(desk.start(home, 20_000))
    for body in bodies(desk):
        send(desk, body)
    settle_all_at_once(desk)
    with engine.begin() as connection:
        seal_all(connection)
    with engine.connect() as connection:
        assert check_chain(connection, BOOK) == []
        assert head(connection, BOOK).seq == desk.office.count("journal_entry") == 3


UNBALANCED = """
    WITH head AS (
        INSERT INTO journal_entry (book_id, event_kind, event_key, effective_on, posted_at, line_count,
                                   total_fen, summary_zh, actor)
        VALUES ('pengjiang-1', 'raw', 'raw', '2026-11-03', now(), 2, 7, 'x', 'x') RETURNING entry_id
    )
    INSERT INTO posting (entry_id, line_no, account_code, debit_fen, credit_fen)
    SELECT entry_id, n, '1001', CASE n WHEN 1 THEN 7 ELSE 0 END, CASE n WHEN 2 THEN 6 ELSE 0 END
    FROM head, generate_series(1, 2) AS n
"""
MORE_GOES_BACK_THAN_CAME = """
    INSERT INTO payment_return (entry_id, payment_id, amount_fen, pieces, returned_at)
    SELECT entry_id, payment_id, amount_fen + 1, '[]', now() FROM payment
"""


@pytest.mark.parametrize(
    "attack",
    [
        UNBALANCED,
        MORE_GOES_BACK_THAN_CAME,
        "UPDATE posting SET debit_fen = 1 WHERE debit_fen > 0",
        "UPDATE journal_entry SET total_fen = 1",
        "UPDATE payment SET amount_fen = 1",
        "DELETE FROM posting",
        "DELETE FROM journal_entry",
        "DELETE FROM payment_allocation",
        "TRUNCATE journal_entry CASCADE",
        "TRUNCATE posting",
        "TRUNCATE payment_return",
    ],
)
def test_13_raw_sql_neither_unbalances_nor_changes_nor_removes_an_entry(
    desk: Desk, home: Home, database: Database, attack: str
) -> None:
    desk.office.charge()
    paid(desk, home, 30_000)
    before = desk.office.balances()
    for url in (database.app_url, database.owner_url):
        with connect(url, autocommit=True) as raw, pytest.raises(psycopg.Error):
            raw.execute(attack)
    assert desk.office.balances() == before


def test_14_reopening_a_month_needs_a_second_person(office: Office, two: Sequence[Principal]) -> None:
    engine, october = office.engine, date(2026, 10, 1)
    asker, other = two
    with engine.begin() as connection:
        periods.lock_period(connection, BOOK, october, asker, office.now)
    with pytest.raises(PeriodLockedError), engine.begin() as connection:
        post(connection, [entry("late", date(2026, 10, 31))])
    with engine.begin() as connection:
        subject = periods.unlock_subject(BOOK, october)
        asked = approvals.propose(
            connection, periods.UNLOCK, BOOK, subject, "反结账", {}, "漏记", asker, office.now
        )
    with pytest.raises(SecondPersonNeededError), engine.begin() as connection:
        approvals.approve(connection, asked.proposal_id, asker, office.now)
    with pytest.raises(ApprovalMissingError), engine.begin() as connection:
        periods.unlock_period(connection, BOOK, october, asked.proposal_id, asker, office.now)
    with engine.begin() as connection:
        approvals.approve(connection, asked.proposal_id, other, office.now)
        periods.unlock_period(connection, BOOK, october, asked.proposal_id, asker, office.now)
        post(connection, [entry("late", date(2026, 10, 31))])


def test_a_payment_of_a_locked_month_is_accepted_and_counts_for_the_first_open_day(
    desk: Desk, home: Home, two: Sequence[Principal]
) -> None:
    desk.office.charge()
    started = desk.start(home)
    desk.pay(started)
    (body,) = bodies(desk)
    with desk.office.engine.begin() as connection:
        periods.lock_period(connection, BOOK, date(2026, 11, 1), two[0], desk.clock())
    send(desk, body)
    desk.work()
    row = desk.office.row("journal_entry", event_kind="payment")
    assert row.effective_on == date(2026, 12, 1)
    assert desk.office.row("payment").paid_at.date() == date(2026, 11, 3)
    assert desk.office.statement(home).total_owed_fen == 0


def test_a_thousand_simultaneous_copies_of_one_event_are_one_entry(desk: Desk, home: Home) -> None:
    desk.office.charge()
    desk.pay(desk.start(home))
    (body,) = bodies(desk)
    headers, now, engine = desk.signed(body), desk.clock(), desk.office.engine
    stop = threading.Event()

    def settle_meanwhile() -> None:
        while not stop.is_set():
            settle_pending(engine, desk.provider, now)

    worker = threading.Thread(target=settle_meanwhile)
    worker.start()
    try:
        with ThreadPoolExecutor(16) as pool:
            taken = list(
                pool.map(lambda _: take_notice(engine, desk.provider, body, headers, now), range(1_000))
            )
    finally:
        stop.set()
        worker.join(20)
    settle_pending(engine, desk.provider, now)
    assert sum(one.is_new for one in taken) == 1
    assert desk.notices() == [("settled", None)]
    assert (desk.office.count("payment"), desk.office.count("journal_entry")) == (1, 2)


def test_the_channel_delivers_twice_late_and_in_any_order_to_many_workers(
    desk: Desk, home: Home, providers: Providers
) -> None:
    desk.office.charge()
    desk.core.plan_deliveries(DeliveryPlan(copies=2, duplicate_permille=500, gather_s=10, order="shuffled"))
    for amount_fen in (10_000, 20_000, 30_000, 44_403):
        desk.pay(desk.start(home, amount_fen))
    for _ in range(4):
        desk.deliver()
        settle_all_at_once(desk)
        desk.clock.forward(2_000)
        desk.core.advance()
    desk.work()
    assert sweep_money_back(desk.office.engine, providers, desk.clock()) == 0
    assert desk.office.statement(home).prepaid_fen == 4_403
    assert desk.office.count("payment") == 4


def test_a_channel_that_is_away_during_a_refund_is_asked_with_the_same_key(
    desk: Desk, home: Home, providers: Providers, refund_of: Callable[..., UUID]
) -> None:
    payment_id = paid(desk, home)
    desk.core.plan_fault(Fault(kind="error_after", path=REFUNDS))
    with pytest.raises(ProviderUnavailableError):
        refund_of(payment_id, 10_000)
    desk.clock.forward(timedelta(days=3).total_seconds())  # the key is long forgotten
    sweep_money_back(desk.office.engine, providers, desk.clock())
    assert len(desk.core.act(lambda world: list(world.store.oldest_first("refund")))) == 1
    assert desk.office.row("refund").state == "done"
