"""Idempotency keys: the first answer is kept and given again; none is kept after a failed validation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
import responses
import stripe

from simulators.stripe.core import StripeCore
from simulators.stripe.faults import Fault
from simulators.stripe.mock import register

AUTH = {"Authorization": "Bearer sk_test_unit"}
CUSTOMERS = "/v1/customers"


def post(core: StripeCore, key: str, params: str = "name=x", path: str = CUSTOMERS) -> Any:
    return core.handle("POST", path, params, {**AUTH, "Idempotency-Key": key})


def count(core: StripeCore) -> int:
    return len(core.handle("GET", CUSTOMERS, "limit=100", AUTH).body["data"])


def test_the_same_key_gives_the_stored_answer_and_does_nothing_again(core: StripeCore) -> None:
    first, second = post(core, "k1"), post(core, "k1")
    assert first.body == second.body
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Original-Request"] == first.headers["Request-Id"]
    assert second.headers["Request-Id"] != first.headers["Request-Id"]
    assert count(core) == 1


def test_the_same_key_with_other_parameters_is_an_idempotency_error(core: StripeCore) -> None:
    post(core, "k1")
    other = post(core, "k1", "name=y")
    assert (other.status, other.body["error"]["type"]) == (400, "idempotency_error")
    assert "can only be used with the same parameters" in other.body["error"]["message"]
    elsewhere = post(core, "k1", "amount=5000&currency=cny", "/v1/payment_intents")
    assert (elsewhere.status, elsewhere.body["error"]["type"]) == (400, "idempotency_error")
    assert "('/v1/customers' vs '/v1/payment_intents')" in elsewhere.body["error"]["message"]
    assert count(core) == 1


def test_the_clients_own_error_class_is_raised(client: stripe.StripeClient) -> None:
    client.v1.customers.create({"name": "x"}, {"idempotency_key": "k1"})
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"name": "y"}, {"idempotency_key": "k1"})


@pytest.mark.parametrize(("length", "status"), [(255, 200), (256, 400)])
def test_a_key_has_at_most_255_characters(core: StripeCore, length: int, status: int) -> None:
    assert post(core, "k" * length).status == status
    assert count(core) == (1 if status == 200 else 0)


def test_nothing_is_stored_when_validation_failed(core: StripeCore) -> None:
    assert post(core, "k1", "surprise=1").status == 400
    assert post(core, "k1", "name=x").status == 200
    low = "amount=1&currency=cny"
    assert post(core, "k2", low, "/v1/payment_intents").body["error"]["code"] == "amount_too_small"
    assert post(core, "k2", "amount=5000&currency=cny", "/v1/payment_intents").status == 200


def test_a_refusal_of_the_thing_itself_is_stored_and_replayed(core: StripeCore) -> None:
    confirm = "amount=5000&currency=cny&confirm=true&payment_method=pm_card_chargeDeclined"
    first = post(core, "k1", confirm, "/v1/payment_intents")
    again = post(core, "k1", confirm, "/v1/payment_intents")
    assert (first.status, again.status) == (402, 402)
    assert first.body == again.body
    assert len(core.handle("GET", "/v1/charges", "", AUTH).body["data"]) == 1


def test_a_stored_500_is_replayed(core: StripeCore) -> None:
    for kind, made in (("error_before", 0), ("error_after", 1)):
        core.plan_fault(Fault(kind))
        first, again = post(core, kind), post(core, kind)
        assert (first.status, again.status) == (500, 500)
        assert again.body["error"]["type"] == "api_error"
        assert again.headers["Idempotent-Replayed"] == "true"
        assert count(core) == made
    assert post(core, "another key").status == 200


@pytest.mark.parametrize("kind", ["lock_timeout", "rate_limit"])
def test_a_429_is_not_stored(core: StripeCore, kind: str) -> None:
    core.plan_fault(Fault(kind))
    refused = post(core, "k1")
    assert (refused.status, refused.body["error"]["code"]) == (429, kind)
    assert post(core, "k1").status == 200
    assert count(core) == 1


def test_a_lost_answer_is_found_again_under_its_key(client: stripe.StripeClient, core: StripeCore) -> None:
    core.plan_fault(Fault("answer_lost", path=CUSTOMERS))
    with pytest.raises(stripe.APIConnectionError):
        client.v1.customers.create({"name": "x"}, {"idempotency_key": "k1"})
    found = client.v1.customers.create({"name": "x"}, {"idempotency_key": "k1"})
    assert [one.id for one in client.v1.customers.list().data] == [found.id]


def test_a_lost_request_did_nothing(client: stripe.StripeClient, core: StripeCore) -> None:
    core.plan_fault(Fault("request_lost", path=CUSTOMERS))
    with pytest.raises(stripe.APIConnectionError):
        client.v1.customers.create({"name": "x"}, {"idempotency_key": "k1"})
    assert count(core) == 0


def test_the_clients_retries_use_one_key_and_make_one_thing(
    core: StripeCore, mocked: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.0)  # between tries; nothing to wait for here
    register(core, mocked)
    retrying = stripe.StripeClient("sk_test_unit", max_network_retries=2)
    core.plan_fault(Fault("answer_lost", path=CUSTOMERS))
    made = retrying.v1.customers.create({"name": "x"})
    assert [one.id for one in retrying.v1.customers.list().data] == [made.id]


def test_a_key_is_forgotten_after_its_day(core: StripeCore) -> None:
    post(core, "k1")
    core.forward(24 * 3600 - 1)
    post(core, "k1")
    assert count(core) == 1
    core.forward(2)
    assert post(core, "k1", "name=quite another").status == 200
    assert count(core) == 2


def test_get_and_delete_take_no_notice_of_keys(core: StripeCore) -> None:
    customer = post(core, "k1").body["id"]
    keyed = {**AUTH, "Idempotency-Key": "k2"}
    assert core.handle("GET", CUSTOMERS, "", keyed).status == 200
    assert core.handle("GET", CUSTOMERS, "limit=5", keyed).status == 200
    assert core.handle("DELETE", f"{CUSTOMERS}/{customer}", "", keyed).status == 200


class Held:
    """Holds requests in the middle of their work until told."""

    def __init__(self) -> None:
        self.inside, self.go_on = threading.Event(), threading.Event()

    def __call__(self, _path: str) -> None:
        self.inside.set()
        assert self.go_on.wait(20)


def test_a_key_in_use_is_409_and_the_first_request_goes_its_way(clock: Callable[[], Any]) -> None:
    held = Held()
    core = StripeCore(clock, Random(1), pause=held)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, core, "k1")
        assert held.inside.wait(20)
        meanwhile = post(core, "k1")
        different = post(core, "k1", "name=y")
        held.go_on.set()
        done = first.result(20)
    assert (meanwhile.status, meanwhile.body["error"]["code"]) == (409, "idempotency_key_in_use")
    assert different.body["error"]["type"] == "idempotency_error"
    assert done.status == 200
    assert post(core, "k1").body == done.body
    assert count(core) == 1


def test_many_threads_with_one_key_make_one_thing(core: StripeCore) -> None:
    start = threading.Barrier(8)

    def together(_: int) -> Any:
        start.wait(20)
        return post(core, "k1")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(together, range(8)))
    assert {answer.status for answer in answers} <= {200, 409}
    assert len({answer.body["id"] for answer in answers if answer.status == 200}) == 1
    assert count(core) == 1
