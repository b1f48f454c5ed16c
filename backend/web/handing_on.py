"""Finance: collected money goes to the treasury and to the companies, and what has gone."""

from __future__ import annotations

from datetime import UTC, date, datetime

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from backend.api.errors import status_of
from backend.errors import ExplainedError
from backend.identity.principal import Role
from backend.identity.service import check_role
from backend.identity.web import required_principal, requires
from backend.ledger.errors import HandingOnError
from backend.ledger.handing_on import WAYS, To, hand_on, handed_on, waiting
from backend.services import services
from backend.web import words
from backend.web.amounts import read_yuan
from backend.web.estates import chosen, estates_of

READERS: tuple[Role, ...] = ("finance", "supervisor")
ROLES: tuple[Role, ...] = ("finance",)
LIMIT_FEN = 10**12
SHEET = 50

blueprint = Blueprint("handing_on", __name__, url_prefix="/finance/handing-on")


@blueprint.get("")
@requires(*READERS)
def index() -> str:
    """What stands for the treasury and for companies in an estate's book, with the forms."""
    return _page(request.args.get("estate", ""), None)


@blueprint.post("/<estate_id>/<any(treasury, companies):to>")
@requires(*ROLES)
def send(estate_id: str, to: To) -> ResponseReturnValue:
    """Record what the bank has sent; pressed twice it is one entry."""
    who, now, form = required_principal(), datetime.now(UTC), request.form
    check_role(who, "finance.hand_on", estate_id, *ROLES)
    try:
        parts = {
            part: read_yuan(form[part], LIMIT_FEN) for part in WAYS[to].roles if form.get(part, "").strip()
        }
        on = _day(form.get("on", ""))
        with services().engine.begin() as connection:
            hand_on(connection, to, estate_id, form.get("order_no", ""), on, parts, who, now)
    except ExplainedError as refused:
        return _page(estate_id, refused), status_of(refused)
    return redirect(url_for("handing_on.index", estate=estate_id, done=form["order_no"].strip()[:60]), 303)


def _day(typed: str) -> date:
    try:
        return date.fromisoformat(typed)
    except ValueError:
        raise HandingOnError("请选择银行付款的日期。", "Choose the bank's day.") from None


def _page(wanted: str, refused: ExplainedError | None) -> str:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        mine = estates_of(connection, who, READERS)
        found = chosen(mine, who, "finance.handing_on", wanted, READERS)[:1]
        estate_id = found[0].estate_id if found else ""
        ways = {to: waiting(connection, estate_id, to, now) for to in WAYS} if estate_id else {}
        rows = handed_on(connection, estate_id, SHEET) if estate_id else []
    return render_template(
        "handing_on.html",
        estates=mine,
        estate_id=estate_id,
        ways=ways,
        rows=rows,
        parts=words.DUES,
        may_send=bool(estate_id) and estate_id in who.estates("finance"),
        today=words.today(now),
        sent=request.form,
        sent_to=(request.view_args or {}).get("to"),
        refused=refused,
    )
