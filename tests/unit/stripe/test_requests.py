"""What the API refuses, in the original's types, codes and params; lists, expansion, metadata, versions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.stripe import API_VERSION
from simulators.stripe.core import StripeCore

AUTH = {"Authorization": "Bearer sk_test_unit"}
PI = "/v1/payment_intents"
GOOD = "amount=5000&currency=cny"
LINE = "line_items[0][price_data]"
PRICE = (
    f"{LINE}[currency]=cny&{LINE}[unit_amount]=5000&{LINE}[product_data][name]=x&line_items[0][quantity]=1"
)
SESSION = f"mode=payment&success_url=https://e.example/ok&{PRICE}"


def error(core: StripeCore, method: str, path: str, params: str = "") -> tuple[int, dict[str, Any]]:
    answer = core.handle(method, path, params, AUTH)
    return answer.status, answer.body["error"]


@pytest.mark.parametrize(
    ("path", "params", "code", "param"),
    [
        (PI, "currency=cny", "parameter_missing", "amount"),
        (PI, "amount=&currency=cny", "parameter_invalid_empty", "amount"),
        (PI, "amount=12.5&currency=cny", "parameter_invalid_integer", "amount"),
        (PI, "amount=1e3&currency=cny", "parameter_invalid_integer", "amount"),
        (PI, "amount=-1&currency=cny", "parameter_invalid_integer", "amount"),
        (PI, "amount=0&currency=cny", "parameter_invalid_integer", "amount"),
        (PI, "amount[x]=1&currency=cny", "parameter_invalid_integer", "amount"),
        (PI, "amount=399&currency=cny", "amount_too_small", "amount"),
        (PI, "amount=100000000&currency=cny", "amount_too_large", "amount"),
        (PI, "amount=5000&currency=xyz", None, "currency"),
        (PI, f"{GOOD}&surprise=1", "parameter_unknown", "surprise"),
        (PI, f"{GOOD}&payment_method_data[type]=card&payment_method_data[x]=1", "parameter_unknown", None),
        (PI, f"{GOOD}&confirm=yes", None, "confirm"),
        (PI, f"{GOOD}&capture_method=never", None, "capture_method"),
        (PI, f"{GOOD}&metadata[{'k' * 41}]=v", None, f"metadata[{'k' * 41}]"),
        (PI, f"{GOOD}&metadata[k]={'v' * 501}", None, "metadata[k]"),
        (PI, f"{GOOD}&metadata=plain", None, "metadata"),
        (PI, f"{GOOD}&customer=cus_nobody", "resource_missing", "customer"),
        (PI, f"{GOOD}&payment_method=pm_nothing", "resource_missing", "payment_method"),
        (PI, f"{GOOD}&confirm=true", "payment_intent_unexpected_state", None),
        (
            PI,
            f"{GOOD}&payment_method_types[]=card",
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        ),
        (
            PI,
            f"{GOOD}&confirm=true&payment_method_data[type]=wechat_pay",
            "parameter_missing",
            "payment_method_options[wechat_pay][client]",
        ),
        (PI, f"{GOOD}&confirm=true&payment_method_data[type]=alipay", "parameter_missing", "return_url"),
        ("/v1/refunds", "amount=100", "parameter_missing", None),
        ("/v1/refunds", "charge=ch_nothing", "resource_missing", "charge"),
        ("/v1/refunds", "payment_intent=pi_nothing", "resource_missing", "payment_intent"),
        ("/v1/payouts", "amount=1&currency=cny", "balance_insufficient", None),
        ("/v1/payouts", "amount=1&currency=usd", None, "currency"),
        ("/v1/webhook_endpoints", "url=nowhere&enabled_events[]=*", "url_invalid", "url"),
        ("/v1/webhook_endpoints", "url=https://e.example", "parameter_missing", "enabled_events"),
        ("/v1/checkout/sessions", SESSION.replace("mode=payment&", ""), "parameter_missing", "mode"),
        ("/v1/checkout/sessions", SESSION.replace("payment&", "setup&"), None, "mode"),
        ("/v1/checkout/sessions", SESSION.replace("https:", "ftp:"), "url_invalid", "success_url"),
        ("/v1/checkout/sessions", f"{SESSION}&line_items[1][price]=price_x", "resource_missing", None),
        ("/v1/checkout/sessions", f"{SESSION}&expires_at=1793606400", None, "expires_at"),
        ("/v1/checkout/sessions", SESSION.replace("=5000", "=50.5"), "parameter_invalid_integer", None),
        ("/v1/checkout/sessions", SESSION.replace("=5000", "=0"), "amount_too_small", None),
        ("/v1/checkout/sessions", SESSION.replace("[quantity]=1", "[quantity]=0"), None, None),
        ("/v1/payment_methods", "type=card&card[number]=1&card[exp_month]=1&card[exp_year]=30", None, None),
    ],
)
def test_a_wrong_request_is_refused_as_the_original_does(
    core: StripeCore, path: str, params: str, code: str | None, param: str | None
) -> None:
    status, refused = error(core, "POST", path, params)
    assert status in (400, 402)
    assert refused["type"] in ("invalid_request_error", "card_error")
    assert refused["message"]
    if code is not None:
        assert refused["code"] == code
        assert refused["doc_url"].endswith(code.replace("_", "-"))
    if param is not None:
        assert refused["param"] == param
    for kind in ("payment_intents", "refunds", "payouts", "checkout/sessions", "webhook_endpoints"):
        assert core.handle("GET", f"/v1/{kind}", "", AUTH).body["data"] == []  # it left nothing behind


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/payment_intents/pi_x", "intent"),
        ("/v1/checkout/sessions/cs_x", "session"),
        ("/v1/charges/ch_x", "id"),
        ("/v1/customers/cus_x", "id"),
        ("/v1/refunds/re_x", "id"),
        ("/v1/events/evt_x", "id"),
        ("/v1/payouts/po_x", "payout"),
        ("/v1/disputes/du_x", "dispute"),
        ("/v1/balance_transactions/txn_x", "id"),
    ],
)
def test_an_id_in_the_path_that_names_nothing_is_404(core: StripeCore, path: str, param: str) -> None:
    status, refused = error(core, "GET", path)
    assert (status, refused["code"], refused["param"]) == (404, "resource_missing", param)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/unicorns"), ("PUT", PI), ("DELETE", f"{PI}/pi_x"), ("GET", "/v1/")]
)
def test_an_unknown_operation_is_404(core: StripeCore, method: str, path: str) -> None:
    status, refused = error(core, method, path)
    assert status == 404
    assert refused["message"].startswith(f"Unrecognized request URL ({method}: {path})")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({}, "You did not provide an API key"),
        ({"Authorization": "Bearer "}, "You did not provide an API key"),
        ({"Authorization": "Digest sk_test_unit"}, "You did not provide an API key"),
        ({"Authorization": "Basic not-base64"}, "You did not provide an API key"),
        ({"Authorization": "Bearer sk_live_thiskeyisnotours"}, "Invalid API Key provided: sk_live_"),
        ({"Authorization": "Bearer pk_test_unit"}, "publishable API key"),
    ],
)
def test_without_the_key_nobody_gets_in(core: StripeCore, header: dict[str, str], said: str) -> None:
    answer = core.handle("GET", "/v1/balance", "", header)
    assert answer.status == 401
    assert said in answer.body["error"]["message"]
    assert "thiskeyisnot" not in str(answer.body)


def test_only_the_configured_key_is_let_in(clock: Any) -> None:
    core = StripeCore(clock, Random(1), api_key="sk_test_ours")
    assert core.handle("GET", "/v1/balance", "", {"Authorization": "Bearer sk_test_ours"}).status == 200
    basic = {"authorization": "Basic c2tfdGVzdF9vdXJzOg=="}
    assert core.handle("GET", "/v1/balance", "", basic).status == 200
    assert core.handle("GET", "/v1/balance", "", {"Authorization": "Bearer sk_test_others"}).status == 401


def test_each_answer_names_its_request_and_its_version(core: StripeCore) -> None:
    one, two = (core.handle("GET", "/v1/balance", "", AUTH) for _ in range(2))
    assert one.headers["Request-Id"].startswith("req_")
    assert one.headers["Request-Id"] != two.headers["Request-Id"]
    assert one.headers["Stripe-Version"] == API_VERSION
    wrong = core.handle("GET", "/v1/balance", "", {**AUTH, "Stripe-Version": "2019-01-01"})
    assert wrong.status == 400
    assert "Invalid Stripe API version" in wrong.body["error"]["message"]


def test_stripe_own_client_raises_its_own_errors(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.payment_intents.retrieve("pi_nothing")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    assert missing.value.request_id is not None
    with pytest.raises(stripe.CardError) as declined:
        client.v1.payment_intents.create(
            {"amount": 5_000, "currency": "cny", "confirm": True, "payment_method": "pm_card_chargeDeclined"}
        )
    assert declined.value.code == "card_declined"
    assert declined.value.error is not None
    assert declined.value.error.decline_code == "generic_decline"
    assert declined.value.error.payment_intent is not None
    assert declined.value.error.payment_intent.status == "requires_payment_method"


def test_pages_follow_each_other_in_both_directions(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({"name": str(number)}).id for number in range(7)]
    newest_first = list(reversed(made))
    page = client.v1.customers.list({"limit": 3})
    assert [one.id for one in page.data] == newest_first[:3]
    assert page.has_more
    assert [one.id for one in page.auto_paging_iter()] == newest_first
    middle = client.v1.customers.list({"limit": 2, "starting_after": newest_first[2]})
    assert [one.id for one in middle.data] == newest_first[3:5]
    back = client.v1.customers.list({"limit": 2, "ending_before": newest_first[4]})
    assert [one.id for one in back.data] == newest_first[2:4]
    assert back.has_more
    assert [one.id for one in back.auto_paging_iter()] == list(reversed(newest_first[:4]))


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "starting_after=cus_x", "created[x]=1"])
def test_a_wrong_cursor_or_limit_is_refused(core: StripeCore, query: str) -> None:
    assert error(core, "GET", "/v1/customers", query)[0] == 400


def test_lists_are_filtered_by_when_things_were_made(core: StripeCore, client: stripe.StripeClient) -> None:
    old = client.v1.customers.create({"email": "old@example.com"})
    core.forward(100)
    new = client.v1.customers.create({"email": "new@example.com"})
    assert [one.id for one in client.v1.customers.list({"created": {"gt": old.created}}).data] == [new.id]
    assert [one.id for one in client.v1.customers.list({"created": old.created}).data] == [old.id]
    assert [one.id for one in client.v1.customers.list({"email": "old@example.com"}).data] == [old.id]


def test_metadata_is_merged_unset_and_cleared(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"metadata": {"a": "1", "b": "2"}})
    changed = client.v1.customers.update(customer.id, {"metadata": {"b": "", "c": "3"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"a": "1", "c": "3"}
    assert client.v1.customers.update(customer.id, {"metadata": ""}).metadata.to_dict() == {}  # type: ignore[union-attr]


def test_expansion_goes_four_levels_and_no_further(
    core: StripeCore, client: stripe.StripeClient, pay: Callable[..., Any]
) -> None:
    session = pay()
    assert session.payment_intent.latest_charge.balance_transaction.fee == 660
    full = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items", "payment_intent"]})
    assert full.line_items is not None
    assert full.line_items.data[0].amount_total == 30_000
    path = f"/v1/checkout/sessions/{session.id}"
    for wrong in ("surprise", "url", "payment_intent.latest_charge.balance_transaction.source.customer"):
        status, refused = error(core, "GET", path, f"expand[]={wrong}")
        assert (status, refused["type"]) == (400, "invalid_request_error")
    assert error(core, "GET", "/v1/checkout/sessions", "expand[]=payment_intent")[1]["message"] == (
        "This property cannot be expanded (payment_intent). You may want to try expanding "
        "'data.payment_intent' instead."
    )


def test_a_deleted_customer_says_only_that(core: StripeCore, client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"name": "去"})
    assert client.v1.customers.delete(customer.id).deleted
    assert client.v1.customers.retrieve(customer.id).to_dict() == {
        "id": customer.id,
        "object": "customer",
        "deleted": True,
    }
    assert client.v1.customers.list().data == []
    assert error(core, "POST", PI, f"{GOOD}&customer={customer.id}")[1]["code"] == "resource_missing"
    assert error(core, "POST", f"/v1/customers/{customer.id}", "name=x")[0] == 404


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    path=st.one_of(
        st.sampled_from(
            [PI, "/v1/refunds", "/v1/checkout/sessions", "/v1/events", "/v1/balance_transactions"]
        ),
        st.text(max_size=30).map(lambda text: "/v1/" + text),
    ),
    body=st.one_of(
        st.binary(max_size=80),
        st.lists(
            st.tuples(
                st.sampled_from(
                    ["amount", "metadata", "line_items[0][quantity]", "expand[]", "a[b][c]", "[]"]
                ),
                st.text(max_size=12),
            ),
            max_size=6,
        ).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)),
    ),
)
def test_rubbish_is_answered_with_an_error_of_the_originals_form(method: str, path: str, body: Any) -> None:
    core = StripeCore(lambda: datetime(2026, 11, 2, tzinfo=UTC), Random(1))
    answer = core.handle(method, path, body, AUTH)
    assert answer.status in (200, 400, 404)
    if answer.status != 200:
        assert answer.body["error"]["type"] == "invalid_request_error"
