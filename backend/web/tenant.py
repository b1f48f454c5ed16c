"""Tenants: what is owed and why, paying it, and what became of a payment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from backend.api.errors import status_of
from backend.errors import ExplainedError
from backend.identity.principal import Principal
from backend.identity.web import required_principal, requires
from backend.payments.errors import (
    AmountOutOfRangeError,
    CheckoutClosedError,
    CheckoutUnknownError,
    MethodNotTakenError,
    OnlineClosedError,
    PaymentsNotSetUpError,
)
from backend.payments.port import ProviderRefusedError, ProviderUnavailableError
from backend.payments.providers import current_providers
from backend.payments.service import Method, checkout_state, start_checkout
from backend.services import services
from backend.web import words
from backend.web.account import Account, account_of
from backend.web.amounts import AmountError
from backend.web.payment_view import PaymentPage, attempt_id, payment_page
from backend.web.receipts import by_number, read_receipt
from backend.web.rent_view import (
    METHOD_BY_KEY,
    METHODS,
    BillChangedError,
    MethodMissingError,
    Wish,
    charges_of,
    choices_of,
    chosen_method,
    read_wish,
    still_offered,
    wish_for,
)
from backend.web.rent_view import Method as WayToPay

# What the payer can put right, or has to be told in front of the form.
REFUSALS = (
    AmountOutOfRangeError,
    MethodMissingError,
    MethodNotTakenError,
    OnlineClosedError,
    PaymentsNotSetUpError,
    ProviderRefusedError,
    ProviderUnavailableError,
)

blueprint = Blueprint("tenant", __name__, url_prefix="/my")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the form holds: at first what suits most, after a refusal what was sent."""

    amount: str
    yuan: str
    method: str


@blueprint.get("/rent")
@requires("tenant")
def rent() -> ResponseReturnValue:
    """What the household owes, why, and the form to pay it."""
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        account = account_of(connection, who.person_id, now)
    if account is None:
        return render_template("no_home.html")
    return _page(account, now, _at_first(account))


@blueprint.post("/payments")
@requires("tenant")
def pay() -> ResponseReturnValue:
    """Begin a payment and go to the provider's page; sent twice, it is one payment."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    with services().engine.connect() as connection:
        account = account_of(connection, who.person_id, now)
    if account is None:
        return render_template("no_home.html"), 403
    chosen = Chosen(sent.get("amount", ""), sent.get("yuan", "")[:20], sent.get("method", ""))
    limit_fen = account.statement.total_owed_fen + services().settings.payment_rules.prepay_limit_fen
    charge_ids: tuple[UUID, ...] = ()
    try:
        if chosen.amount == "some":
            wish, charge_ids = wish_for(account.statement, sent.getlist("charge"))
        else:
            wish = read_wish(chosen.amount, chosen.yuan, limit_fen)
    except AmountError as refused:
        return _page(account, now, chosen, wrong_amount=refused), 422
    except BillChangedError as refused:
        return _page(account, now, _at_first(account), trouble=refused), 409
    try:
        method = Method(chosen_method(chosen.method).key)
        return redirect(_begin(account, who, sent.get("seen", ""), wish, method, now, charge_ids), 303)
    except BillChangedError as refused:
        return _page(account, now, replace(_at_first(account), method=chosen.method), trouble=refused), 409
    except REFUSALS as refused:
        return _page(account, now, chosen, trouble=refused), status_of(refused)


@blueprint.get("/payments/<uuid:checkout_id>")
@requires("tenant")
def payment(checkout_id: UUID) -> str:
    """What became of a payment; it only asks our own books, so it may be opened as often as one likes."""
    return render_template("payment.html", paid=_read(checkout_id))


@blueprint.get("/payments/<uuid:checkout_id>/state")
@requires("tenant")
def payment_state(checkout_id: UUID) -> ResponseReturnValue:
    """The same for the page's own script."""
    paid = _read(checkout_id)
    return {"state": paid.state, "title": paid.title_zh, "html": render_template("_outcome.html", paid=paid)}


def _at_first(account: Account) -> Chosen:
    known = [paid.channel for paid in account.statement.payments if paid.channel in METHOD_BY_KEY]
    choices = choices_of(account.statement)
    amount = choices[0].value if choices else "other"
    return Chosen(amount, "", known[0] if known else METHODS[0].key)


def _methods(account: Account) -> list[WayToPay]:
    """What the estate takes; all of them where paying online is not set up, and the form then says so."""
    online = current_providers().online(account.estate_id)
    return [method for method in METHODS if method.key in online or not online]


def _page(
    account: Account,
    now: datetime,
    chosen: Chosen,
    *,
    wrong_amount: ExplainedError | None = None,
    trouble: ExplainedError | None = None,
) -> str:
    return render_template(
        "rent.html",
        statement=account.statement,
        charges=charges_of(account.statement, words.today(now)),
        choices=choices_of(account.statement),
        home_zh=account.home_zh,
        waiting=account.waiting,
        seen=account.seen,
        methods=_methods(account),
        chosen=chosen,
        wrong_amount=wrong_amount,
        trouble=trouble,
    )


def _begin(
    account: Account,
    who: Principal,
    seen: str,
    wish: Wish,
    method: Method,
    now: datetime,
    charge_ids: tuple[UUID, ...],
) -> str:
    """Where the payer goes now: to the provider, or to the page of the payment that this was already.

    Raises:
        BillChangedError: the form is of an earlier state of the account, and no payment came of it.
        AmountOutOfRangeError, PaymentsNotSetUpError, ProviderRefusedError, ProviderUnavailableError
    """
    parts = services()
    what = "/".join((method, *(str(one) for one in charge_ids)))
    attempt = attempt_id(who.principal_id, account.household_id, seen, wish.amount_fen, what)
    ours = url_for("tenant.payment", checkout_id=attempt)
    if seen != account.seen or not still_offered(wish, account.statement):
        with parts.engine.connect() as connection:
            try:
                checkout_state(connection, attempt, who, now)
            except CheckoutUnknownError:
                raise BillChangedError from None
        return ours
    try:
        started = start_checkout(
            parts.engine,
            current_providers().for_method(method, account.estate_id),
            account.household_id,
            wish.amount_fen,
            method,
            who,
            parts.settings.serve.public_url.rstrip("/") + ours,
            now,
            attempt_id=attempt,
            rules=parts.settings.payment_rules,
            charge_ids=charge_ids,
        )
    except CheckoutClosedError:
        return ours
    # Browsers hold a form to `form-action` through its redirects; elsewhere the payer goes by a link.
    allowed = parts.settings.payments.checkout_origins
    return started.url if words.origin(started.url) in allowed else ours


def _read(checkout_id: UUID) -> PaymentPage:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        view = checkout_state(connection, checkout_id, who, now)
        number = view.receipt_number
        receipt = read_receipt(connection, by_number(number)) if number is not None else None
    return payment_page(view, receipt)
