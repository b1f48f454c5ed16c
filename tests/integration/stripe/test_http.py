"""The stand-in over HTTP: Stripe's own client, the notices, the control API, and rubbish."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import stripe

from estate.processes import StartFailedError, wait_until
from simulators.stripe.http import StripeServer, listen

Control = Callable[..., Any]
Params = Callable[..., Any]


def test_a_payment_from_checkout_to_payout(
    client: stripe.StripeClient, control: Control, params: Params, receiver: Any
) -> None:
    session = client.v1.checkout.sessions.create(params(client_reference_id="c-1"))
    control("pay", session=session.id, kind="wechat_pay")
    receiver.wait_for("checkout.session.completed")
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (done.payment_status, done.client_reference_id) == ("paid", "c-1")
    intent: Any = done.payment_intent
    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 100})
    assert refund.status == "pending"
    control("forward", seconds=60)
    receiver.wait_for("refund.updated")
    control("forward", seconds=5 * 24 * 3600)
    receiver.wait_for("payout.reconciliation_completed")
    payout = client.v1.payouts.list().data[-1]
    parts = client.v1.balance_transactions.list({"payout": payout.id, "expand": ["data.source"]}).data
    assert sum(part.net for part in parts) == 0
    report = control("captured")
    assert (report["captured_fen"], report["refunded_fen"]) == (30_000, 100)
    assert report["payments"][0]["client_reference_id"] == "c-1"


def test_a_receiver_that_was_down_is_told_later(
    client: stripe.StripeClient, receiver: Any, control: Control
) -> None:
    receiver.status = 503
    client.v1.customers.create({"name": "x"})
    receiver.wait_for("customer.created", times=2)
    receiver.status = 200
    wait_until(lambda: control("state")["notices_waiting"] == 0, 20, "notices are still waiting")
    statuses = [one["status"] for one in control("deliveries")["deliveries"]]
    assert statuses[:2] == [503, 503]
    assert statuses[-1] == 200


def test_copies_arrive_side_by_side(client: stripe.StripeClient, receiver: Any, control: Control) -> None:
    receiver.together = threading.Barrier(16)  # none is received before sixteen are there
    control("plan", copies=160)
    client.v1.customers.create({"name": "x"})
    receiver.wait_for("customer.created", times=160)
    assert len({event.id for event in receiver.events}) == 1


def test_reversed_notices_arrive_one_after_the_other(
    client: stripe.StripeClient, receiver: Any, control: Control
) -> None:
    control("plan", order="reversed", gather_s=0.3)
    for _ in range(5):
        client.v1.customers.create({"name": "x"})
    receiver.wait_for("customer.created", times=5)
    newest_first = [event.id for event in client.v1.events.list().data]
    assert [event.id for event in receiver.events] == newest_first


def test_an_answer_that_is_lost_on_the_line(client: stripe.StripeClient, control: Control) -> None:
    control("fault", kind="answer_lost", path="/v1/customers")
    with pytest.raises(stripe.APIConnectionError):
        client.v1.customers.create({"name": "x"}, {"idempotency_key": "k"})
    found = client.v1.customers.create({"name": "x"}, {"idempotency_key": "k"})
    assert [one.id for one in client.v1.customers.list().data] == [found.id]


def test_many_people_pay_at_once_and_the_sums_agree(
    client: stripe.StripeClient, control: Control, params: Params, receiver: Any
) -> None:
    def one(number: int) -> int:
        amount = 10_000 + number
        session = client.v1.checkout.sessions.create(params(amount))
        control("pay", session=session.id, kind=("wechat_pay", "alipay", "card")[number % 3])
        return amount

    with ThreadPoolExecutor(8) as pool:
        total = sum(pool.map(one, range(40)))
    assert control("captured")["captured_fen"] == total
    receiver.wait_for("checkout.session.completed", times=40)


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("plan", '{"copys": 2}', "copys"),
        ("plan", '{"order": "random"}', "order"),
        ("plan", "not json", "JSON"),
        ("fault", '{"kind": "earthquake"}', "earthquake"),
        ("forward", '{"seconds": -1}', "forward"),
        ("forward", '{"seconds": "soon"}', "float"),
        ("pay", '{"session": "cs_nothing"}', "No such checkout.session"),
        ("pay", "{}", "session"),
        ("dispute", '{"charge": "ch_x", "reason": "boredom"}', "reason"),
        ("dispute", '{"charge": "ch_x"}', "No such charge"),
        ("payout", "{}", "Nothing is available"),
        ("resend", '{"event": "evt_x"}', "No such event"),
        ("rotate", '{"endpoint": "we_x"}', "No such webhook endpoint"),
        ("authorise", '{"payment_intent": "pi_x"}', "No such payment_intent"),
    ],
)
def test_the_control_api_says_what_is_wrong(server: StripeServer, name: str, body: str, said: str) -> None:
    answer = requests.post(f"{server.url}/_control/{name}", data=body, timeout=20)
    assert answer.status_code in (400, 404)
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/v1/customers", 404),
        ("PATCH", "/v1/customers", 404),
        ("GET", "/v1/%00%ff", 404),
        ("GET", "/v1/customers/..%2f..%2fetc", 404),
        ("GET", "/nothing", 404),
        ("GET", "/_control/nothing", 404),
        ("GET", "/c/pay/cs_nothing", 404),
        ("POST", "/c/pay/cs_nothing", 404),
        ("POST", "/c/authorise/pi_nothing", 404),
        ("GET", "/c/wechat/pi_nothing/qr.png", 404),
    ],
)
def test_rubbish_is_an_error_and_never_a_500(
    server: StripeServer, method: str, path: str, status: int
) -> None:
    answer = requests.request(
        method, server.url + path, headers={"Authorization": "Bearer sk_test_x"}, timeout=20
    )
    assert answer.status_code == status
    if path.startswith("/v1"):
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_an_oversized_or_unreadable_body_is_refused(server: StripeServer) -> None:
    headers = {"Authorization": "Bearer sk_test_x"}
    big = requests.post(
        f"{server.url}/v1/customers", data=b"name=" + b"x" * 2_000_000, headers=headers, timeout=20
    )
    assert big.status_code == 413
    assert "error" in big.json()
    broken = requests.post(f"{server.url}/v1/customers", data=b"name=\xff\xfe", headers=headers, timeout=20)
    assert broken.status_code == 400
    with socket.create_connection(("127.0.0.1", server.port), 20) as line:
        line.sendall(b"this is not HTTP\r\n\r\n")
        assert b"400" in line.recv(4096)
    assert requests.get(f"{server.url}/v1/balance", headers=headers, timeout=20).status_code == 200


def test_a_taken_port_is_one_sentence(server: StripeServer) -> None:
    with pytest.raises(StartFailedError, match=f"{server.port}.*is in use"):
        listen("127.0.0.1", server.port)
