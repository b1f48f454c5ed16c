"""What the people at the other end do: pay, fail to pay, turn back. The pages and the control API use it."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.stripe import attempts, checkout_sessions, customers, payment_intents
from simulators.stripe.attempts import DeclinedError
from simulators.stripe.errors import RefusedError, unexpected_state
from simulators.stripe.outcomes import Outcome
from simulators.stripe.params import merged
from simulators.stripe.payment_methods import attach_to, make
from simulators.stripe.store import Doc
from simulators.stripe.world import World

CHECKOUT = checkout_sessions.KIND


@dataclass(frozen=True, slots=True)
class CardEntry:
    """What somebody typed into the card form."""

    number: str
    exp_month: int
    exp_year: int


@dataclass(frozen=True, slots=True)
class Paid:
    """Where a payment stands after the person did something; `error` is what the page shows them."""

    session: Doc | None
    intent: Doc
    error: str | None

    @property
    def needs_authorisation(self) -> bool:
        """The bank asks the person once more."""
        return bool(self.intent["status"] == "requires_action")


def pay_session(
    world: World,
    session_id: str,
    kind: str,
    *,
    card: CardEntry | None = None,
    forced: Outcome | None = None,
    email: str | None = None,
) -> Paid:
    """Somebody pays on the Checkout page with `kind`.

    Args:
        card: for kind "card"; a plain Visa if None.
        forced: an outcome that overrides the documented table.
    Raises:
        RefusedError: no such session, no longer open, or it does not take `kind`.
    """
    session = world.need(CHECKOUT, session_id, "session", 404)
    _check_open(session, kind)
    intent = _intent_of(world, session)
    entry = card or CardEntry("4242424242424242", 12, 2034)
    data: Doc = {"type": kind, "billing_details": {"email": email or session["customer_email"]}}
    if kind == "card":
        data["card"] = {"number": entry.number, "exp_month": entry.exp_month, "exp_year": entry.exp_year}
    method = make(world, data)
    try:
        intent = attempts.confirm(
            world, intent, method, session["success_url"], off_session=False, forced=forced
        )
        if kind != "card":  # they hold the phone in their hand: scanned and agreed in one step
            intent = attempts.settle(world, intent["id"], forced)
    except DeclinedError:
        intent = world.get("payment_intent", intent["id"])
    return _after(world, intent)


def authorise(world: World, intent_id: str, agree: bool, forced: Outcome | None = None) -> Paid:
    """Somebody answers a PaymentIntent that waits for them (QR, wallet page, bank's question).

    Raises:
        RefusedError: it does not exist or does not wait for anybody.
    """
    intent = world.need("payment_intent", intent_id, "intent", 404)
    if intent["status"] != "requires_action":
        raise unexpected_state(
            f"This PaymentIntent is not waiting for its customer: its status is {intent['status']}.", intent
        )
    if agree:
        intent = attempts.settle(world, intent_id, forced)
    else:
        intent = attempts.cancelled_by_customer(world, intent_id)
    return _after(world, intent)


def confirmed_late(world: World, intent_id: str) -> None:
    """A payment in processing came to its end; a finished Checkout Session learns of it."""
    intent = attempts.confirmed_late(world, intent_id)
    session_id = world.noted(intent_id).get("session")
    if session_id is None:
        return
    if intent["status"] == "succeeded":
        session = world.change(CHECKOUT, session_id, payment_status="paid")
        world.emit("checkout.session.async_payment_succeeded", session)
    else:
        world.emit("checkout.session.async_payment_failed", world.get(CHECKOUT, session_id))


def _check_open(session: Doc, kind: str) -> None:
    if session["status"] != "open":
        raise RefusedError(
            f"This Checkout Session is no longer open: its status is {session['status']}.", param="session"
        )
    if kind not in session["payment_method_types"]:
        raise RefusedError(f"This Checkout Session does not take {kind}.", param="payment_method_types")


def _intent_of(world: World, session: Doc) -> Doc:
    """The session's PaymentIntent; as in the original it is made when somebody first tries to pay."""
    if session["payment_intent"] is not None:
        return world.get("payment_intent", session["payment_intent"])
    noted = world.noted(session["id"])
    own = noted["intent_data"]
    simulate = {name: text for name, text in session["metadata"].items() if name == "simulate"}
    params = {
        **own,
        "amount": session["amount_total"],
        "currency": session["currency"],
        "allowed_payment_method_types": session["payment_method_types"],
        "payment_method_options": {"wechat_pay": {"client": "web"}, **noted["options"]},
        "metadata": merged(simulate, own.get("metadata")),
    }
    if session["customer"] is not None:
        params["customer"] = session["customer"]
    intent = payment_intents.new(world, params, linked=session["id"])
    world.change(CHECKOUT, session["id"], payment_intent=intent["id"])
    return intent


def _after(world: World, intent: Doc) -> Paid:
    error = intent["last_payment_error"]
    session_id = world.noted(intent["id"]).get("session")
    session = world.get(CHECKOUT, session_id) if session_id is not None else None
    if session is not None and intent["status"] in ("succeeded", "processing", "requires_capture"):
        session = _complete(world, session, intent)
    return Paid(session, world.get("payment_intent", intent["id"]), error["message"] if error else None)


def _complete(world: World, before: Doc, intent: Doc) -> Doc:
    method = world.get("payment_method", intent["payment_method"])
    details = method["billing_details"]
    customer = before["customer"]
    if customer is None and before["customer_creation"] == "always":
        customer = _new_customer(world, intent, details)
        if intent["setup_future_usage"] is not None and method["type"] == "card":
            attach_to(world, method, customer)
    session = world.change(
        CHECKOUT,
        before["id"],
        status="complete",
        payment_status="paid" if intent["status"] == "succeeded" else "unpaid",
        url=None,
        customer=customer,
        customer_details={
            "address": details["address"],
            "business_name": None,
            "email": details["email"],
            "individual_name": None,
            "name": details["name"],
            "phone": details["phone"],
            "tax_exempt": "none",
            "tax_ids": [],
        },
    )
    world.emit("checkout.session.completed", session)
    return session


def _new_customer(world: World, intent: Doc, details: Doc) -> str:
    facts = {name: details[name] for name in ("name", "email", "phone") if details[name]}
    customer_id: str = customers.create(world, facts)["id"]
    world.change("payment_intent", intent["id"], customer=customer_id)
    return customer_id
