"""What waits for a second person: open proposals of one's estates, and the decision on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, select

from backend.approvals import service as approvals
from backend.approvals.errors import NoRightError
from backend.approvals.service import STATES_ZH, Proposal
from backend.closing import reopening, take_over
from backend.closing.take_over_rules import FIGURES
from backend.errors import ExplainedError
from backend.identity.principal import Principal, Role
from backend.identity.tables import principal as principal_table
from backend.identity.web import required_principal, requires
from backend.ledger import manual
from backend.registry.estates import estates
from backend.rent import tariffs
from backend.rent.let_off import let_off
from backend.services import services
from backend.web import write_offs

ROLES: tuple[Role, ...] = ("finance", "operator", "admin")

# What is carried out with the approval itself, in the same transaction; everything else has a page or a job.
ACTS: Mapping[str, Callable[[Connection, UUID, Principal, datetime], object]] = {
    manual.KIND: manual.post_agreed,
    reopening.KIND: reopening.reopen_agreed,
    take_over.KIND: take_over.post_agreed,
    write_offs.KIND: write_offs.carry_out,
    tariffs.KIND: tariffs.carry_out_tariff,
    "waiver": lambda connection, proposal_id, _, now: let_off(connection, proposal_id, "waiver", now),
}

# What a take-over's record is called on the page; its totals are what the second person agrees to.
TAKE_OVER_LABELS = {
    "file": ("文件", "File"),
    "month": ("从哪个月起由本系统计租", "First month charged here"),
    "sha256": ("文件指纹", "The file's SHA-256"),
    "due_day": ("未填到期日的按每月几日", "Due day where the file has none"),
    **FIGURES,
}

blueprint = Blueprint("approvals", __name__, url_prefix="/approvals")


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """The proposals that I may decide on or that are mine; with `all`, also those that are settled."""
    who, everything = required_principal(), "all" in request.args
    with services().engine.connect() as connection:
        found = approvals.proposals_for(connection, who, only_open=not everything)
        mine = [one for one in found if approvals.may_decide(connection, one, who)]
        rest = [one for one in found if one not in mine]
        return render_template(
            "approvals.html",
            to_decide=mine,
            others=rest,
            everything=everything,
            states=STATES_ZH,
            names=_names(connection, found),
            estates_zh=_estates(connection),
        )


@blueprint.get("/<uuid:proposal_id>")
@requires(*ROLES)
def proposal(proposal_id: UUID) -> str:
    """One proposal in plain words, with the buttons of whoever may use them."""
    return _page(proposal_id, None)


@blueprint.post("/<uuid:proposal_id>")
@requires(*ROLES)
def decide(proposal_id: UUID) -> ResponseReturnValue:
    """Approve, decline, or take back what one asked for oneself."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    revision = int(sent["revision"]) if sent.get("revision", "").isdecimal() else None
    try:
        with services().engine.begin() as connection:
            match sent.get("verdict"):
                case "approve":
                    note = sent.get("reason", "")
                    agreed = approvals.approve(
                        connection, proposal_id, who, now, revision=revision, note=note
                    )
                    if agreed.kind in ACTS:
                        ACTS[agreed.kind](connection, proposal_id, who, now)
                case "withdraw":
                    approvals.withdraw(connection, proposal_id, who, now)
                case _:
                    reason = sent.get("reason", "")
                    approvals.decline(connection, proposal_id, who, now, reason, revision=revision)
    except ExplainedError as refused:
        return _page(proposal_id, refused), 409
    return redirect(url_for("approvals.proposal", proposal_id=proposal_id), 303)


def _page(proposal_id: UUID, refused: ExplainedError | None) -> str:
    who = required_principal()
    with services().engine.connect() as connection:
        asked = approvals.get(connection, proposal_id)
        may_decide = approvals.may_decide(connection, asked, who)
        mine = asked.proposed_by == who.principal_id
        if not (mine or may_decide or _sees(connection, who, asked)):
            raise NoRightError(who.actor, "approvals.look", asked.kind, ROLES, asked.estate_id)
        return render_template(
            "approval.html",
            asked=asked,
            may_decide=may_decide,
            mine=mine,
            refused=refused,
            states=STATES_ZH,
            labels=TAKE_OVER_LABELS if asked.kind == take_over.KIND else {},
            names=_names(connection, [asked]),
            estates_zh=_estates(connection),
        )


def _sees(connection: Connection, who: Principal, asked: Proposal) -> bool:
    found = approvals.proposals_for(connection, who, only_open=False)
    return any(one.proposal_id == asked.proposal_id for one in found)


def _names(connection: Connection, found: list[Proposal]) -> dict[UUID, str]:
    """Display names of everybody who proposed or decided."""
    wanted = {one.proposed_by for one in found} | {one.decided_by for one in found if one.decided_by}
    rows = connection.execute(
        select(principal_table.c.principal_id, principal_table.c.display_name).where(
            principal_table.c.principal_id.in_(wanted)
        )
    )
    return {row.principal_id: row.display_name for row in rows}


def _estates(connection: Connection) -> dict[str | None, str]:
    return {None: "全市", **{one.estate_id: one.name_zh for one in estates(connection)}}
