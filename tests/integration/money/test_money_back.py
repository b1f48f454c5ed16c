"""Refunds, disputes and deposits: who agrees, who pays, and what stands in the books afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from sqlalchemy import select

from backend.approvals import service as approvals
from backend.approvals.errors import ApprovalMissingError, ApprovalUsedError, SecondPersonNeededError
from backend.identity.principal import Principal
from backend.messaging.port import Channel
from backend.messaging.service import set_address
from backend.messaging.tables import message
from backend.payments import deposits, disputes, refunds
from backend.payments.counter import take_at_counter
from backend.payments.counter_adapter import CounterProvider
from backend.payments.errors import (
    DepositStepError,
    DepositTooMuchError,
    DisputeClosedError,
    PayeeMissingError,
    RefundNotReadyError,
    RefundTooMuchError,
    SlipTakenError,
)
from backend.payments.money_sweeper import sweep_money_back
from backend.payments.port import Method, ProviderUnavailableError
from backend.payments.providers import Providers
from backend.payments.settings import PaymentRules
from backend.registry.keys import MasterKey
from backend.rent.corrections import charge_once
from backend.rent.rules import LineKind
from backend.rent.settings import RentSettings
from backend.retention.evidence import Kind, add_evidence
from simulators.stripe import disputes as bank
from simulators.stripe.faults import Fault

if TYPE_CHECKING:
    from tests.integration.money.conftest import Desk, Home

REFUNDS = "/v1/refunds"
PAYEE = refunds.Payee("示例收款人", "示例银行 000000")


@pytest.fixture
def providers(desk: Desk) -> Providers:
    counter = [CounterProvider(desk.office.engine, one) for one in (Method.CASH, Method.BANK_TRANSFER)]
    return Providers({one.name: one for one in (desk.provider, *counter)})


@pytest.fixture
def two(desk: Desk) -> tuple[Principal, Principal]:
    return desk.office.clerk(), desk.office.clerk()


@pytest.fixture
def refund_of(desk: Desk, providers: Providers, two: tuple[Principal, Principal]) -> Callable[..., UUID]:
    """Two people agree on a refund of a payment, and it is carried out."""

    def make(payment_id: UUID, amount_fen: int, payee: refunds.Payee | None = None) -> UUID:
        with desk.office.engine.begin() as connection:
            refund_id = refunds.propose_refund(
                connection, providers, payment_id, amount_fen, "多缴", two[0], desk.clock(), payee
            )
            row = connection.exec_driver_sql(
                f"SELECT proposal_id FROM refund WHERE refund_id = '{refund_id}'"
            ).scalar_one()
            approvals.approve(connection, row, two[1], desk.clock())
        refunds.carry_out(desk.office.engine, providers, refund_id, desk.clock())
        return refund_id

    return make


def pay(desk: Desk, home: Home, amount_fen: int, method: Method = Method.CARD) -> UUID:
    started = desk.start(home, amount_fen, method)
    desk.pay(started, method)
    desk.deliver()
    desk.work()
    return UUID(str(desk.checkout(started.checkout_id).payment_id))


def state(desk: Desk, refund_id: UUID) -> str:
    return str(desk.office.row("refund", refund_id=refund_id).state)


def test_a_refund_takes_prepaid_rent_first_and_then_opens_the_latest_charge_again(
    desk: Desk, home: Home, refund_of: Callable[..., UUID], table: Callable[[str], str]
) -> None:
    desk.office.charge("2026-10")
    desk.office.charge("2026-11")
    payment_id = pay(desk, home, 230_000)
    refund_id = refund_of(payment_id, 40_000)
    assert state(desk, refund_id) == "done"
    found = desk.office.statement(home)
    assert (found.total_owed_fen, found.prepaid_fen) == (10_000, 0)
    assert [charge.month.month for charge in found.unpaid] == [11]
    assert desk.office.balances() == table("""
        1021.01 其他货币资金—支付渠道在途（Stripe） 借 1,900.00
        1212.01 应收账款—租金 借 100.00
        2103.01 应缴财政款—租金（应收未收） 贷 100.00
        2103.02 应缴财政款—租金（已收待缴） 贷 1,900.00
        2305.01 预收账款—预收租金 平 0.00
    """)
    # What was given back can be paid again, and the books are as if nothing had been.
    pay(desk, home, 10_000)
    assert desk.office.statement(home).total_owed_fen == 0


def test_whoever_asks_for_a_refund_does_not_agree_to_it(
    desk: Desk, home: Home, providers: Providers, two: tuple[Principal, Principal]
) -> None:
    payment_id = pay(desk, home, 10_000)
    with desk.office.engine.begin() as connection:
        refund_id = refunds.propose_refund(
            connection, providers, payment_id, 500, "错缴", two[0], desk.clock()
        )
        proposal_id = approvals.about(connection, f"payment:{payment_id}")[0].proposal_id
    with pytest.raises(SecondPersonNeededError), desk.office.engine.begin() as connection:
        approvals.approve(connection, proposal_id, two[0], desk.clock())
    with pytest.raises(ApprovalMissingError):
        refunds.carry_out(desk.office.engine, providers, refund_id, desk.clock())
    with desk.office.engine.begin() as connection:
        approvals.approve(connection, proposal_id, two[1], desk.clock())
    refunds.carry_out(desk.office.engine, providers, refund_id, desk.clock())
    with pytest.raises(ApprovalUsedError):
        refunds.carry_out(desk.office.engine, providers, refund_id, desk.clock())
    assert len(desk.core.act(lambda world: list(world.store.oldest_first("refund")))) == 1


def test_a_declined_refund_leaves_the_money_for_another(
    desk: Desk, home: Home, providers: Providers, two: tuple[Principal, Principal]
) -> None:
    payment_id = pay(desk, home, 10_000)
    with desk.office.engine.begin() as connection:
        refunds.propose_refund(connection, providers, payment_id, 10_000, "错缴", two[0], desk.clock())
        assert refunds.refundable(connection, payment_id) == 0
        proposal_id = approvals.about(connection, f"payment:{payment_id}")[0].proposal_id
        approvals.decline(connection, proposal_id, two[1], desk.clock(), "没有多缴")
        assert refunds.refundable(connection, payment_id) == 10_000


def test_an_answer_that_was_lost_gives_back_once(
    desk: Desk, home: Home, providers: Providers, refund_of: Callable[..., UUID]
) -> None:
    payment_id = pay(desk, home, 10_000)
    desk.core.plan_fault(Fault(kind="answer_lost", path=REFUNDS))
    with pytest.raises(ProviderUnavailableError):
        refund_of(payment_id, 4_000)
    desk.clock.forward(40)
    assert sweep_money_back(desk.office.engine, providers, desk.clock()) == 1
    assert len(desk.core.act(lambda world: list(world.store.oldest_first("refund")))) == 1
    assert desk.office.statement(home).prepaid_fen == 6_000


def test_a_wallet_refund_waits_for_the_channel_and_its_notice_ends_it(
    desk: Desk, home: Home, refund_of: Callable[..., UUID]
) -> None:
    refund_id = refund_of(pay(desk, home, 10_000, Method.WECHAT_PAY), 4_000)
    assert state(desk, refund_id) == "pending"
    desk.clock.forward(120)
    desk.core.advance()
    desk.deliver()
    desk.work()
    assert state(desk, refund_id) == "done"
    assert {one for one, _ in desk.notices()} <= {"settled", "ignored"}


def test_after_the_channels_window_a_refund_goes_by_transfer(
    desk: Desk,
    home: Home,
    providers: Providers,
    refund_of: Callable[..., UUID],
    two: tuple[Principal, Principal],
    table: Callable[[str], str],
) -> None:
    payment_id = pay(desk, home, 10_000, Method.WECHAT_PAY)
    desk.clock.forward(181 * 24 * 3600)
    with pytest.raises(PayeeMissingError):
        refund_of(payment_id, 4_000)
    refund_id = refund_of(payment_id, 4_000, PAYEE)
    assert state(desk, refund_id) == "asked"
    engine, now = desk.office.engine, desk.clock()
    with pytest.raises(RefundNotReadyError):
        refunds.transferred(engine, providers, refund_id, " ", two[0], now)
    refunds.transferred(engine, providers, refund_id, "20270503-7", two[0], now)
    with pytest.raises(RefundNotReadyError):
        refunds.transferred(engine, providers, refund_id, "20270503-7", two[0], now)
    assert desk.office.row("journal_entry", event_kind="refund_transfer").event_key == "20270503-7"
    refunds.transfer_returned(engine, refund_id, two[0], now)
    assert (state(desk, refund_id), desk.office.statement(home).prepaid_fen) == ("failed", 10_000)
    assert desk.office.balances() == table("""
        1002 银行存款 平 0.00
        1021.01 其他货币资金—支付渠道在途（Stripe） 借 100.00
        2305.01 预收账款—预收租金 贷 100.00
    """)


def test_a_refund_made_in_the_channels_own_pages_is_taken_over_and_marked(desk: Desk, home: Home) -> None:
    payment_id = pay(desk, home, 10_000)
    paid = desk.office.row("payment", payment_id=payment_id)
    from backend.payments.stripe_adapter import StripeProvider  # noqa: PLC0415

    assert isinstance(desk.provider, StripeProvider)
    desk.provider._client.v1.refunds.create({"payment_intent": paid.provider_ref, "amount": 300})
    desk.deliver()
    desk.work()
    row = desk.office.row("refund", payment_id=payment_id)
    assert (row.state, row.detail, row.proposal_id) == ("done", "made_elsewhere", None)
    assert desk.office.statement(home).prepaid_fen == 9_700


def test_a_failed_refund_of_a_charge_that_others_paid_meanwhile_becomes_prepaid_rent(
    desk: Desk, home: Home, refund_of: Callable[..., UUID], table: Callable[[str], str]
) -> None:
    desk.office.charge()
    payment_id = pay(desk, home, 44_407)  # its refund fails a minute later
    refund_id = refund_of(payment_id, 44_407)
    pay(desk, home, 100_000)
    desk.clock.forward(120)
    desk.core.advance()
    desk.deliver()
    desk.work()
    assert state(desk, refund_id) == "failed"
    found = desk.office.statement(home)
    assert (found.total_owed_fen, found.prepaid_fen) == (0, 44_407)
    assert desk.office.balances() == table("""
        1021.01 其他货币资金—支付渠道在途（Stripe） 借 1,444.07
        1212.01 应收账款—租金 平 0.00
        2103.01 应缴财政款—租金（应收未收） 平 0.00
        2103.02 应缴财政款—租金（已收待缴） 贷 1,000.00
        2305.01 预收账款—预收租金 贷 444.07
    """)


def disputed(desk: Desk, home: Home, amount_fen: int = 100_000, reason: str = "fraudulent") -> UUID:
    payment_id = pay(desk, home, amount_fen)
    intent = desk.office.row("payment", payment_id=payment_id).provider_ref
    charge = desk.core.act(lambda world: world.get("payment_intent", intent)["latest_charge"])
    desk.core.act(bank.open_on, charge, reason)
    desk.deliver()
    desk.work()
    return UUID(str(desk.office.row("dispute", payment_id=payment_id).dispute_id))


@pytest.mark.parametrize(("evidence", "won"), [("winning_evidence", True), ("we have none", False)])
def test_a_dispute_is_answered_and_the_books_follow_its_outcome(
    desk: Desk,
    home: Home,
    providers: Providers,
    two: tuple[Principal, Principal],
    evidence: str,
    won: bool,
) -> None:
    desk.office.charge()
    dispute_id = disputed(desk, home)
    row = desk.office.row("dispute", dispute_id=dispute_id)
    assert (row.state, row.amount_fen) == ("open", 100_000)
    assert row.answer_by > desk.clock()
    assert "1218.06 其他应收款—拒付争议款 借 1,000.00" in desk.office.balances()
    assert desk.office.statement(home).total_owed_fen == 0
    with pytest.raises(RefundTooMuchError), desk.office.engine.begin() as connection:
        refunds.propose_refund(connection, providers, row.payment_id, 1, "错缴", two[0], desk.clock())
    with desk.office.engine.begin() as connection:
        assert disputes.place_of_dispute(connection, dispute_id) == ("pengjiang-1", home.household_id)
    paper = evidence_of(desk, two[0], "dispute")
    disputes.answer(desk.office.engine, providers, dispute_id, evidence, two[0], desk.clock(), paper)
    assert desk.office.row("dispute", dispute_id=dispute_id).evidence_id == paper
    with pytest.raises(DisputeClosedError), desk.office.engine.begin() as connection:
        disputes.place_of_dispute(connection, dispute_id)
    with pytest.raises(DisputeClosedError):
        disputes.answer(desk.office.engine, providers, dispute_id, evidence, two[0], desk.clock())
    desk.clock.forward(700)
    desk.core.advance()
    desk.deliver()
    desk.work()
    assert desk.office.row("dispute", dispute_id=dispute_id).state == ("won" if won else "lost")
    assert "1218.06 其他应收款—拒付争议款 平 0.00" in desk.office.balances()
    assert desk.office.statement(home).total_owed_fen == (0 if won else 100_000)
    assert {one for one, _ in desk.notices()} <= {"settled", "ignored"}


def test_a_dispute_that_nobody_answers_is_lost_and_the_sweeper_learns_it(
    desk: Desk, home: Home, providers: Providers
) -> None:
    desk.office.charge()
    dispute_id = disputed(desk, home)
    desk.clock.forward(8 * 24 * 3600)
    desk.core.advance()
    assert sweep_money_back(desk.office.engine, providers, desk.clock()) == 1
    assert desk.office.row("dispute", dispute_id=dispute_id).state == "lost"
    assert desk.office.statement(home).total_owed_fen == 100_000


def test_an_inquiry_takes_no_money_and_leaves_no_entry(desk: Desk, home: Home) -> None:
    desk.office.charge()
    before = desk.office.count("journal_entry")
    disputed(desk, home, reason="inquiry")
    assert desk.office.count("journal_entry") == before + 1  # the payment's


RENT = RentSettings()
RULES = PaymentRules()


def deposit_paid(desk: Desk, home: Home, providers: Providers, clerk: Principal) -> None:
    with desk.office.engine.begin() as connection:
        charge_once(connection, home.tenancy_id, LineKind.DEPOSIT, 100_000, "押金", None, desk.clock(), RENT)
    cash = providers.get("cash")
    assert isinstance(cash, CounterProvider)
    take_at_counter(
        desk.office.engine, cash, home.household_id, 100_000, "R-1", desk.clock(), clerk, desk.clock()
    )


def evidence_of(desk: Desk, clerk: Principal, kind: Kind = "damage") -> UUID:
    with desk.office.engine.begin() as connection:
        return add_evidence(
            connection, MasterKey(bytes(32)), "pengjiang-1", kind, None, b"\xff\xd8\xff a door panel",
            actor=clerk, now=desk.clock(),
        )  # fmt: skip


def test_a_deposit_is_held_reduced_by_damage_and_the_rest_returned_in_its_term(
    desk: Desk,
    home: Home,
    providers: Providers,
    two: tuple[Principal, Principal],
    table: Callable[[str], str],
) -> None:
    clerk, other = two
    engine, now = desk.office.engine, desk.clock()
    deposit_paid(desk, home, providers, clerk)
    with engine.begin() as connection:
        deposits.open_settlement(connection, home.tenancy_id, date(2026, 11, 3), clerk, now)
        deposits.open_settlement(connection, home.tenancy_id, date(2026, 11, 3), clerk, now)
    assert "2307.07 其他应付款—押金（扣留待结算） 贷 1,000.00" in desk.office.balances()
    evidence_id = evidence_of(desk, clerk)
    with pytest.raises(DepositTooMuchError), engine.begin() as connection:
        deposits.propose_deduction(connection, home.tenancy_id, 100_001, "门坏", evidence_id, clerk, now)
    with engine.begin() as connection:
        asked = deposits.propose_deduction(
            connection, home.tenancy_id, 23_456, "门板破损", evidence_id, clerk, now
        )
    with pytest.raises(ApprovalMissingError), engine.begin() as connection:
        deposits.deduct(connection, asked, clerk, now, RENT)
    with engine.begin() as connection:
        approvals.approve(connection, asked, other, now)
        deposits.deduct(connection, asked, clerk, now, RENT)
    with pytest.raises(DepositStepError), engine.begin() as connection:
        deposits.propose_return(connection, home.tenancy_id, PAYEE, "退房", clerk, now)
    with engine.begin() as connection:
        assert deposits.settle_deposit(connection, home.tenancy_id, clerk, now, RULES) == date(2026, 11, 12)
    with engine.begin() as connection:
        back = deposits.propose_return(connection, home.tenancy_id, PAYEE, "退房", clerk, now)
        approvals.approve(connection, back, other, now)
        assert [row.tenancy_id for row in deposits.due_soon(connection, now, 9)] == [home.tenancy_id]
        assert deposits.due_soon(connection, now, 8) == []
        set_address(connection, home.person_id, Channel.SMS, "13800000000", now)
        assert deposits.remind(connection, now, RULES) == 0
        near = now + timedelta(days=7)
        assert deposits.remind(connection, near, RULES) == 1
        assert deposits.remind(connection, near, RULES) == 0
        (told,) = connection.execute(select(message.c.text_zh)).scalars()
        assert "11月12日" in told
        deposits.return_deposit(connection, back, "20261105-1", clerk, now)
        assert deposits.due_soon(connection, now, 9) == []
        assert deposits.held_fen(connection, home.tenancy_id) == 0
    assert desk.office.statement(home).total_owed_fen == 0
    assert desk.office.balances() == table("""
        1001 库存现金 借 1,000.00
        1002 银行存款 贷 765.44
        1218.04 其他应收款—押金 平 0.00
        1218.05 其他应收款—损坏赔偿 平 0.00
        2103.05 应缴财政款—损坏赔偿（应收未收） 平 0.00
        2103.06 应缴财政款—损坏赔偿（已收待缴） 贷 234.56
        2307.05 其他应付款—押金（应收未收） 平 0.00
        2307.06 其他应付款—押金 平 0.00
        2307.07 其他应付款—押金（扣留待结算） 平 0.00
    """)


@pytest.mark.parametrize(
    ("day", "last"),
    [
        (date(2026, 11, 3), date(2026, 11, 12)),
        # National Day: the 1st to the 7th are off, and the 10th is a Saturday that is worked.
        (date(2026, 9, 28), date(2026, 10, 13)),
    ],
)
def test_the_term_counts_working_days_of_china(day: date, last: date) -> None:
    assert deposits.working_days_after(day, 7) == last


def test_a_number_of_the_receipt_book_is_one_payment(
    desk: Desk, home: Home, providers: Providers, two: tuple[Principal, Principal]
) -> None:
    cash, engine, now = providers.get("cash"), desk.office.engine, desk.clock()
    assert isinstance(cash, CounterProvider)
    other = desk.office.move_in()

    def take(who: Home, amount_fen: int, cashier: Principal) -> object:
        return take_at_counter(engine, cash, who.household_id, amount_fen, "A-7", now, cashier, now)

    first = take(home, 5_000, two[0])
    assert take(home, 5_000, two[0]) == first.__class__(first.payment_id, first.receipt_number, False)  # type: ignore[attr-defined,call-arg]
    for household, amount_fen in ((home, 5_001), (other, 5_000)):
        with pytest.raises(SlipTakenError):
            take(household, amount_fen, two[1])
    assert desk.office.count("payment") == 1
