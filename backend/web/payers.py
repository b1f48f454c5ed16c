"""Others who pay: links that a household makes, the page they open, and paying by itself every month."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from backend.api.errors import status_of
from backend.errors import ExplainedError
from backend.identity.web import required_principal, requires
from backend.payments import autopay, links
from backend.payments.checkouts import Wanted, checkout_of_link, open_checkout
from backend.payments.errors import CheckoutClosedError
from backend.payments.port import Method, Shown
from backend.payments.providers import current_providers
from backend.services import services
from backend.web import words
from backend.web.account import account_of, seen_of
from backend.web.amounts import AmountError, read_yuan
from backend.web.payment_view import attempt_id, payment_page
from backend.web.qr import code_url
from backend.web.rent_view import METHODS, MethodMissingError, chosen_method

blueprint = Blueprint("payers", __name__)


@blueprint.get("/my/payers")
@requires("tenant")
def index() -> ResponseReturnValue:
    """The household's links, and what runs every month."""
    return _index(None)


@blueprint.post("/my/payers/links")
@requires("tenant")
def make_link() -> ResponseReturnValue:
    """Make a link; its address is shown this once."""
    who, now, parts = required_principal(), datetime.now(UTC), services()
    rules = parts.settings.payment_rules
    typed = request.form.get("yuan", "").strip()
    try:
        with parts.engine.begin() as connection:
            account = account_of(connection, who.person_id, now)
            if account is None:
                return render_template("no_home.html"), 403
            limit_fen = account.statement.total_owed_fen + rules.prepay_limit_fen
            amount_fen = read_yuan(typed, limit_fen) if typed else None
            _, word = links.make_link(connection, account.household_id, who, now, rules, amount_fen)
    except AmountError as refused:
        return _index(refused), 422
    address = parts.settings.serve.public_url.rstrip("/") + url_for("payers.asked", word=word)
    return _index(None, address)


@blueprint.post("/my/payers/links/<uuid:link_id>/revoke")
@requires("tenant")
def revoke_link(link_id: UUID) -> ResponseReturnValue:
    """Take a link back."""
    with services().engine.begin() as connection:
        links.revoke_link(connection, link_id, required_principal(), datetime.now(UTC))
    flash("链接已撤回，谁打开都不能再用。 The link opens nothing any more.", "ok")
    return redirect(url_for("payers.index"), 303)


@blueprint.post("/my/payers/monthly")
@requires("tenant")
def agree() -> ResponseReturnValue:
    """Pay by card every month, or be reminded; a card is paid with once, and kept by the provider."""
    who, now, parts = required_principal(), datetime.now(UTC), services()
    rules, sent = parts.settings.payment_rules, request.form
    with parts.engine.begin() as connection:
        account = account_of(connection, who.person_id, now)
        if account is None:
            return render_template("no_home.html"), 403
        if sent.get("kind") == "reminder":
            autopay.agree(connection, account.household_id, "reminder", "reminder", 1, who, now)
            flash("已开通每月提醒，收到短信点开就能付。 Reminders are on.", "ok")
            return redirect(url_for("payers.index"), 303)
    provider = current_providers().for_method(Method.CARD, account.estate_id)
    try:
        limit_fen = read_yuan(sent.get("limit", ""), rules.prepay_limit_fen)
        first_fen = account.statement.total_owed_fen or 100 * 4
        if sent.get("agreed") != "yes":
            return _index(ConsentMissingError()), 422
    except AmountError as refused:
        return _index(refused), 422
    with parts.engine.begin() as connection:
        autopay_id = autopay.agree(
            connection, account.household_id, "card", provider.name, limit_fen, who, now
        )
    wanted = Wanted(account.household_id, first_fen, Method.CARD, keep_card=True, autopay_id=autopay_id)
    ours = parts.settings.serve.public_url.rstrip("/") + "/my/payments/{checkout_id}"
    started = open_checkout(parts.engine, provider, wanted, who.principal_id, ours, now, rules=rules)
    return redirect(url_for("tenant.payment", checkout_id=started.checkout_id), 303)


@blueprint.post("/my/payers/monthly/end")
@requires("tenant")
def end() -> ResponseReturnValue:
    """Nothing is charged by itself any more."""
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.begin() as connection:
        account = account_of(connection, who.person_id, now)
        if account is not None:
            autopay.end(connection, account.household_id, who, now)
    flash("已关闭，今后不会自动扣款，也不再提醒。 It has ended.", "ok")
    return redirect(url_for("payers.index"), 303)


@blueprint.get("/pay/<word>")
def asked(word: str) -> ResponseReturnValue:
    """What the holder of a link is asked for; the unit stays masked until they say that they know it."""
    now = datetime.now(UTC)
    with services().engine.connect() as connection:
        found = links.open_link(connection, word, now)
    return _asked(word, found, known=_known(found.link_id))


@blueprint.post("/pay/<word>/known")
def known(word: str) -> ResponseReturnValue:
    """The payer says whose bill it is that they want to pay."""
    with services().engine.connect() as connection:
        found = links.open_link(connection, word, datetime.now(UTC))
    session["pay_link"] = str(found.link_id)
    return redirect(url_for("payers.asked", word=word), 303)


@blueprint.post("/pay/<word>/payments")
def pay(word: str) -> ResponseReturnValue:
    """Begin the payment; sent twice, it is one payment."""
    now, parts = datetime.now(UTC), services()
    with parts.engine.connect() as connection:
        found = links.open_link(connection, word, now)
        seen = seen_of(connection, found.household_id)
    if not _known(found.link_id) or not found.amount_fen:
        return redirect(url_for("payers.asked", word=word), 303)
    try:
        method = Method(chosen_method(request.form.get("method", "")).key)
    except MethodMissingError as refused:
        return _asked(word, found, known=True, trouble=refused), 422
    attempt = attempt_id(found.link_id, found.household_id, seen, found.amount_fen, method)
    ours = url_for("payers.payment", word=word, checkout_id=attempt)
    try:
        started = open_checkout(
            parts.engine,
            current_providers().for_method(method, found.estate_id),
            Wanted(found.household_id, found.amount_fen, method, link_id=found.link_id),
            found.principal_id,
            parts.settings.serve.public_url.rstrip("/") + ours,
            now,
            attempt_id=attempt,
            rules=parts.settings.payment_rules,
        )
    except CheckoutClosedError:
        return redirect(ours, 303)
    except ExplainedError as refused:
        return _asked(word, found, known=True, trouble=refused), status_of(refused)
    goes_there = words.origin(started.url) in parts.settings.payments.checkout_origins
    return redirect(started.url if started.shown is Shown.PAGE and goes_there else ours, 303)


@blueprint.get("/pay/<word>/payments/<uuid:checkout_id>")
def payment(word: str, checkout_id: UUID) -> ResponseReturnValue:
    """What became of the payment, for whoever holds the link; it works after the link's end as well."""
    with services().engine.connect() as connection:
        view = checkout_of_link(connection, word, checkout_id)
    return render_template("pay_link_paid.html", paid=payment_page(view, None), word=word)


class ConsentMissingError(ExplainedError):
    """The box under the wording was not ticked."""

    code = "consent_missing"

    def __init__(self) -> None:
        super().__init__("请先勾选同意。", "Please tick the box if you agree.")


def _known(link_id: UUID) -> bool:
    return session.get("pay_link") == str(link_id)


def _asked(word: str, found: links.Asked, *, known: bool, trouble: ExplainedError | None = None) -> str:
    online = current_providers().online(found.estate_id)
    return render_template(
        "pay_link.html",
        word=word,
        asked=found,
        known=known,
        trouble=trouble,
        methods=[method for method in METHODS if method.key in online],
    )


def _index(refused: ExplainedError | None, address: str | None = None) -> str:
    who, now, parts = required_principal(), datetime.now(UTC), services()
    with parts.engine.connect() as connection:
        account = account_of(connection, who.person_id, now)
        if account is None:
            return render_template("no_home.html")
        mine = links.links_of(connection, account.household_id, now)
        monthly = autopay.autopay_of(connection, account.household_id)
    return render_template(
        "payers.html",
        account=account,
        links=mine,
        monthly=monthly,
        address=address,
        code=code_url(address) if address else None,
        refused=refused,
        hours=parts.settings.payment_rules.pay_link_hours,
        consent_zh=autopay.CONSENT_ZH,
        rules=parts.settings.payment_rules,
        card_taken=Method.CARD in current_providers().online(account.estate_id),
    )
