"""Finance: who is behind, by rung. A list for people; nothing on it reaches a door."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, request
from sqlalchemy import Connection

from backend.identity.principal import Role
from backend.identity.web import required_principal, requires
from backend.messaging.service import MessageView, messages_by_household
from backend.rent.account_book import units_of
from backend.rent.arrears import Counters
from backend.rent.dunning import arrears_of, open_cases
from backend.rent.statement import open_charges
from backend.services import services
from backend.web import words
from backend.web.estates import chosen, estates_of

ROLES: tuple[Role, ...] = ("finance", "supervisor")
SHEET = 100
STATES_ZH = {
    "waiting": "待发送",
    "sent": "已发送",
    "delivered": "已送达",
    "failed": "未送达",
    "refused": "被拒收",
}

blueprint = Blueprint("arrears", __name__, url_prefix="/finance/arrears")


@dataclass(frozen=True, slots=True)
class Behind:
    """One household that is behind, as the page shows it."""

    case_id: UUID
    household_id: UUID
    unit_zh: str
    since_on: date
    rung: str
    rung_zh: str
    taken_on: date
    deadline_on: date | None
    owed_fen: int
    counters: Counters
    reached: bool
    message: MessageView | None


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """Households by rung, the furthest first, with both counters and the proof of the last message."""
    who, now = required_principal(), datetime.now(UTC)
    wanted, rung = request.args.get("estate", ""), request.args.get("rung", "")
    rules = services().settings.dunning
    with services().engine.connect() as connection:
        mine = estates_of(connection, who, ROLES)
        shown = chosen(mine, who, "finance.arrears", wanted, ROLES)
        cases = open_cases(connection, [one.estate_id for one in shown])
        by_rung = {one.name: sum(case.rung == one.name for case in cases) for one in rules.rungs}
        on_rung = [case for case in cases if not rung or case.rung == rung]
        rows = _rows(connection, on_rung[:SHEET], words.today(now))
    return render_template(
        "arrears.html",
        rows=rows,
        total=len(on_rung),
        rungs=rules.rungs,
        by_rung=by_rung,
        rung=rung,
        rules=rules,
        estates=mine,
        estate_id=wanted,
        states=STATES_ZH,
    )


def _rows(connection: Connection, cases: Any, today: date) -> list[Behind]:
    households = [case.household_id for case in cases]
    rules = services().settings.dunning
    charges = open_charges(connection, households)
    units, messages = units_of(connection, households), messages_by_household(connection, households)
    found = []
    for case in cases:
        behind = arrears_of(charges[case.household_id], today)
        counters = behind.counters if behind else Counters(0, 0)
        found.append(
            Behind(
                case.case_id,
                case.household_id,
                units.get(case.household_id, ""),
                case.since_on,
                case.rung,
                case.name_zh,
                case.taken_on,
                case.deadline_on,
                behind.owed_fen if behind else 0,
                counters,
                counters.reached(rules),
                messages.get(case.household_id),
            )
        )
    return found
