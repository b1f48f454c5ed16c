"""The pages people click: Checkout, the wallet on their phone, their bank's question."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit, urlunsplit

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from simulators.stripe import people
from simulators.stripe.core import StripeCore
from simulators.stripe.errors import RefusedError, money
from simulators.stripe.outcomes import NAMED
from simulators.stripe.qr import image, png_url
from simulators.stripe.store import Doc
from simulators.stripe.world import World

NAMES = {
    "wechat_pay": ("微信支付", "WeChat Pay"),
    "alipay": ("支付宝", "Alipay"),
    "card": ("银行卡", "Card"),
}
# What the person reads above the original's own words.
IN_CHINESE = {
    "Your card was declined.": "银行拒绝了这张卡，请换一张卡或换一种方式",
    "Your card has insufficient funds.": "卡里余额不足，请换一张卡或换一种方式",
    "Your card has expired.": "这张卡已过期，请换一张卡",
    "Your card's security code is incorrect.": "安全码不对，请检查后再试",
    "Your card number is incorrect.": "卡号不对，请检查后再试（这里只接受测试卡号）",
    "Your card's expiration year is invalid.": "有效期不对，请检查后再试",
}
FAILED = "付款没有成功，没有扣款。请再试一次，或换一种方式"
Page = str | tuple[str, int] | AnyResponse


def create_pages(core: StripeCore) -> Blueprint:
    """The pages of a core."""
    pages = Blueprint("pages", __name__, template_folder="templates")
    name = core.settings.name

    @pages.get("/c/pay/<session_id>")
    def checkout(session_id: str) -> Page:
        return _checkout(core, session_id, None)

    @pages.get("/c/pay/<session_id>/state")
    def checkout_state(session_id: str) -> Doc:
        session = core.act(_session, session_id)
        return {"status": session["status"], "next": _success_url(session) if _done(session) else None}

    @pages.post("/c/pay/<session_id>")
    def pay(session_id: str) -> Page:
        session = core.act(_session, session_id)
        if _done(session):  # a second tab, a double click: the money is taken once
            return redirect(_success_url(session), 303)
        kind = request.form.get("kind", "")
        forced = NAMED["decline"] if request.form.get("action") == "fail" else None
        try:
            card = _card(request.form) if kind == "card" else None
            paid = core.act(people.pay_session, session_id, kind, card=card, forced=forced)
        except RefusedError as refused:
            return _checkout(core, session_id, str(refused), kind), 400
        if paid.needs_authorisation:
            return redirect(f"/c/authorise/{paid.intent['id']}", 303)
        if paid.error is not None or paid.session is None:
            return _checkout(core, session_id, paid.error, kind), 402
        return redirect(_success_url(paid.session), 303)

    @pages.get("/c/scan/<session_id>")
    def scanned(session_id: str) -> Page:
        session = core.act(_session, session_id)
        return render_template("wallet.html", name=name, state=session["status"], **_amount(session))

    @pages.post("/c/scan/<session_id>")
    def pay_by_phone(session_id: str) -> Page:
        session = core.act(_session, session_id)
        if session["status"] == "open":
            forced = None if request.form.get("action") == "pay" else NAMED["decline"]
            core.act(people.pay_session, session_id, "wechat_pay", forced=forced)
        return redirect(f"/c/scan/{session_id}", 303)

    @pages.get("/c/wechat/<intent_id>")
    @pages.get("/c/authorise/<intent_id>")
    def asked(intent_id: str) -> Page:
        intent = core.act(_intent, intent_id)
        waits = intent["status"] == "requires_action"
        state = "open" if waits else ("complete" if intent["status"] in _GOOD else "expired")
        kind = core.act(_kind_of, intent)
        return render_template(
            "wallet.html", name=name, state=state, kind=kind, kind_names=NAMES.get(kind), **_amount(intent)
        )

    @pages.post("/c/wechat/<intent_id>")
    @pages.post("/c/authorise/<intent_id>")
    def answered(intent_id: str) -> Page:
        agree = request.form.get("action") == "pay"
        intent = core.act(_intent, intent_id)
        if intent["status"] == "requires_action":
            core.act(people.authorise, intent_id, agree)
        return redirect(core.act(_way_back, intent_id) or request.path, 303)

    @pages.get("/c/wechat/<intent_id>/qr.<form>")
    def qr(intent_id: str, form: str) -> Page:
        if form not in ("png", "svg"):
            return "", 404
        core.act(_intent, intent_id)
        address = f"{core.settings.public_url}/c/wechat/{intent_id}"
        return Response(image(address, form), mimetype="image/png" if form == "png" else "image/svg+xml")

    return pages


_GOOD = ("succeeded", "processing", "requires_capture")


def _checkout(core: StripeCore, session_id: str, error: str | None, chosen: str | None = None) -> str:
    session = core.act(_session, session_id)
    return render_template(
        "checkout.html",
        name=core.settings.name,
        session=session,
        lines=core.act(_lines, session_id),
        kinds=[(kind, *NAMES[kind]) for kind in session["payment_method_types"]],
        qr=png_url(f"{core.settings.public_url}/c/scan/{session_id}"),
        next=_success_url(session) if _done(session) else session["cancel_url"],
        error=error,
        error_zh=IN_CHINESE.get(error or "", FAILED),
        chosen=chosen,
        **_amount(session),
    )


def _card(form: dict[str, str]) -> people.CardEntry:
    month, _, year = form.get("expiry", "").replace(" ", "").partition("/")
    if not (month.isdecimal() and year.isdecimal() and 1 <= int(month) <= 12 and len(year) in (2, 4)):
        raise RefusedError("Your card's expiration year is invalid.", status=402)
    return people.CardEntry(form.get("number", "").replace(" ", ""), int(month), int(year))


def _session(world: World, session_id: str) -> Doc:
    return world.need("checkout.session", session_id, "session", 404)


def _lines(world: World, session_id: str) -> list[Doc]:
    lines: list[Doc] = world.noted(session_id)["lines"]
    return [
        {"name": line["description"], "amount": money(line["amount_total"], line["currency"])}
        for line in lines
    ]


def _intent(world: World, intent_id: str) -> Doc:
    return world.need("payment_intent", intent_id, "intent", 404)


def _kind_of(world: World, intent: Doc) -> str:
    method = intent["payment_method"] and world.get("payment_method", intent["payment_method"])
    return str(method["type"]) if method else "card"


def _way_back(world: World, intent_id: str) -> str | None:
    """Where the person goes after answering: to Checkout's end, or to the caller's `return_url`."""
    intent = _intent(world, intent_id)
    noted = world.noted(intent_id)
    if (session_id := noted.get("session")) is not None:
        session = _session(world, session_id)
        return _success_url(session) if _done(session) else f"/c/pay/{session_id}"
    if (return_url := noted.get("return_url")) is None:
        return None
    parts = urlsplit(return_url)
    facts = {
        "payment_intent": intent_id,
        "payment_intent_client_secret": intent["client_secret"],
        "redirect_status": "succeeded" if intent["status"] in _GOOD else "failed",
    }
    query = "&".join(part for part in (parts.query, urlencode(facts)) if part)
    return urlunsplit(parts._replace(query=query))


def _done(session: Doc) -> bool:
    return bool(session["status"] == "complete")


def _success_url(session: Doc) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _amount(doc: Doc) -> Doc:
    amount: int = doc["amount_total"] if "amount_total" in doc else doc["amount"]
    return {"amount": money(amount, doc["currency"])}
