"""Every resource the stand-in serves agrees with the annotations of Stripe's own library."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import stripe
import stripe.params as originals
from stripe.params import checkout

from simulators.stripe import disputes, payouts, people, routes, webhook_endpoints
from simulators.stripe.core import StripeCore
from simulators.stripe.outcomes import CARDS, NAMED

Differences = Callable[[Any, Any], list[str]]
ANNOTATED = {
    "balance": stripe.Balance,
    "balance_transaction": stripe.BalanceTransaction,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "item": stripe.LineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "payout": stripe.Payout,
    "refund": stripe.Refund,
    "webhook_endpoint": stripe.WebhookEndpoint,
}
AUTH = {"Authorization": "Bearer sk_test_unit"}
EXPANSIONS = {
    "checkout.session": "data.line_items data.customer data.payment_intent.latest_charge.balance_transaction",
    "payment_intent": "data.latest_charge.refunds data.payment_method data.customer",
    "charge": "data.refunds data.payment_intent data.balance_transaction data.customer",
    "refund": "data.charge data.balance_transaction data.failure_balance_transaction data.payment_method",
    "dispute": "data.charge data.payment_intent",
    "balance_transaction": "data.source",
    "payout": "data.balance_transaction data.failure_balance_transaction",
    "payment_method": "data.customer",
}


def live_a_month(core: StripeCore, client: stripe.StripeClient, params: Callable[..., Any]) -> None:
    """Everything that can happen happens."""
    customer = client.v1.customers.create(
        {
            "name": "测试住户",
            "email": "resident@example.com",
            "address": {"city": "江门", "line1": "甲"},
            "payment_method": "pm_card_visa",
            "metadata": {"household": "h1"},
        }
    )
    client.v1.webhook_endpoints.create({"url": "https://estate.example/hook", "enabled_events": ["*"]})
    for kind in ("wechat_pay", "alipay", "card"):
        for word in NAMED:
            made = client.v1.checkout.sessions.create(
                params(metadata={"simulate": word}, customer_creation="always")
            )
            core.act(people.pay_session, made.id, kind)
    client.v1.checkout.sessions.create(params(customer=customer.id, client_reference_id="checkout-1"))
    for number, card in enumerate(CARDS):
        made = client.v1.checkout.sessions.create(params(40_000 + number))
        core.act(people.pay_session, made.id, "card", card=people.CardEntry(card.number, 1, 2030))
    for options in (
        {"allowed_payment_method_types": ["wechat_pay"], "payment_method_data": {"type": "wechat_pay"}},
        {"allowed_payment_method_types": ["alipay"], "payment_method_data": {"type": "alipay"}},
        {"allowed_payment_method_types": ["card"], "payment_method": "pm_card_threeDSecure2Required"},
        {
            "allowed_payment_method_types": ["card"],
            "payment_method": "pm_card_visa",
            "capture_method": "manual",
        },
    ):
        client.v1.payment_intents.create(
            {
                "amount": 5_000,
                "currency": "cny",
                "confirm": True,
                "return_url": "https://estate.example/back",
                "payment_method_options": {"wechat_pay": {"client": "web"}},
                **options,  # type: ignore[typeddict-item]
            }
        )
    core.forward(7_200)
    for charge in client.v1.charges.list({"limit": 100}).auto_paging_iter():
        if charge.paid and charge.captured and not charge.disputed:
            client.v1.refunds.create({"charge": charge.id, "amount": 100, "reason": "requested_by_customer"})
    for place, dispute in enumerate(client.v1.disputes.list().auto_paging_iter()):
        text = (disputes.WINNING, disputes.LOSING)[place % 2]
        client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": text}})
    core.forward(2 * 24 * 3600)  # the money is available, the next midnight is 14 hours away
    client.v1.payouts.create({"amount": 1_000, "currency": "cny", "metadata": {"why": "test"}})
    core.forward(15 * 3600)
    core.act(lambda world: world.note(_last_payout(world)["id"], will_fail=True))
    core.forward(10 * 24 * 3600)


def _last_payout(world: Any) -> dict[str, Any]:
    newest: dict[str, Any] = next(world.store.newest_first("payout"))
    return newest


@pytest.fixture
def lived(core: StripeCore, client: stripe.StripeClient, params: Callable[..., Any]) -> StripeCore:
    live_a_month(core, client, params)
    return core


def _everything(core: StripeCore, path: str, expand: str) -> list[dict[str, Any]]:
    query = "limit=100" + "".join(f"&expand[]={one}" for one in expand.split())
    found: list[dict[str, Any]] = []
    more = ""
    while True:
        answer = core.handle("GET", path, query + more, AUTH)
        assert answer.status == 200, answer.body
        found += answer.body["data"]
        if not answer.body["has_more"]:
            return found
        more = f"&starting_after={found[-1]['id']}"


def test_every_answer_agrees_with_the_annotations(lived: StripeCore, differences: Differences) -> None:
    seen: dict[str, int] = {}
    for operation in routes.OPERATIONS:
        if operation.method != "GET" or ":id" in operation.path or operation.kind == "balance":
            continue
        for expand in {"", EXPANSIONS.get(operation.kind, "")}:
            docs = _everything(lived, operation.path, expand)
            seen[operation.kind] = len(docs)
            for doc in docs:
                assert differences(json.loads(json.dumps(doc)), ANNOTATED[operation.kind]) == []
    assert all(seen[kind] > 0 for kind in set(ANNOTATED) - {"balance", "item"}), seen


def test_every_event_carries_an_object_that_agrees(lived: StripeCore, differences: Differences) -> None:
    events = _everything(lived, "/v1/events", "")
    for event in events:
        inner = event["data"]["object"]
        assert differences(inner, ANNOTATED[inner["object"]]) == [], event["type"]
    assert {
        "charge.captured",
        "charge.dispute.closed",
        "charge.dispute.created",
        "charge.dispute.funds_reinstated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.failed",
        "charge.pending",
        "charge.refund.updated",
        "charge.refunded",
        "charge.succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.completed",
        "checkout.session.expired",
        "customer.created",
        "payment_intent.amount_capturable_updated",
        "payment_intent.canceled",
        "payment_intent.created",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
        "payment_method.attached",
        "payout.created",
        "payout.failed",
        "payout.paid",
        "payout.reconciliation_completed",
        "payout.updated",
        "refund.created",
        "refund.failed",
        "refund.updated",
    } - {event["type"] for event in events} == {"charge.captured"}


def test_balance_and_line_items_agree(lived: StripeCore, differences: Differences) -> None:
    assert differences(lived.handle("GET", "/v1/balance", "", AUTH).body, stripe.Balance) == []
    session = lived.handle("GET", "/v1/checkout/sessions", "limit=1", AUTH).body["data"][0]
    items = lived.handle("GET", f"/v1/checkout/sessions/{session['id']}/line_items", "", AUTH).body
    assert differences(items, stripe.ListObject[stripe.LineItem]) == []
    assert len(items["data"]) == 1


def test_a_new_endpoint_shows_its_secret_and_agrees(core: StripeCore, differences: Differences) -> None:
    body = "url=https://estate.example/hook&enabled_events[]=*"
    made = core.handle("POST", "/v1/webhook_endpoints", body, AUTH).body
    assert made["secret"].startswith("whsec_")
    assert differences(made, stripe.WebhookEndpoint) == []
    shown = core.handle("GET", f"/v1/webhook_endpoints/{made['id']}", "", AUTH).body
    assert "secret" not in shown
    assert core.act(webhook_endpoints.secrets_of, made["id"]) == [made["secret"]]


def test_the_check_itself_sees_what_is_wrong(differences: Differences, pay: Callable[..., Any]) -> None:
    right = pay().payment_intent.latest_charge.balance_transaction.to_dict()
    assert differences(right, stripe.BalanceTransaction) == []
    without = {name: value for name, value in right.items() if name != "net"}
    assert differences(without, stripe.BalanceTransaction) == [".net is missing"]
    assert "unknown" in differences(right | {"surprise": 1}, stripe.BalanceTransaction)[0]
    assert "not one of" in differences(right | {"type": "gift"}, stripe.BalanceTransaction)[0]
    assert "is no int" in differences(right | {"amount": 1.5}, stripe.BalanceTransaction)[0]
    nested = right | {"fee_details": [{"amount": "1"}]}
    assert len(differences(nested, stripe.BalanceTransaction)) >= 3


def test_payouts_list_what_they_consist_of(lived: StripeCore) -> None:
    automatic = [one for one in _everything(lived, "/v1/payouts", "") if one["automatic"]]
    assert automatic
    for payout in automatic:
        parts = lived.handle(
            "GET", "/v1/balance_transactions", f"limit=100&payout={payout['id']}", AUTH
        ).body["data"]
        own = [part for part in parts if part["id"] == payout["balance_transaction"]]
        assert [part["net"] for part in own] == [-payout["amount"]]
        assert sum(part["net"] for part in parts) == 0
    assert lived.act(payouts.pay_out_available) is None


def test_every_parameter_is_one_of_the_originals() -> None:
    rooms = {
        "customers": "Customer",
        "payment_methods": "PaymentMethod",
        "payment_intents": "PaymentIntent",
        "charges": "Charge",
        "refunds": "Refund",
        "disputes": "Dispute",
        "payouts": "Payout",
        "webhook_endpoints": "WebhookEndpoint",
        "checkout/sessions": "Session",
        "events": "Event",
        "balance_transactions": "BalanceTransaction",
    }
    checked = 0
    for operation in routes.OPERATIONS:
        resource = operation.path.removeprefix("/v1/").split("/:id")[0]
        verb = operation.path.rpartition(":id/")[2] if ":id/" in operation.path else ""
        if resource not in rooms or verb in ("line_items", "payment_methods"):
            continue
        plain = {"GET": "Retrieve" if ":id" in operation.path else "List", "DELETE": "Delete"}
        word = (
            verb.title() or plain.get(operation.method) or ("Update" if ":id" in operation.path else "Create")
        )
        module = checkout if resource.startswith("checkout") else originals
        known = getattr(module, f"{rooms[resource]}{word}Params").__annotations__
        refused_by_name = {"payment_method_types"}  # so that the caller learns what took its place
        assert set(operation.spec.fields) - {"expand"} - refused_by_name <= set(known), operation
        checked += 1
    assert checked > 35
