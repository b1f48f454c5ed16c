"""PaymentIntents and Checkout Sessions: every way a payment can go."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import stripe

from simulators.stripe import people
from simulators.stripe.core import StripeCore
from simulators.stripe.errors import RefusedError
from simulators.stripe.outcomes import BY_AMOUNT, NAMED

AUTH = {"Authorization": "Bearer sk_test_unit"}
Params = Callable[..., Any]


def intent(client: stripe.StripeClient, **more: Any) -> stripe.PaymentIntent:
    return client.v1.payment_intents.create({"amount": 5_000, "currency": "cny", **more})  # type: ignore[typeddict-item]


def wechat(client: stripe.StripeClient, **more: Any) -> stripe.PaymentIntent:
    return intent(
        client,
        allowed_payment_method_types=["wechat_pay"],
        payment_method_data={"type": "wechat_pay"},
        payment_method_options={"wechat_pay": {"client": "web"}},
        confirm=True,
        **more,
    )


@pytest.mark.parametrize("kind", ["wechat_pay", "alipay", "card"])
def test_a_session_paid_at_once(
    client: stripe.StripeClient,
    core: StripeCore,
    params: Params,
    event_types: Callable[[], list[str]],
    kind: str,
) -> None:
    session = client.v1.checkout.sessions.create(params(client_reference_id="c1", metadata={"book": "b1"}))
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert session.url == f"https://checkout.stripe.com/c/pay/{session.id}"
    paid = core.act(people.pay_session, session.id, kind)
    assert paid.error is None
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    charge: Any = done.payment_intent.latest_charge  # type: ignore[union-attr]
    assert charge.payment_method_details.type == kind
    assert (charge.amount, charge.amount_captured, charge.paid) == (30_000, 30_000, True)
    types = event_types()
    assert types.count("checkout.session.completed") == 1
    assert types.count("payment_intent.succeeded") == 1
    assert types.count("charge.succeeded") == 1


def test_a_session_is_paid_once_however_often_somebody_clicks(
    client: stripe.StripeClient, core: StripeCore, params: Params
) -> None:
    session = client.v1.checkout.sessions.create(params())
    core.act(people.pay_session, session.id, "wechat_pay")
    with pytest.raises(RefusedError, match="no longer open"):
        core.act(people.pay_session, session.id, "alipay")
    assert len(client.v1.charges.list().data) == 1


def test_a_declined_session_stays_open_and_is_paid_on_the_second_try(
    client: stripe.StripeClient, core: StripeCore, params: Params
) -> None:
    session = client.v1.checkout.sessions.create(params())
    entry = people.CardEntry("4000000000009995", 1, 30)
    refused = core.act(people.pay_session, session.id, "card", card=entry)
    assert refused.error == "Your card has insufficient funds."
    still = client.v1.checkout.sessions.retrieve(session.id)
    assert (still.status, still.payment_status) == ("open", "unpaid")
    core.act(people.pay_session, session.id, "card")
    done = client.v1.checkout.sessions.retrieve(session.id)
    assert (done.status, done.payment_status) == ("complete", "paid")
    assert done.payment_intent == still.payment_intent
    assert [charge.status for charge in client.v1.charges.list().data] == ["succeeded", "failed"]


@pytest.mark.parametrize(
    ("word", "status", "last"),
    [
        ("late", "paid", "checkout.session.async_payment_succeeded"),
        ("late_failure", "unpaid", "checkout.session.async_payment_failed"),
        ("never", "unpaid", "payment_intent.processing"),
    ],
)
def test_a_payment_confirmed_later(
    client: stripe.StripeClient,
    core: StripeCore,
    params: Params,
    event_types: Callable[[], list[str]],
    word: str,
    status: str,
    last: str,
) -> None:
    session = client.v1.checkout.sessions.create(params(metadata={"simulate": word}))
    core.act(people.pay_session, session.id, "alipay")
    waiting = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (waiting.status, waiting.payment_status) == ("complete", "unpaid")
    assert waiting.payment_intent.status == "processing"  # type: ignore[union-attr]
    core.forward(10 * 24 * 3600)
    done = client.v1.checkout.sessions.retrieve(session.id)
    assert (done.status, done.payment_status) == ("complete", status)
    types = event_types()
    assert last in types
    assert types.index("checkout.session.completed") < len(types)
    assert ("charge.succeeded" in types) == (status == "paid")


@pytest.mark.parametrize(("amount", "word"), sorted(BY_AMOUNT.items()))
def test_the_amount_decides_where_nothing_else_does(
    client: stripe.StripeClient, core: StripeCore, params: Params, amount: int, word: str
) -> None:
    by_amount = client.v1.checkout.sessions.create(params(amount))
    by_word = client.v1.checkout.sessions.create(params(metadata={"simulate": word}))
    spared = client.v1.checkout.sessions.create(params(amount, metadata={"simulate": "succeed"}))
    first = core.act(people.pay_session, by_amount.id, "wechat_pay")
    second = core.act(people.pay_session, by_word.id, "wechat_pay")
    assert first.intent["status"] == second.intent["status"]
    assert core.act(people.pay_session, spared.id, "wechat_pay").intent["status"] == "succeeded"
    assert set(BY_AMOUNT.values()) == set(NAMED) - {"succeed"}


def test_an_unpaid_session_expires_and_can_no_longer_be_paid(
    client: stripe.StripeClient, core: StripeCore, params: Params, event_types: Callable[[], list[str]]
) -> None:
    session = client.v1.checkout.sessions.create(params(expires_at=int(core.now()) + 1_800))
    entry = people.CardEntry("4000000000000002", 1, 30)
    core.act(people.pay_session, session.id, "card", card=entry)
    core.forward(1_799)
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    core.forward(1)
    expired = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (expired.status, expired.url) == ("expired", None)
    assert expired.payment_intent.status == "canceled"  # type: ignore[union-attr]
    with pytest.raises(RefusedError):
        core.act(people.pay_session, session.id, "card")
    assert event_types().count("checkout.session.expired") == 1


def test_a_session_is_expired_by_request_only_while_open(
    client: stripe.StripeClient, core: StripeCore, params: Params
) -> None:
    session = client.v1.checkout.sessions.create(params())
    assert client.v1.checkout.sessions.expire(session.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match='status in \\["open"\\]'):
        client.v1.checkout.sessions.expire(session.id)


@pytest.mark.parametrize("span", [1_799, 86_401])
def test_a_session_lives_half_an_hour_to_a_day(
    client: stripe.StripeClient, core: StripeCore, params: Params, span: int
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.checkout.sessions.create(params(expires_at=int(core.now()) + span))
    assert refused.value.param == "expires_at"


def test_an_intent_of_checkout_is_not_the_callers_to_confirm_or_cancel(
    client: stripe.StripeClient, pay: Callable[..., Any], params: Params, core: StripeCore
) -> None:
    session = client.v1.checkout.sessions.create(params())
    entry = people.CardEntry("4000000000000002", 1, 30)
    core.act(people.pay_session, session.id, "card", card=entry)
    made = str(client.v1.checkout.sessions.retrieve(session.id).payment_intent)
    with pytest.raises(stripe.InvalidRequestError, match="created by Checkout"):
        client.v1.payment_intents.cancel(made)


def test_wechat_at_the_cashiers_desk(client: stripe.StripeClient, core: StripeCore) -> None:
    waiting = wechat(client, metadata={"desk": "1"})
    assert waiting.status == "requires_action"
    shown: Any = waiting.next_action.wechat_pay_display_qr_code  # type: ignore[union-attr]
    assert shown.image_data_url.startswith("data:image/png;base64,")
    assert shown.data.endswith(waiting.id)
    assert core.act(people.authorise, waiting.id, True).intent["status"] == "succeeded"
    with pytest.raises(RefusedError, match="not waiting"):
        core.act(people.authorise, waiting.id, True)
    done = client.v1.payment_intents.retrieve(waiting.id, {"expand": ["latest_charge.balance_transaction"]})
    charge: Any = done.latest_charge
    assert (done.amount_received, charge.id[:3], charge.balance_transaction.type) == (5_000, "py_", "payment")
    assert charge.balance_transaction.reporting_category == "charge"


def test_somebody_turns_back_at_the_wallet_and_tries_again(
    client: stripe.StripeClient, core: StripeCore
) -> None:
    waiting = wechat(client)
    refused = core.act(people.authorise, waiting.id, False)
    assert refused.intent["status"] == "requires_payment_method"
    assert refused.intent["last_payment_error"]["code"] == "payment_intent_authentication_failure"
    again = client.v1.payment_intents.confirm(waiting.id, {"payment_method_data": {"type": "wechat_pay"}})
    assert (again.status, again.last_payment_error) == ("requires_action", None)


def test_a_card_that_asks_its_holder(client: stripe.StripeClient, core: StripeCore) -> None:
    asked = intent(
        client,
        confirm=True,
        payment_method="pm_card_threeDSecure2Required",
        return_url="https://estate.example/back",
    )
    assert asked.status == "requires_action"
    assert asked.next_action.redirect_to_url.return_url == "https://estate.example/back"  # type: ignore[union-attr]
    assert core.act(people.authorise, asked.id, True).intent["status"] == "succeeded"
    with pytest.raises(stripe.CardError) as refused:
        intent(client, confirm=True, payment_method="pm_card_threeDSecure2Required", off_session=True)
    assert refused.value.code == "authentication_required"


def test_a_kept_card_is_charged_without_its_holder(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"name": "甲"})
    intent(
        client,
        customer=customer.id,
        confirm=True,
        payment_method="pm_card_visa",
        setup_future_usage="off_session",
    )
    kept = client.v1.customers.payment_methods.list(customer.id).data
    assert len(kept) == 1
    again = intent(client, customer=customer.id, confirm=True, payment_method=kept[0].id, off_session=True)
    assert again.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError):
        intent(client, confirm=True, payment_method=kept[0].id)
    client.v1.payment_methods.detach(kept[0].id)
    assert client.v1.customers.payment_methods.list(customer.id).data == []


def test_wallets_cannot_be_kept(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    method = client.v1.payment_methods.create({"type": "wechat_pay"})
    with pytest.raises(stripe.InvalidRequestError, match="cannot be attached"):
        client.v1.payment_methods.attach(method.id, {"customer": customer.id})
    with pytest.raises(stripe.InvalidRequestError):
        intent(client, allowed_payment_method_types=["wechat_pay"], setup_future_usage="off_session")


def test_authorise_now_capture_later(client: stripe.StripeClient, core: StripeCore) -> None:
    held = intent(client, confirm=True, payment_method="pm_card_visa", capture_method="manual")
    assert (held.status, held.amount_capturable) == ("requires_capture", 5_000)
    with pytest.raises(stripe.InvalidRequestError, match="greater than"):
        client.v1.payment_intents.capture(held.id, {"amount_to_capture": 5_001})
    part = client.v1.payment_intents.capture(held.id, {"amount_to_capture": 3_000})
    assert (part.status, part.amount_received) == ("succeeded", 3_000)
    other = intent(client, confirm=True, payment_method="pm_card_visa", capture_method="manual")
    core.forward(7 * 24 * 3600)
    assert client.v1.payment_intents.retrieve(other.id).cancellation_reason == "automatic"


def test_states_that_do_not_fit_are_refused(client: stripe.StripeClient) -> None:
    paid = intent(client, confirm=True, payment_method="pm_card_visa")
    deeds: list[Callable[[], object]] = [
        lambda: client.v1.payment_intents.confirm(paid.id),
        lambda: client.v1.payment_intents.cancel(paid.id),
        lambda: client.v1.payment_intents.capture(paid.id),
        lambda: client.v1.payment_intents.update(paid.id, {"amount": 6_000}),
    ]
    for deed in deeds:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            deed()
        assert refused.value.code == "payment_intent_unexpected_state"
    assert client.v1.payment_intents.update(paid.id, {"metadata": {"note": "1"}}).metadata.to_dict() == {
        "note": "1"
    }


def test_cancelling_needs_a_known_reason(client: stripe.StripeClient) -> None:
    waiting = intent(client)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.cancel(waiting.id, {"cancellation_reason": "because"})
    gone = client.v1.payment_intents.cancel(waiting.id, {"cancellation_reason": "abandoned"})
    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")


def test_methods_not_allowed_are_silently_left_out(client: stripe.StripeClient) -> None:
    allowed = intent(client, allowed_payment_method_types=["paypal", "alipay", "card"])
    assert allowed.payment_method_types == ["alipay", "card"]
    assert intent(client, excluded_payment_method_types=["card"]).payment_method_types == [
        "wechat_pay",
        "alipay",
    ]
    with pytest.raises(stripe.InvalidRequestError):
        intent(client, allowed_payment_method_types=["paypal"])
    with pytest.raises(stripe.InvalidRequestError, match="is not allowed for this PaymentIntent"):
        intent(client, allowed_payment_method_types=["alipay"], confirm=True, payment_method="pm_card_visa")


def test_equal_seeds_and_requests_give_equal_answers(clock: Callable[[], Any]) -> None:
    def run() -> list[Any]:
        core = StripeCore(clock, Random(42))
        made = core.handle("POST", "/v1/payment_intents", "amount=5000&currency=cny", AUTH)
        return [made, core.handle("GET", "/v1/events", "", AUTH)]

    assert run() == run()


def test_a_refused_request_leaves_nothing_half_done(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        intent(client, confirm=True, payment_method="pm_card_visa", customer="cus_nobody")
    with pytest.raises(stripe.InvalidRequestError):
        intent(client, confirm=True, payment_method="pm_card_visa", expand=["surprise"])
    assert client.v1.payment_intents.list().data == []
    assert client.v1.charges.list().data == []
    assert client.v1.balance_transactions.list().data == []
    assert client.v1.events.list().data == []
