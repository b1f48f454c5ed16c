"""Finance: taking over an estate's old books. The file is tried first; then another person approves it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from backend.api.errors import status_of
from backend.closing.take_over import propose_take_over, taken_over, try_out
from backend.closing.take_over_errors import TakeOverFaultsError
from backend.closing.take_over_file import Fault, pattern
from backend.closing.take_over_rules import FIGURES, Plan
from backend.documents.workbook import workbook_bytes
from backend.errors import ExplainedError
from backend.identity.principal import Role
from backend.identity.service import check_role
from backend.identity.web import required_principal, requires
from backend.registry.estates import EstateView
from backend.rent.rules import read_month
from backend.services import services
from backend.web import words
from backend.web.estates import estates_of

ROLES: tuple[Role, ...] = ("finance",)
FILE_BYTES_MAX = 8 * 1024 * 1024
FAULTS_SHOWN = 200
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

blueprint = Blueprint("take_over", __name__, url_prefix="/finance/take-over")


@dataclass(frozen=True, slots=True)
class Sent:
    """What the form was filled in with, and what came of it."""

    estate_id: str
    month: str
    reason: str = "系统上线，接管期初数"
    plan: Plan | None = None
    faults: tuple[Fault, ...] = ()
    refused: ExplainedError | None = None


@blueprint.before_request
def let_tables_be_large() -> None:
    """A table may be larger than a form."""
    if request.endpoint == "take_over.send":
        request.max_content_length = FILE_BYTES_MAX


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """The form, and which estates were taken over."""
    return _page(Sent(request.args.get("estate", ""), f"{words.today(datetime.now(UTC)):%Y-%m}"))


@blueprint.get("/template.xlsx")
@requires(*ROLES)
def template() -> Response:
    """The workbook to fill in."""
    headers = {"Content-Disposition": "attachment; filename=take-over.xlsx"}
    return Response(workbook_bytes(pattern()), mimetype=EXCEL, headers=headers)


@blueprint.post("")
@requires(*ROLES)
def send() -> ResponseReturnValue:
    """Try a file, or ask for its take-over; each fault is named."""
    who, now, form, file = required_principal(), datetime.now(UTC), request.form, request.files.get("file")
    sent = Sent(form.get("estate", ""), form.get("month", "").strip(), form.get("reason", "")[:200])
    rules, body = services().settings.rent, file.read() if file is not None else b""
    check_role(who, "take_over.send", sent.estate_id, *ROLES)
    try:
        month = read_month(sent.month)
        with services().engine.begin() as connection:
            if form.get("step") != "propose":
                trial = try_out(connection, sent.estate_id, month, body, now, rules)
                plan = None if trial.faults else trial.plan
                return _page(replace(sent, plan=plan, faults=trial.faults)), 422 if trial.faults else 200
            name = (file.filename if file is not None else None) or "file"
            asked = propose_take_over(
                connection, sent.estate_id, month, name, body, sent.reason, who, now, rules
            )
    except TakeOverFaultsError as refused:
        return _page(replace(sent, faults=refused.faults)), 422
    except ExplainedError as refused:
        return _page(replace(sent, refused=refused)), status_of(refused)
    return redirect(url_for("approvals.proposal", proposal_id=asked.proposal.proposal_id), 303)


def _page(sent: Sent) -> str:
    with services().engine.connect() as connection:
        estates = estates_of(connection, required_principal(), ROLES)
        done = {one.estate_id: taken_over(connection, one.estate_id) for one in estates}
    return render_template(
        "take_over.html",
        estates=estates,
        open_estates=[one for one in estates if done[one.estate_id] is None],
        done=[(one, done[one.estate_id]) for one in estates if done[one.estate_id] is not None],
        estate_zh=_name(estates, sent.estate_id),
        sent=sent,
        figures=FIGURES,
        faults_shown=FAULTS_SHOWN,
    )


def _name(estates: list[EstateView], estate_id: str) -> str:
    return next((one.name_zh for one in estates if one.estate_id == estate_id), estate_id)
