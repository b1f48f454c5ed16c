"""Finance: arrears that are given up (坏账核销), by two people, and what of them comes back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection

from backend.api.errors import status_of
from backend.approvals import service as approvals
from backend.approvals.service import STATES_ZH, Proposal
from backend.documents.cells import WrongCellError
from backend.documents.cells import fen as yuan_of
from backend.errors import ExplainedError
from backend.identity.principal import Principal, Role
from backend.identity.service import check_role
from backend.identity.web import required_principal, requires
from backend.payments.checkouts import estate_of
from backend.rent.account_book import unit_of, units_of
from backend.rent.allocation import Due
from backend.rent.errors import ChargeUnknownError
from backend.rent.let_off import let_off, propose_let_off
from backend.rent.recoveries import GivenUp, given_up
from backend.rent.statement import open_charges
from backend.services import services
from backend.web import words
from backend.web.estates import chosen, estates_of
from backend.web.looking import look_at_account

KIND: Literal["write_off"] = "write_off"
ROLES: tuple[Role, ...] = ("finance",)
READERS: tuple[Role, ...] = ("finance", "supervisor")
SHEET = 200

blueprint = Blueprint("write_offs", __name__, url_prefix="/finance/write-offs")


@dataclass(frozen=True, slots=True)
class Owed:
    """One due of one month that could be written off."""

    charge_id: UUID
    month: date
    due: Due
    left_fen: int


def carry_out(connection: Connection, proposal_id: UUID, _principal: Principal, now: datetime) -> None:
    """What the second person's approval does."""
    let_off(connection, proposal_id, KIND, now)


@blueprint.get("")
@requires(*READERS)
def index() -> str:
    """What was written off, and what of it came back."""
    who, wanted = required_principal(), request.args.get("estate", "")
    with services().engine.connect() as connection:
        mine = estates_of(connection, who, READERS)
        shown = chosen(mine, who, "finance.write_offs", wanted, READERS)
        rows = given_up(connection, estates=[one.estate_id for one in shown])
        rows.sort(key=lambda one: one.written_off_at, reverse=True)
        units = units_of(connection, {one.household_id for one in rows[:SHEET]})
    return render_template(
        "write_offs.html",
        rows=rows[:SHEET],
        count=len(rows),
        amount_fen=sum(one.amount_fen for one in rows),
        back_fen=sum(one.amount_fen - one.left_fen for one in rows),
        units=units,
        dues=words.DUES,
        estates=mine,
        estate_id=wanted,
    )


@blueprint.get("/<uuid:household_id>")
@requires(*ROLES)
def household(household_id: UUID) -> str:
    """What a household owes, with the form to ask; the look is recorded."""
    return _household(household_id, None)


@blueprint.post("/<uuid:household_id>")
@requires(*ROLES)
def propose(household_id: UUID) -> ResponseReturnValue:
    """Ask for a write-off; another person decides."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    try:
        with services().engine.begin() as connection:
            check_role(who, "finance.write_off", estate_of(connection, household_id), *ROLES)
            one = _chosen(_owed(connection, household_id), sent.get("what", ""))
            fen = yuan_of(sent["yuan"]) if sent.get("yuan") else one.left_fen
            reason = sent.get("reason", "")[:200]
            asked = propose_let_off(connection, KIND, one.charge_id, one.due, fen, reason, who, now)
    except ExplainedError as refused:
        return _household(household_id, refused), status_of(refused)
    except WrongCellError as refused:
        return _household(household_id, refused), 422
    return redirect(url_for("approvals.proposal", proposal_id=asked.proposal_id), 303)


def _chosen(owed: list[Owed], what: str) -> Owed:
    for one in owed:
        if what == f"{one.charge_id}:{one.due.value}":
            return one
    raise ChargeUnknownError


def _owed(connection: Connection, household_id: UUID) -> list[Owed]:
    charges = open_charges(connection, [household_id])[household_id]
    return [Owed(one.charge_id, one.month, due, fen) for one in charges for due, fen in one.left.items()]


def _household(household_id: UUID, refused: ExplainedError | WrongCellError | None) -> str:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.begin() as connection:
        look_at_account(connection, household_id, who, "finance.write_off", ROLES, "write_off", now)
        owed = _owed(connection, household_id)
        rows: list[GivenUp] = given_up(connection, households=[household_id])
        asked: list[Proposal] = [
            one
            for charge_id in dict.fromkeys(one.charge_id for one in owed)
            for one in approvals.about(connection, f"charge:{charge_id}")
            if one.kind == KIND and one.state == "open"
        ]
        unit_zh = unit_of(connection, household_id)
    return render_template(
        "write_off.html",
        household_id=household_id,
        unit_zh=unit_zh,
        owed=owed,
        rows=rows,
        asked=asked,
        states=STATES_ZH,
        dues=words.DUES,
        refused=refused,
        sent=request.form,
    )
