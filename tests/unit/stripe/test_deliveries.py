"""Events and their notices: signatures, retries, and everything that goes wrong on the way on demand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
import pytest
import stripe

from simulators.stripe import webhook_endpoints
from simulators.stripe.core import StripeCore
from simulators.stripe.deliveries import GIVE_UP_AFTER_S, RETRY_AFTER_S, DeliveryPlan, Notice
from simulators.stripe.mock import deliver

SECRET = "whsec_unit"
URL = "https://estate.example/webhooks/stripe"
AUTH = {"Authorization": "Bearer sk_test_unit"}


class Inbox:
    """A receiver that keeps what it got and answers what it is told to."""

    def __init__(self, status: int | None = 200) -> None:
        self.status = status
        self.got: list[tuple[bytes, Mapping[str, str]]] = []

    def __call__(self, _url: str, body: bytes, headers: Mapping[str, str]) -> int | None:
        self.got.append((body, headers))
        return self.status

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["type"] for body, _ in self.got]


def make(core: StripeCore, how_many: int = 1) -> None:
    """Something that makes one event each."""
    for _ in range(how_many):
        core.handle("POST", "/v1/customers", "name=x", AUTH)


@pytest.fixture
def endpoint(core: StripeCore) -> str:
    return core.add_endpoint(URL, SECRET)


@pytest.fixture
def live() -> StripeCore:
    """A core on the real clock, since Stripe's library checks a signature's age against it."""
    core = StripeCore(lambda: datetime.now(UTC), Random(3))
    core.add_endpoint(URL, SECRET)
    return core


def test_stripe_own_library_accepts_a_notice(live: StripeCore) -> None:
    make(live)
    (notice,) = live.due_notices()
    event = stripe.Webhook.construct_event(notice.body, notice.headers["Stripe-Signature"], SECRET)
    assert (event.type, event.api_version, event.pending_webhooks) == (
        "customer.created",
        "2026-10-28.endive",
        1,
    )
    assert event.request is not None
    assert event.request.id is not None
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(notice.body + b" ", notice.headers["Stripe-Signature"], SECRET)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(notice.body, notice.headers["Stripe-Signature"], "whsec_other")


def test_during_rotation_both_secrets_sign_and_then_only_the_new_one(live: StripeCore) -> None:
    endpoint = live.act(lambda world: next(world.store.oldest_first("webhook_endpoint"))["id"])
    new = live.act(webhook_endpoints.rotate, endpoint, 3_600)
    make(live)
    (notice,) = live.due_notices()
    header = notice.headers["Stripe-Signature"]
    assert header.count("v1=") == 2
    for secret in (SECRET, new):
        stripe.Webhook.construct_event(notice.body, header, secret)
    live.forward(3_601)
    make(live)
    (later,) = live.due_notices()
    header = later.headers["Stripe-Signature"]
    assert header.count("v1=") == 1
    stripe.Webhook.construct_event(later.body, header, new)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(later.body, header, SECRET)


def test_a_future_timestamp_passes_stripes_library_so_the_receiver_must_look(live: StripeCore) -> None:
    live.plan_deliveries(DeliveryPlan(timestamp_offset_s=3_600))
    make(live)
    (notice,) = live.due_notices()
    header = notice.headers["Stripe-Signature"]
    assert int(header.removeprefix("t=").partition(",")[0]) > time.time() + 3_500
    stripe.Webhook.construct_event(notice.body, header, SECRET)


def test_each_endpoint_gets_the_types_it_asked_for(core: StripeCore) -> None:
    core.add_endpoint("https://estate.example/a", SECRET, ("customer.created", "charge.*"))
    core.add_endpoint("https://estate.example/b", SECRET, ("payout.paid",))
    make(core)
    core.handle(
        "POST",
        "/v1/payment_intents",
        "amount=5000&currency=cny&confirm=true&payment_method=pm_card_visa",
        AUTH,
    )
    notices = core.due_notices()
    assert [notice.url for notice in notices] == ["https://estate.example/a"] * 2
    assert [notice.attempt.event_type for notice in notices] == ["customer.created", "charge.succeeded"]


def test_a_switched_off_or_deleted_endpoint_gets_nothing(core: StripeCore, endpoint: str) -> None:
    make(core)
    core.handle("POST", f"/v1/webhook_endpoints/{endpoint}", "disabled=true", AUTH)
    make(core)
    assert core.due_notices() == []
    core.handle("POST", f"/v1/webhook_endpoints/{endpoint}", "disabled=false", AUTH)
    make(core)
    core.handle("DELETE", f"/v1/webhook_endpoints/{endpoint}", "", AUTH)
    assert core.due_notices() == []
    assert core.notices_waiting() == 0


@pytest.mark.parametrize("status", [500, 404, 301, None])
@pytest.mark.usefixtures("endpoint")
def test_a_notice_is_tried_again_with_growing_waits_until_it_arrives(
    core: StripeCore, status: int | None
) -> None:
    inbox = Inbox(status)
    make(core)
    event = core.handle("GET", "/v1/events", "", AUTH).body["data"][0]["id"]
    for wait_s in RETRY_AFTER_S[:4]:
        assert deliver(core, inbox) == 1
        assert core.handle("GET", f"/v1/events/{event}", "", AUTH).body["pending_webhooks"] == 1
        core.forward(wait_s - 0.01)
        assert deliver(core, inbox) == 0
        core.forward(0.02)
    inbox.status = 200
    assert deliver(core, inbox) == 1
    core.forward(GIVE_UP_AFTER_S)
    assert deliver(core, inbox) == 0
    assert core.handle("GET", f"/v1/events/{event}", "", AUTH).body["pending_webhooks"] == 0
    assert [one.number for one in core.delivery_history()] == [1, 2, 3, 4, 5]
    assert len({json.loads(body)["id"] for body, _ in inbox.got}) == 1


@pytest.mark.usefixtures("endpoint")
def test_after_three_days_the_sender_gives_up_and_the_event_can_still_be_asked_for(core: StripeCore) -> None:
    inbox = Inbox(500)
    make(core)
    for _ in range(100):
        deliver(core, inbox)
        core.forward(3_600)
    assert core.next_notice_due() is None
    assert 8 < len(inbox.got) < 20
    assert [one["type"] for one in core.handle("GET", "/v1/events", "", AUTH).body["data"]] == [
        "customer.created"
    ]


@pytest.mark.usefixtures("endpoint")
def test_copies_carry_one_event_id(core: StripeCore) -> None:
    core.plan_deliveries(DeliveryPlan(copies=5))
    make(core)
    inbox = Inbox()
    assert deliver(core, inbox) == 5
    assert len({json.loads(body)["id"] for body, _ in inbox.got}) == 1
    core.plan_deliveries(DeliveryPlan(duplicate_permille=1000))
    make(core)
    core.forward(2)
    assert deliver(core, inbox) == 2


@pytest.mark.usefixtures("endpoint")
def test_notices_come_in_reverse_or_any_order(core: StripeCore) -> None:
    pay = "amount=5000&currency=cny&confirm=true&payment_method=pm_card_visa"
    made = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    for order in ("as_made", "reversed"):
        core.plan_deliveries(DeliveryPlan(gather_s=5, order=order))
        core.handle("POST", "/v1/payment_intents", pay, AUTH)
        inbox = Inbox()
        assert deliver(core, inbox) == 0
        core.forward(5)
        deliver(core, inbox)
        assert inbox.types == (made if order == "as_made" else made[::-1])
    core.plan_deliveries(DeliveryPlan(gather_s=5, order="shuffled"))
    make(core, 20)
    core.forward(5)
    times = [notice.attempt.notice for notice in core.due_notices()]
    assert times != sorted(times)


@pytest.mark.usefixtures("endpoint")
def test_a_lost_notice_never_comes_but_the_event_is_listed(core: StripeCore) -> None:
    core.plan_deliveries(DeliveryPlan(lose_permille=1000, types=("charge.succeeded",)))
    core.handle(
        "POST",
        "/v1/payment_intents",
        "amount=5000&currency=cny&confirm=true&payment_method=pm_card_visa",
        AUTH,
    )
    inbox = Inbox()
    deliver(core, inbox)
    core.forward(GIVE_UP_AFTER_S)
    deliver(core, inbox)
    assert inbox.types[:2] == ["payment_intent.created", "payment_intent.succeeded"]
    assert "charge.succeeded" not in inbox.types
    listed = core.handle("GET", "/v1/events", "type=charge.succeeded", AUTH).body["data"]
    assert len(listed) == 1
    core.resend(listed[0]["id"])
    deliver(core, inbox)
    assert inbox.types[-1] == "charge.succeeded"


@pytest.mark.usefixtures("endpoint")
def test_delay_lets_later_notices_overtake(core: StripeCore) -> None:
    core.plan_deliveries(DeliveryPlan(delay_s_max=60))
    make(core, 30)
    first = core.due_notices()
    assert len(first) < 30
    core.forward(60)
    rest = core.due_notices()
    assert len(first) + len(rest) == 30
    numbers = [notice.attempt.notice for notice in [*first, *rest]]
    assert numbers != sorted(numbers)


@pytest.mark.parametrize(
    "wrong",
    [{"order": "random"}, {"copies": -1}, {"lose_permille": 1001}, {"delay_s_max": -1}, {"gather_s": -0.5}],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"order|negative|permille"):
        DeliveryPlan(**wrong)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"surprise": 1}, DeliveryPlan)


def test_events_are_listed_newest_first_by_type_and_for_thirty_days(
    core: StripeCore, client: stripe.StripeClient, pay: Callable[..., Any]
) -> None:
    pay("card")
    every = [event.type for event in client.v1.events.list().data]
    assert every[0] == "checkout.session.completed"
    assert {event.type for event in client.v1.events.list({"type": "charge.*"}).data} == {"charge.succeeded"}
    chosen = client.v1.events.list({"types": ["charge.succeeded", "payment_intent.created"]}).data
    assert len(chosen) == 2
    event = chosen[0].id
    core.forward(30 * 24 * 3600)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.events.retrieve(event)


@pytest.mark.usefixtures("endpoint")
def test_what_was_not_delivered_can_be_listed(core: StripeCore) -> None:
    make(core)
    undelivered = core.handle("GET", "/v1/events", "delivery_success=false", AUTH).body["data"]
    assert len(undelivered) == 1
    deliver(core, Inbox())
    assert core.handle("GET", "/v1/events", "delivery_success=false", AUTH).body["data"] == []
    assert core.handle("GET", "/v1/events", "delivery_success=true", AUTH).body["data"]


def test_a_notice_shows_no_secret_when_printed(core: StripeCore, endpoint: str) -> None:
    make(core)
    (notice,) = core.due_notices()
    assert isinstance(notice, Notice)
    assert "v1=" not in repr(notice)
    assert endpoint
