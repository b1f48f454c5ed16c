"""How a PaymentIntent moves from a payment method to money, a wait, or a refusal."""

from __future__ import annotations

from typing import Any

from simulators.stripe import charges
from simulators.stripe.errors import DOCS, RefusedError
from simulators.stripe.outcomes import DECLINES, Outcome, outcome_of
from simulators.stripe.payment_methods import attach_to
from simulators.stripe.qr import png_url
from simulators.stripe.store import Doc
from simulators.stripe.world import World

AUTHORISATION_LIFE_S = 7 * 24 * 3600


class DeclinedError(RefusedError):
    """An answer that is an error and yet leaves its marks: the failed attempt is kept."""

    def __init__(self, intent: Doc) -> None:
        error = intent["last_payment_error"]
        super().__init__(
            error["message"],
            code=error["code"],
            status=402,
            kind=error["type"],
            payment_intent=intent,
            **{name: error[name] for name in ("charge", "decline_code", "payment_method") if name in error},
        )


def confirm(
    world: World,
    intent: Doc,
    method: Doc,
    return_url: str | None,
    *,
    off_session: bool,
    forced: Outcome | None = None,
) -> Doc:
    """Start paying with `method`. Wallets and authenticated cards wait for the customer.

    Raises:
        DeclinedError: the card was refused at once.
    """
    card = world.noted(method["id"]).get("card")
    outcome = forced or outcome_of(intent["metadata"], intent["amount"], card)
    intent = world.change(
        "payment_intent", intent["id"], payment_method=method["id"], last_payment_error=None
    )
    world.note(intent["id"], return_url=return_url)
    if method["type"] == "wechat_pay":
        return _await_customer(world, intent, _wechat_action(world, intent))
    if method["type"] == "alipay" or (outcome.authenticate and not off_session):
        return _await_customer(world, intent, _redirect_action(world, intent, method["type"], return_url))
    if outcome.authenticate:
        raise DeclinedError(_refused(world, intent, method, _card_error("authentication_required")))
    intent = settle(world, intent["id"], forced)
    if intent["last_payment_error"] is not None:
        raise DeclinedError(intent)
    return intent


def settle(world: World, intent_id: str, forced: Outcome | None = None) -> Doc:
    """The customer has agreed: what comes of it is decided here (`forced`, or see `outcomes`)."""
    intent = world.get("payment_intent", intent_id)
    method = world.get("payment_method", intent["payment_method"])
    card = world.noted(method["id"]).get("card")
    outcome = forced or outcome_of(intent["metadata"], intent["amount"], card)
    world.note(method["id"], outcome=outcome)
    if outcome.payment == "decline":
        wallet = method["type"] != "card"
        return _refused(world, intent, method, _wallet_error() if wallet else _card_error(outcome.decline))
    if outcome.payment != "succeed":
        return _processing(world, intent, method, outcome)
    manual = intent["capture_method"] == "manual"
    charge = charges.attempt(world, intent, method, "succeeded", captured=not manual)
    world.note(charge["id"], outcome=outcome)
    if manual:
        return _authorised(world, intent, charge)
    return _succeeded(world, intent, charge, charge["amount"])


def cancelled_by_customer(world: World, intent_id: str) -> Doc:
    """The customer turned back at the wallet or the bank: authentication failed."""
    intent = world.get("payment_intent", intent_id)
    error = {
        "code": "payment_intent_authentication_failure",
        "message": "The provided PaymentMethod has failed authentication. You can provide "
        "payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
        "type": "invalid_request_error",
    }
    return _back_to_start(world, intent, world.get("payment_method", intent["payment_method"]), error)


def captured(world: World, intent_id: str, amount: int) -> Doc:
    """Take an authorised payment, or a part of it."""
    intent = world.get("payment_intent", intent_id)
    return _succeeded(world, intent, charges.capture(world, intent["latest_charge"], amount), amount)


def cancel(world: World, intent_id: str, reason: str | None) -> Doc:
    """Give up a payment that did not succeed."""
    before = world.get("payment_intent", intent_id)
    if before["status"] == "requires_capture":
        charges.release(world, before["latest_charge"])
    intent = world.change(
        "payment_intent",
        intent_id,
        status="canceled",
        canceled_at=world.now,
        cancellation_reason=reason,
        next_action=None,
        amount_capturable=0,
    )
    world.emit("payment_intent.canceled", intent, before)
    return intent


def confirmed_late(world: World, intent_id: str) -> Doc:
    """A payment in processing came to its end."""
    intent = world.get("payment_intent", intent_id)
    charge_id = intent["latest_charge"]
    if charges.outcome_noted(world, charge_id).payment == "late":
        charge = charges.confirm(world, charge_id)
        return _succeeded(world, intent, charge, charge["amount"])
    error = {**_wallet_error(), "charge": charge_id}
    charges.fail(world, charge_id, error)
    return _back_to_start(world, intent, world.get("payment_method", intent["payment_method"]), error)


def _await_customer(world: World, before: Doc, action: Doc) -> Doc:
    intent = world.change("payment_intent", before["id"], status="requires_action", next_action=action)
    world.emit("payment_intent.requires_action", intent, before)
    return intent


def _succeeded(world: World, before: Doc, charge: Doc, amount: int) -> Doc:
    intent = world.change(
        "payment_intent",
        before["id"],
        status="succeeded",
        amount_received=amount,
        amount_capturable=0,
        latest_charge=charge["id"],
        next_action=None,
    )
    world.emit("payment_intent.succeeded", intent, before)
    method = world.get("payment_method", intent["payment_method"])
    keeps = intent["setup_future_usage"] is not None and intent["customer"] is not None
    if keeps and method["type"] == "card" and method["customer"] is None:
        attach_to(world, method, intent["customer"])
    if charges.outcome_noted(world, charge["id"]).dispute is not None and method["type"] == "card":
        world.later(0, "dispute", charge["id"])
    return intent


def _authorised(world: World, before: Doc, charge: Doc) -> Doc:
    intent = world.change(
        "payment_intent",
        before["id"],
        status="requires_capture",
        amount_capturable=charge["amount"],
        latest_charge=charge["id"],
        next_action=None,
    )
    world.emit("payment_intent.amount_capturable_updated", intent, before)
    world.later(AUTHORISATION_LIFE_S, "authorisation_expires", intent["id"])
    return intent


def _processing(world: World, before: Doc, method: Doc, outcome: Outcome) -> Doc:
    charge = charges.attempt(world, before, method, "pending", captured=True)
    world.note(charge["id"], outcome=outcome)
    intent = world.change(
        "payment_intent",
        before["id"],
        status="processing",
        latest_charge=charge["id"],
        next_action=None,
    )
    world.emit("payment_intent.processing", intent, before)
    if outcome.payment != "never":
        world.later(world.settings.payment_confirmed_after_s, "payment_confirmed", intent["id"])
    return intent


def _refused(world: World, intent: Doc, method: Doc, error: Doc) -> Doc:
    charge = charges.attempt(world, intent, method, "failed", captured=False, error=error)
    intent = world.change("payment_intent", intent["id"], latest_charge=charge["id"])
    return _back_to_start(world, intent, method, {**error, "charge": charge["id"]})


def _back_to_start(world: World, before: Doc, method: Doc, error: Doc) -> Doc:
    shown = {"doc_url": DOCS + error["code"].replace("_", "-"), **error, "payment_method": method}
    intent = world.change(
        "payment_intent",
        before["id"],
        status="requires_payment_method",
        payment_method=None,
        last_payment_error=shown,
        next_action=None,
    )
    world.emit("payment_intent.payment_failed", intent, before)
    return intent


def _card_error(decline: str) -> Doc:
    code, message = DECLINES[decline]
    error = {"code": code, "message": message, "type": "card_error"}
    return error | ({"decline_code": decline} if code in ("card_declined", "authentication_required") else {})


def _wallet_error() -> Doc:
    return {
        "code": "payment_intent_payment_attempt_failed",
        "message": "The payment failed.",
        "type": "card_error",
    }


def _wechat_action(world: World, intent: Doc) -> Doc:
    page = f"{world.settings.public_url}/c/wechat/{intent['id']}"
    return {
        "type": "wechat_pay_display_qr_code",
        "wechat_pay_display_qr_code": {
            "data": page,
            "hosted_instructions_url": page,
            "image_data_url": png_url(page),
            "image_url_png": f"{page}/qr.png",
            "image_url_svg": f"{page}/qr.svg",
        },
    }


def _redirect_action(world: World, intent: Doc, kind: str, return_url: str | None) -> Doc:
    page = f"{world.settings.public_url}/c/authorise/{intent['id']}"
    if kind == "alipay":
        facts: dict[str, Any] = {
            "native_data": None,
            "native_url": None,
            "return_url": return_url,
            "url": page,
        }
        return {"type": "alipay_handle_redirect", "alipay_handle_redirect": facts}
    return {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": page}}
