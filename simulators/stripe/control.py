"""The control API under `/_control/`: what tests and drills do to the channel. JSON in, JSON out.

| request | body | does |
|---|---|---|
| `GET state` | | the moment, notices under way, the plan |
| `GET captured` | | all captured money (`money_report`) |
| `GET deliveries` | | every attempt to deliver a notice |
| `POST plan` | fields of `DeliveryPlan` | how notices fare from now on |
| `POST fault` | fields of `Fault` | a failure of the channel to come |
| `POST forward` | `seconds` | lets time pass |
| `POST pay` | `session`, `kind`, `outcome`, `card` | somebody pays on the Checkout page |
| `POST authorise` | `payment_intent`, `agree`, `outcome` | somebody answers a QR, wallet or bank page |
| `POST dispute` | `charge`, `reason`, `amount` | a card holder disputes |
| `POST payout` | `fails` | pays out what is available now |
| `POST rotate` | `endpoint`, `old_lives_s` | a new webhook secret; answers it |
| `POST resend` | `event` | sends an event's notices once more |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request

from simulators.stripe import disputes, money_report, payouts, people, webhook_endpoints
from simulators.stripe.core import StripeCore
from simulators.stripe.deliveries import DeliveryPlan
from simulators.stripe.errors import MalformedError, RefusedError
from simulators.stripe.faults import Fault
from simulators.stripe.outcomes import NAMED, Outcome
from simulators.stripe.store import Doc
from simulators.stripe.world import World


class Forward(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Let time pass."""

    seconds: float


class Pay(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Somebody pays; `outcome` is a word of the table in `outcomes`."""

    session: str
    kind: str = "wechat_pay"
    outcome: str | None = None
    card: str = "4242424242424242"


class Authorise(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Somebody answers what a PaymentIntent waits for."""

    payment_intent: str
    agree: bool = True
    outcome: str | None = None


class Dispute(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A card holder disputes a charge, or `amount` fen of it."""

    charge: str
    reason: str = "fraudulent"
    amount: int | None = None


class Payout(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Pay out now; `fails` makes the bank send it back."""

    fails: bool = False


class Rotate(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new secret for an endpoint; the old one signs too for `old_lives_s`."""

    endpoint: str
    old_lives_s: int = 86_400


class Resend(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Send an event again."""

    event: str


def create_control(core: StripeCore) -> Blueprint:
    """The control API of a core; loopback only, there is no key to it."""
    control = Blueprint("control", __name__, url_prefix="/_control")

    @control.get("/state")
    def state() -> Doc:
        due = core.next_notice_due()
        return {
            "now": datetime.fromtimestamp(core.now(), UTC).isoformat(),
            "notices_waiting": core.notices_waiting(),
            "next_notice_in_s": None if due is None else max(0.0, due - core.now()),
            "plan": msgspec.to_builtins(core.plan),
            "endpoints": core.act(lambda world: list(world.store.oldest_first(webhook_endpoints.KIND))),
        }

    @control.get("/captured")
    def captured() -> Doc:
        return core.act(money_report.captured)

    @control.get("/deliveries")
    def deliveries() -> Doc:
        return {"deliveries": [asdict(one) for one in core.delivery_history()]}

    def post(name: str, kind: type[Any], deed: Callable[[Any], object]) -> None:
        # Made before any thread uses it: msgspec 0.22 crashes where two are the first, both at once.
        decoder = msgspec.json.Decoder(kind)

        def view() -> Response | tuple[Response, int]:
            try:
                body = decoder.decode(request.get_data() or b"{}")
                return jsonify(deed(body))
            except (msgspec.DecodeError, ValueError) as error:
                return jsonify({"error": {"message": str(error)}}), 400
            except RefusedError as refused:
                return jsonify({"error": refused.error}), refused.status

        control.add_url_rule(f"/{name}", name, view, methods=["POST"])

    def forward(body: Forward) -> Doc:
        core.forward(body.seconds)
        return {"now": datetime.fromtimestamp(core.now(), UTC).isoformat()}

    def rotate(body: Rotate) -> Doc:
        return {"secret": core.act(webhook_endpoints.rotate, body.endpoint, body.old_lives_s)}

    def plan(body: DeliveryPlan) -> Doc:
        core.plan_deliveries(body)
        return {}

    def fault(body: Fault) -> Doc:
        core.plan_fault(body)
        return {}

    def resend(body: Resend) -> Doc:
        core.resend(body.event)
        return {}

    post("plan", DeliveryPlan, plan)
    post("fault", Fault, fault)
    post("forward", Forward, forward)
    post("pay", Pay, lambda body: core.act(_pay, body))
    post("authorise", Authorise, lambda body: core.act(_authorise, body))
    post("dispute", Dispute, lambda body: core.act(_dispute, body))
    post("payout", Payout, lambda body: core.act(_pay_out, body))
    post("rotate", Rotate, rotate)
    post("resend", Resend, resend)
    return control


def _outcome(word: str | None) -> Outcome | None:
    if word is None:
        return None
    if word not in NAMED:
        raise MalformedError(f"outcome: {word} is not one of {', '.join(NAMED)}", param="outcome")
    return NAMED[word]


def _pay(world: World, body: Pay) -> Doc:
    card = people.CardEntry(body.card, 12, 2034)
    paid = people.pay_session(world, body.session, body.kind, card=card, forced=_outcome(body.outcome))
    return asdict(paid)


def _authorise(world: World, body: Authorise) -> Doc:
    return asdict(people.authorise(world, body.payment_intent, body.agree, _outcome(body.outcome)))


def _dispute(world: World, body: Dispute) -> Doc:
    if body.reason not in (*disputes.REASONS, "inquiry"):
        raise MalformedError(f"reason: not one of {', '.join(disputes.REASONS)}, inquiry", param="reason")
    return disputes.open_on(world, body.charge, body.reason, body.amount)


def _pay_out(world: World, body: Payout) -> Doc:
    payout = payouts.pay_out_available(world)
    if payout is None:
        raise RefusedError("Nothing is available to be paid out now; let time pass first.")
    if body.fails:
        world.note(payout["id"], will_fail=True)
    return payout
