"""Finance: the monthly run, from the preview to the posting, between two people."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, select

from backend.approvals import service as approvals
from backend.approvals.service import STATES_ZH, Proposal
from backend.approvals.tables import approval_proposal
from backend.errors import ExplainedError
from backend.identity.principal import ALL, Principal, Role
from backend.identity.service import check_role
from backend.identity.web import required_principal, requires
from backend.rent.errors import MonthError, RunUnknownError
from backend.rent.preview import Planned, Preview, preview, units_zh
from backend.rent.rules import read_month
from backend.rent.runs import KIND, RunView, propose_run, run_of
from backend.services import services
from backend.web import words
from backend.web.estates import estates_of, scope_of

ROLES: tuple[Role, ...] = ("finance",)
SHEET = 50
RUNS_SHOWN = 24
LINES_ZH = {
    "rent": ("租金", "Rent"),
    "relief": ("减免", "Relief"),
    "subsidy": ("补贴", "Subsidy"),
    "subsidy_carried": ("结转补贴", "Subsidy carried over"),
    "late_fee": ("滞纳金", "Late fee"),
    "property_fee": ("物业费", "Property fee"),
    "water": ("水费", "Water"),
    "electricity": ("电费", "Electricity"),
    "gas": ("燃气费", "Gas"),
}

blueprint = Blueprint("rent_runs", __name__, url_prefix="/finance/runs")


@blueprint.get("")
@requires(*ROLES)
def index() -> ResponseReturnValue:
    """Which runs there were, and the form for the next one; with a month, its preview."""
    who, now = required_principal(), datetime.now(UTC)
    asked = request.args.get("month", "")
    estate_id = request.args.get("estate", "")
    try:
        month = read_month(asked) if asked else None
    except MonthError as refused:
        return _index(who, now, estate_id, None, refused), 422
    return _index(who, now, estate_id, month, None)


@blueprint.post("")
@requires(*ROLES)
def propose() -> ResponseReturnValue:
    """Ask for the run that was seen; refused if it is not what was seen any more."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    estate_id = sent.get("estate", "")
    try:
        month = read_month(sent.get("month", ""))
        with services().engine.begin() as connection:
            seen = _preview(connection, who, estate_id, month)
            if seen.seal != sent.get("seal"):
                raise SeenChangedError
            asked = propose_run(connection, seen, sent.get("reason", ""), who, now)
    except (ExplainedError, MonthError) as refused:
        shown = None if isinstance(refused, MonthError) else month
        return _index(who, now, estate_id, shown, refused), 409
    return redirect(url_for("rent_runs.run", run_id=asked.proposal_id), 303)


@blueprint.get("/<uuid:run_id>")
@requires("finance", "admin")
def run(run_id: UUID) -> str:
    """One run: what was asked for, who agreed, how far it has come."""
    return _run_page(run_id, None)


@blueprint.post("/<uuid:run_id>/decision")
@requires("finance", "admin")
def decide(run_id: UUID) -> ResponseReturnValue:
    """Another person agrees or not; the worker charges what was agreed on."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    revision = int(sent["revision"]) if sent.get("revision", "").isdecimal() else None
    try:
        with services().engine.begin() as connection:
            if sent.get("verdict") == "approve":
                approvals.approve(connection, run_id, who, now, revision=revision)
            else:
                approvals.decline(connection, run_id, who, now, sent.get("reason", ""), revision=revision)
    except ExplainedError as refused:
        return _run_page(run_id, refused), 409
    return redirect(url_for("rent_runs.run", run_id=run_id), 303)


class SeenChangedError(ExplainedError):
    """The preview on the screen is not what would be charged any more."""

    code = "preview_changed"

    def __init__(self) -> None:
        super().__init__(
            "预览之后数据有变化，请看一下现在的预览，再申请。",
            "Something changed after this preview; look at the present one, then propose it.",
        )


def _preview(connection: Connection, who: Principal, estate_id: str, month: date) -> Preview:
    if estate_id:
        check_role(who, "rent.preview", estate_id, *ROLES)
    elif scope_of(who, ROLES) is not ALL:
        # Whoever is there for some estates begins with the first of them.
        estate_id = estates_of(connection, who, ROLES)[0].estate_id
    return preview(connection, estate_id or None, month, services().settings.rent)


def _index(
    who: Principal, now: datetime, estate_id: str, month: date | None, refused: ExplainedError | None
) -> str:
    with services().engine.connect() as connection:
        estates = estates_of(connection, who, ROLES)
        seen = _preview(connection, who, estate_id, month) if month is not None else None
        rows = _sheet(connection, seen) if seen is not None else []
        runs = _runs(connection, who)
    return render_template(
        "rent_runs.html",
        estates=estates,
        whole=scope_of(who, ROLES) is ALL,
        estate_id=estate_id,
        month=f"{month:%Y-%m}" if month else f"{words.today(now):%Y-%m}",
        seen=seen,
        rows=rows,
        kinds=LINES_ZH,
        runs=runs,
        states=STATES_ZH,
        refused=refused,
        sheet_max=SHEET,
    )


def _sheet(connection: Connection, seen: Preview) -> list[tuple[str, Planned]]:
    """Those that differ most from last month first."""
    shown = sorted(seen.charges, key=lambda one: (-abs(one.change_fen), one.tenancy_id))[:SHEET]
    left_out = [one.tenancy.unit_id for one in seen.unpriced]
    names = units_zh(connection, [*(one.unit_id for one in shown), *left_out])
    return [(names.get(one.unit_id, ""), one) for one in shown]


def _runs(connection: Connection, who: Principal) -> list[Proposal]:
    rows = connection.execute(
        select(approval_proposal.c.proposal_id, approval_proposal.c.estate_id)
        .where(approval_proposal.c.kind == KIND)
        .order_by(approval_proposal.c.proposed_at.desc())
        .limit(RUNS_SHOWN)
    ).all()
    return [approvals.get(connection, row.proposal_id) for row in rows if _may_see(who, row.estate_id)]


def _may_see(who: Principal, estate_id: str | None) -> bool:
    if estate_id is None:
        return bool(scope_of(who, ("finance", "admin")) is ALL)
    return who.may("finance", estate_id) or who.may("admin", estate_id)


def _run_page(run_id: UUID, refused: ExplainedError | None) -> str:
    who = required_principal()
    with services().engine.connect() as connection:
        asked = approvals.get(connection, run_id)
        if asked.kind != KIND or not _may_see(who, asked.estate_id):
            raise RunUnknownError
        done: RunView | None = run_of(connection, run_id) if asked.state == "used" else None
        changed = asked.state == "approved" and _changed(connection, asked)
        may_decide = approvals.may_decide(connection, asked, who)
    return render_template(
        "rent_run.html",
        asked=asked,
        done=done,
        changed=changed,
        may_decide=may_decide,
        mine=asked.proposed_by == who.principal_id,
        states=STATES_ZH,
        refused=refused,
    )


def _changed(connection: Connection, asked: Proposal) -> bool:
    month = read_month(asked.payload["month"])
    seen = preview(connection, asked.estate_id, month, services().settings.rent)
    return bool(seen.seal != asked.payload["seal"])
