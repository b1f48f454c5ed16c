"""Refunds, disputes and payouts: whatever their notices go through, the books come out the same."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from backend.approvals import service as approvals
from backend.payments import disputes, refunds
from backend.payments.missed import ASK_EVERY, MissedNotices, ask_missed
from backend.payments.money_sweeper import sweep_money_back
from backend.payments.port import Method, ProviderUnavailableError
from backend.payments.providers import Providers
from simulators.stripe import disputes as bank
from simulators.stripe.faults import Fault

if TYPE_CHECKING:
    from tests.integration.money.conftest import Desk, Home

RENT_FEN = 60_000
DISPUTED_FEN, TWICE_FEN, FAILS_FEN, WALLET_FEN, ELSEWHERE_FEN = 100_000, 30_000, 44_407, 20_000, 25_000
DAY_S = 24 * 3_600
# The refunds that two people agreed on: of which payment, how much.
AGREED = ((TWICE_FEN, 10_001), (TWICE_FEN, 333), (FAILS_FEN, 44_407), (WALLET_FEN, 5_000))
GIVEN_BACK_FEN = 10_001 + 333 + 5_000 + 3_000
DRAWN = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@dataclass
class Line:
    """The way between the channel and us: every notice on it is lost, late or there several times."""

    desk: Desk
    fate: random.Random
    work_between: bool
    missed: MissedNotices

    def __post_init__(self) -> None:
        self.late: list[bytes] = []

    def carry(self) -> None:
        """Deliver some of what is under way, in any order; the rest comes another time, or never."""
        now = [notice.body for notice in self.desk.core.due_notices()]
        under_way = [*self.late, *(body for body in now for _ in range(self.fate.choice((0, 1, 1, 2, 3))))]
        self.fate.shuffle(under_way)
        here = self.fate.randint(0, len(under_way))
        self.late = under_way[here:]
        for body in under_way[:here]:
            assert self.desk.receive("", body, self.desk.signed(body)) == 200
            if self.work_between:
                self.desk.work()

    def pass_time(self, providers: Providers, hours: int) -> None:
        """The worker looks again and again."""
        for _ in range(hours):
            now = self.desk.clock.forward(ASK_EVERY.total_seconds() + 100)
            self.desk.core.advance()
            self.missed(now)
            self.desk.work()
            sweep_money_back(self.desk.office.engine, providers, self.desk.clock())


@DRAWN
@given(fate=st.randoms(use_true_random=False), work_between=st.booleans(), won=st.booleans())
def test_refunds_disputes_and_payouts_end_in_the_same_books(
    desk: Desk, fate: random.Random, work_between: bool, won: bool
) -> None:
    home = desk.office.move_in(RENT_FEN)
    desk.office.charge()
    providers = Providers({desk.provider.name: desk.provider})
    line = Line(desk, fate, work_between, MissedNotices(desk.office.engine, providers))
    intents = pay_all(desk, home)
    dispute_of(desk, intents[DISPUTED_FEN])
    client(desk).v1.refunds.create({"payment_intent": intents[ELSEWHERE_FEN], "amount": 3_000})
    line.carry()
    line.pass_time(providers, 2)

    for amount_fen, back_fen in AGREED:
        give_back(desk, providers, intents[amount_fen], back_fen, lost=fate.random() < 0.3)
        line.carry()
    answer(desk, providers, intents[DISPUTED_FEN], "winning_evidence" if won else "we have none")
    desk.clock.forward(8 * DAY_S)
    desk.core.advance()
    client(desk).v1.payouts.create({"amount": 1_000, "currency": "cny"})
    line.carry()
    desk.clock.forward(3 * DAY_S)
    desk.core.advance()
    line.carry()
    line.pass_time(providers, 5)
    line.carry()
    line.pass_time(providers, 5)

    left_fen = sum(intents) - GIVEN_BACK_FEN - (0 if won else DISPUTED_FEN)
    statement = desk.office.statement(home)
    assert len(statement.payments) == len(intents)
    assert statement.prepaid_fen - statement.total_owed_fen == left_fen - RENT_FEN
    found = balances(desk, home)
    assert found["1021.01"] == left_fen
    assert found["1218.06"] == 0
    assert found["1212.01"] == statement.total_owed_fen == -found["2103.01"]
    assert found["2305.01"] == -statement.prepaid_fen
    assert sum(found.values()) == 0
    assert {state for state, _ in desk.notices()} <= {"settled", "ignored"}
    assert ends(desk, home) == ["done", "done", "done", "done", "failed", "won" if won else "lost"]


def test_a_dispute_whose_notices_were_all_lost_is_asked_for(desk: Desk, home: Home) -> None:
    intents = pay_all(desk, home)
    desk.deliver()
    desk.work()
    dispute_of(desk, intents[DISPUTED_FEN])
    desk.core.due_notices()  # and nobody hears of them
    providers = Providers({desk.provider.name: desk.provider})
    missed = MissedNotices(desk.office.engine, providers)
    now = desk.clock.forward(60)
    assert (missed(now), missed(now)) == (2, 0)
    desk.work()
    assert desk.office.row("dispute").amount_fen == DISPUTED_FEN
    assert ask_missed(desk.office.engine, desk.provider, now - timedelta(days=1), now) == 0


def test_a_channel_that_is_away_is_asked_again_for_what_never_came(desk: Desk, home: Home) -> None:
    intents = pay_all(desk, home)
    desk.deliver()
    desk.work()
    dispute_of(desk, intents[DISPUTED_FEN])
    missed = MissedNotices(desk.office.engine, Providers({desk.provider.name: desk.provider}))
    desk.core.plan_fault(Fault(kind="request_lost", method="GET", path="/v1/events"))
    assert (missed(desk.clock()), missed(desk.clock())) == (0, 2)


def client(desk: Desk) -> Any:
    """The channel's own pages: its client without us."""
    return desk.provider._client  # type: ignore[attr-defined]


def pay_all(desk: Desk, home: Home) -> dict[int, str]:
    """Pay five times; returns the channel's payment of each amount."""
    found = {}
    for amount in (DISPUTED_FEN, TWICE_FEN, FAILS_FEN, WALLET_FEN, ELSEWHERE_FEN):
        method = Method.WECHAT_PAY if amount == WALLET_FEN else Method.CARD
        started = desk.start(home, amount, method)
        desk.pay(started, method)
        ref = desk.checkout(started.checkout_id).provider_ref
        session = desk.core.act(lambda world, ref=ref: world.get("checkout.session", ref))
        found[amount] = session["payment_intent"]
    return found


def dispute_of(desk: Desk, intent: str) -> None:
    charge = desk.core.act(lambda world: world.get("payment_intent", intent)["latest_charge"])
    desk.core.act(bank.open_on, charge, "fraudulent")


def give_back(desk: Desk, providers: Providers, intent: str, amount_fen: int, *, lost: bool) -> None:
    """Two people agree on a refund; the channel's answer may be lost on the way."""
    payment_id = UUID(str(desk.office.row("payment", provider_ref=intent).payment_id))
    with desk.office.engine.begin() as connection:
        refund_id = refunds.propose_refund(
            connection, providers, payment_id, amount_fen, "多缴", desk.office.clerk(), desk.clock()
        )
    proposal_id = desk.office.row("refund", refund_id=refund_id).proposal_id
    with desk.office.engine.begin() as connection:
        approvals.approve(connection, proposal_id, desk.office.clerk(), desk.clock())
    if not lost:
        refunds.carry_out(desk.office.engine, providers, refund_id, desk.clock())
        return
    desk.core.plan_fault(Fault(kind="answer_lost", path="/v1/refunds"))
    with pytest.raises(ProviderUnavailableError):
        refunds.carry_out(desk.office.engine, providers, refund_id, desk.clock())


def answer(desk: Desk, providers: Providers, intent: str, evidence: str) -> None:
    payment_id = desk.office.row("payment", provider_ref=intent).payment_id
    dispute_id = desk.office.row("dispute", payment_id=payment_id).dispute_id
    disputes.answer(desk.office.engine, providers, dispute_id, evidence, desk.office.clerk(), desk.clock())


def balances(desk: Desk, home: Home) -> dict[str, int]:
    with desk.office.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT account_code, sum(debit_fen - credit_fen)::int FROM posting"
            f" WHERE household_id = '{home.household_id}' GROUP BY 1"
        )
        return dict(rows.all())


def ends(desk: Desk, home: Home) -> list[str]:
    """How the refunds and the dispute of the household ended."""
    with desk.office.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT state FROM refund WHERE household_id = '{home.household_id}' UNION ALL"
            " SELECT d.state FROM dispute d JOIN payment p USING (payment_id)"
            f" WHERE p.household_id = '{home.household_id}' ORDER BY 1"
        )
        return sorted(rows.scalars())
