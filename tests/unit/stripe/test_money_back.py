"""Refunds, disputes, payouts, and that no fen appears or disappears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.stripe import disputes, ledger, money_report, payouts, people
from simulators.stripe.core import StripeCore
from simulators.stripe.errors import RefusedError
from simulators.stripe.outcomes import NAMED
from simulators.stripe.settings import AccountSettings, Fee

AUTH = {"Authorization": "Bearer sk_test_unit"}
DAY_S = 24 * 3600
Pay = Callable[..., Any]


@pytest.mark.parametrize(
    ("amount", "fee", "expected"),
    [
        (30_000, Fee(220), 660),
        (1, Fee(220), 0),
        (23, Fee(220), 1),
        (22, Fee(220), 0),
        (10_000, Fee(340, 235), 575),
    ],
)
def test_fees_are_rounded_half_up_in_fen(amount: int, fee: Fee, expected: int) -> None:
    assert fee.of(amount) == expected


def test_a_card_refund_is_done_at_once_and_a_wallets_later(
    client: stripe.StripeClient, core: StripeCore, pay: Pay, event_types: Callable[[], list[str]]
) -> None:
    card = client.v1.refunds.create({"payment_intent": pay("card").payment_intent.id})
    assert (card.status, card.id[:3]) == ("succeeded", "re_")
    wallet = client.v1.refunds.create({"charge": pay("wechat_pay").payment_intent.latest_charge.id})
    assert (wallet.status, wallet.id[:4], wallet.pending_reason) == ("pending", "pyr_", "processing")
    core.forward(60)
    assert client.v1.refunds.retrieve(wallet.id).status == "succeeded"
    types = event_types()
    assert types.count("refund.created") == 2
    assert types.count("charge.refunded") == 2
    assert types.count("refund.updated") == 1


def test_partial_refunds_add_up_and_no_fen_more_goes_back(client: stripe.StripeClient, pay: Pay) -> None:
    charge = pay("card").payment_intent.latest_charge.id
    for amount in (10_001, 9_999):
        client.v1.refunds.create({"charge": charge, "amount": amount})
    with pytest.raises(stripe.InvalidRequestError) as more:
        client.v1.refunds.create({"charge": charge, "amount": 10_001})
    assert more.value.param == "amount"
    assert "Refund amount (¥100.01) is greater than unrefunded amount on charge (¥100.00)" in str(more.value)
    client.v1.refunds.create({"charge": charge})
    done = client.v1.charges.retrieve(charge, {"expand": ["refunds"]})
    assert (done.amount_refunded, done.refunded, done.status) == (30_000, True, "succeeded")
    assert done.refunds is not None
    assert [one.amount for one in done.refunds.data] == [10_000, 9_999, 10_001]
    with pytest.raises(stripe.InvalidRequestError) as again:
        client.v1.refunds.create({"charge": charge})
    assert again.value.code == "charge_already_refunded"


@pytest.mark.parametrize("kind", ["wechat_pay", "card"])
def test_a_failed_refund_puts_the_money_back(
    client: stripe.StripeClient, core: StripeCore, pay: Pay, event_types: Callable[[], list[str]], kind: str
) -> None:
    charge = pay(kind, metadata={"simulate": "refund_fails"}).payment_intent.latest_charge.id
    before = sum(core.act(ledger.totals))
    refund = client.v1.refunds.create({"charge": charge, "amount": 12_345})
    assert sum(core.act(ledger.totals)) == before - 12_345
    core.forward(60)
    failed = client.v1.refunds.retrieve(refund.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "declined")
    assert failed.failure_balance_transaction.net == 12_345  # type: ignore[union-attr]
    assert sum(core.act(ledger.totals)) == before
    assert client.v1.charges.retrieve(charge).amount_refunded == 0
    assert "refund.failed" in event_types()
    assert client.v1.refunds.create({"charge": charge, "amount": 30_000}).amount == 30_000


@pytest.mark.parametrize(("kind", "days"), [("wechat_pay", 180), ("alipay", 90)])
def test_a_wallet_takes_no_refund_after_its_window(
    client: stripe.StripeClient, core: StripeCore, pay: Pay, kind: str, days: int
) -> None:
    charge = pay(kind).payment_intent.latest_charge.id
    core.forward(days * DAY_S)
    client.v1.refunds.create({"charge": charge, "amount": 1})
    core.forward(1)
    with pytest.raises(stripe.InvalidRequestError, match=f"{days} days"):
        client.v1.refunds.create({"charge": charge, "amount": 1})


def test_what_was_not_paid_is_not_refunded(
    client: stripe.StripeClient, core: StripeCore, params: Callable[..., Any]
) -> None:
    waiting = client.v1.payment_intents.create({"amount": 5_000, "currency": "cny"})
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        client.v1.refunds.create({"payment_intent": waiting.id})
    late = client.v1.checkout.sessions.create(params(metadata={"simulate": "late"}))
    charge = core.act(people.pay_session, late.id, "alipay").intent["latest_charge"]
    with pytest.raises(stripe.InvalidRequestError, match="has not been paid"):
        client.v1.refunds.create({"charge": charge})


@pytest.mark.parametrize(("text", "status"), [(disputes.WINNING, "won"), (disputes.LOSING, "lost")])
def test_a_dispute_is_decided_by_its_evidence(
    client: stripe.StripeClient,
    core: StripeCore,
    pay: Pay,
    event_types: Callable[[], list[str]],
    text: str,
    status: str,
) -> None:
    charge = pay("card", card="4000000000000259").payment_intent.latest_charge.id
    dispute = client.v1.disputes.list().data[0]
    assert (dispute.charge, dispute.status, dispute.amount) == (charge, "needs_response", 30_000)
    assert [entry.net for entry in dispute.balance_transactions] == [-38_500]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"charge": charge})
    assert refused.value.code == "charge_disputed"
    staged = client.v1.disputes.update(
        dispute.id, {"evidence": {"product_description": "租金"}, "submit": False}
    )
    assert (staged.status, staged.evidence_details.has_evidence) == ("needs_response", True)
    sent = client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": text}})
    assert (sent.status, sent.evidence_details.submission_count) == ("under_review", 1)
    core.forward(600)
    done = client.v1.disputes.retrieve(dispute.id)
    assert done.status == status
    assert [entry.amount for entry in done.balance_transactions] == [
        -30_000,
        *([30_000] if status == "won" else []),
    ]
    assert client.v1.charges.retrieve(charge).disputed is (status == "lost")
    assert ("charge.dispute.funds_reinstated" in event_types()) is (status == "won")


def test_a_dispute_nobody_answers_is_lost(client: stripe.StripeClient, core: StripeCore, pay: Pay) -> None:
    pay("card", card="4000000000000259")
    core.forward(7 * DAY_S)
    lost = client.v1.disputes.list().data[0]
    assert (lost.status, lost.evidence_details.past_due) == ("lost", True)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.disputes.close(lost.id)


def test_an_inquiry_takes_no_money(client: stripe.StripeClient, core: StripeCore, pay: Pay) -> None:
    charge = pay("card", card="4000000000001976").payment_intent.latest_charge.id
    inquiry = client.v1.disputes.list().data[0]
    assert (inquiry.status, inquiry.balance_transactions) == ("warning_needs_response", [])
    client.v1.refunds.create({"charge": charge, "amount": 100})
    assert client.v1.disputes.close(inquiry.id).status == "warning_closed"


def test_only_paid_cards_are_disputed(core: StripeCore, pay: Pay) -> None:
    with pytest.raises(RefusedError, match="Only a paid card"):
        core.act(disputes.open_on, pay("wechat_pay").payment_intent.latest_charge.id, "fraudulent")


def test_the_balance_is_pending_then_available_then_paid_out(
    client: stripe.StripeClient, core: StripeCore, pay: Pay, event_types: Callable[[], list[str]]
) -> None:
    pay("wechat_pay")  # at 08:00
    balance = client.v1.balance.retrieve()
    assert (balance.pending[0].amount, balance.available[0].amount) == (29_340, 0)
    core.forward(2 * DAY_S)
    balance = client.v1.balance.retrieve()
    assert (balance.pending[0].amount, balance.available[0].amount) == (0, 29_340)
    core.forward(16 * 3600)
    payout = client.v1.payouts.list().data[0]
    assert (payout.amount, payout.status, payout.reconciliation_status) == (29_340, "pending", "in_progress")
    core.forward(2 * DAY_S)
    payout = client.v1.payouts.retrieve(payout.id)
    assert (payout.status, payout.reconciliation_status) == ("paid", "completed")
    parts = client.v1.balance_transactions.list({"payout": payout.id}).data
    assert [(one.type, one.amount, one.fee, one.net) for one in parts] == [
        ("payout", -29_340, 0, -29_340),
        ("payment", 30_000, 660, 29_340),
    ]
    assert {"payout.created", "payout.paid", "payout.reconciliation_completed"} <= set(event_types())


def test_a_payout_the_bank_sends_back_is_in_the_next_one(
    client: stripe.StripeClient, core: StripeCore, pay: Pay
) -> None:
    pay("card")
    core.forward(2 * DAY_S)
    first = core.act(payouts.pay_out_available)
    assert first is not None
    core.act(lambda world: world.note(first["id"], will_fail=True))
    core.forward(DAY_S + 1)
    failed = client.v1.payouts.retrieve(first["id"])
    assert (failed.status, failed.failure_code) == ("failed", "account_closed")
    core.forward(DAY_S)
    again = client.v1.payouts.list().data[0]
    assert (again.amount, again.id != first["id"]) == (first["amount"], True)


def test_a_manual_payout_is_not_listed_by_its_parts(
    client: stripe.StripeClient, core: StripeCore, pay: Pay
) -> None:
    pay("card")
    core.forward(2 * DAY_S)
    manual = client.v1.payouts.create({"amount": 10_000, "currency": "cny"})
    assert (manual.automatic, manual.reconciliation_status) == (False, "not_applicable")
    with pytest.raises(stripe.InvalidRequestError, match="only be filtered on automatic"):
        client.v1.balance_transactions.list({"payout": manual.id})
    assert client.v1.payouts.cancel(manual.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payouts.cancel(manual.id)


def test_money_is_settled_in_another_currency_at_its_rate(clock: Any) -> None:
    account = replace(AccountSettings(), settlement_currency="hkd", exchange_rates={"cny": Decimal("1.0825")})
    core = StripeCore(clock, Random(1), account)
    body = "amount=10001&currency=cny&confirm=true&payment_method=pm_card_visa"
    body += "&expand[]=latest_charge.balance_transaction"
    entry = core.handle("POST", "/v1/payment_intents", body, AUTH).body["latest_charge"][
        "balance_transaction"
    ]
    assert (entry["currency"], entry["amount"], entry["exchange_rate"]) == ("hkd", 10_826, 1.0825)
    assert entry["net"] == entry["amount"] - entry["fee"]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("pay"),
            st.sampled_from(["wechat_pay", "alipay", "card"]),
            st.integers(400, 500_000),
            st.sampled_from(sorted(NAMED)),
        ),
        st.tuples(st.just("refund"), st.integers(0, 30), st.integers(1, 500_000)),
        st.tuples(
            st.just("answer"), st.integers(0, 30), st.sampled_from([disputes.WINNING, disputes.LOSING])
        ),
        st.tuples(st.just("wait"), st.integers(1, 4 * DAY_S)),
        st.tuples(st.just("payout"), st.integers(1, 500_000)),
        st.tuples(st.just("bank refuses")),
    ),
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 1_000))
def test_no_fen_appears_or_disappears_whatever_happens(steps: list[tuple[Any, ...]], seed: int) -> None:
    """captured − refunded − disputed − fees = balance + payouts, after each step."""
    core = StripeCore(lambda: datetime(2026, 11, 2, 8, tzinfo=UTC), Random(seed))
    charges: list[str] = []
    for step in steps:
        _do(core, charges, step)
        report = core.act(money_report.captured)
        assert report["captured_fen"] - report["refunded_fen"] - report["disputed_fen"] - report[
            "fees_fen"
        ] == (report["available_fen"] + report["pending_fen"] + report["paid_out_fen"])
        assert report["captured_fen"] == sum(one["amount_fen"] for one in report["payments"])
        refunded = sum(one["refunded_fen"] for one in report["payments"])
        assert report["refunded_fen"] == refunded
        assert all(0 <= one["refunded_fen"] <= one["amount_fen"] for one in report["payments"])


def _do(core: StripeCore, charges: list[str], step: tuple[Any, ...]) -> None:
    if step[0] == "pay":
        _, kind, amount, word = step
        price = "line_items[0][price_data]"
        body = (
            f"mode=payment&success_url=https://e.example/&metadata[simulate]={word}&{price}[currency]=cny"
            f"&{price}[unit_amount]={amount}&{price}[product_data][name]=x&line_items[0][quantity]=1"
        )
        session = core.handle("POST", "/v1/checkout/sessions", body, AUTH)
        assert session.status == 200
        charge = core.act(people.pay_session, session.body["id"], kind).intent["latest_charge"]
        assert charge is not None
        charges.append(charge)
    elif step[0] == "refund" and charges:
        body = f"charge={charges[step[1] % len(charges)]}&amount={step[2]}"
        assert core.handle("POST", "/v1/refunds", body, AUTH).status in (200, 400)
    elif step[0] == "answer":
        found = core.handle("GET", "/v1/disputes", "limit=100", AUTH).body["data"]
        if found:
            path = f"/v1/disputes/{found[step[1] % len(found)]['id']}"
            body = f"evidence[uncategorized_text]={step[2]}"
            assert core.handle("POST", path, body, AUTH).status in (200, 400)
    elif step[0] == "wait":
        core.forward(step[1])
    elif step[0] == "payout":
        core.handle("POST", "/v1/payouts", f"amount={step[1]}&currency=cny", AUTH)
    elif step[0] == "bank refuses":
        made = core.act(payouts.pay_out_available)
        if made is not None:
            core.act(lambda world: world.note(made["id"], will_fail=True))
