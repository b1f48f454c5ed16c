"""Operators: the doors as they are now, and, for a purpose, who it was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from sqlalchemy import Connection
from werkzeug.exceptions import NotFound

from backend.access.service import AccessRecordView, door_states, latest_records, name_for, passage
from backend.identity.principal import Principal, Role
from backend.identity.service import check_role
from backend.identity.web import required_principal, requires
from backend.registry.estates import EstateView
from backend.services import services
from backend.web import words
from backend.web.doors_view import (
    NOWHERE,
    PURPOSES,
    DoorCard,
    Tally,
    announcement,
    door_cards,
    passage_of,
    tally,
)
from backend.web.estates import chosen, estates_of

# An administrator sees whether the doors work; who passed is the guard's business.
ROLES: tuple[Role, ...] = ("operator", "admin")
RECORDS_A_DOOR, RECORDS_MAX = 10, 1000

blueprint = Blueprint("operator", __name__, url_prefix="/operator")


@dataclass(frozen=True, slots=True)
class Drawn:
    """A door's card as HTML, and a digest that changes with it."""

    device_id: str
    estate_id: str
    html: Markup
    digest: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What the page and its refresh have in common."""

    mine: list[EstateView]
    shown: list[EstateView]
    doors: list[Drawn]
    count: Tally
    news: str


@blueprint.get("/doors")
@requires(*ROLES)
def doors() -> str:
    """The page, whole; without JavaScript it loads itself again."""
    now, wanted = datetime.now(UTC), request.args.get("estate", "")
    sight = _sight(wanted, now)
    groups = [
        (estate, [door for door in sight.doors if door.estate_id == estate.estate_id])
        for estate in sight.shown
    ]
    return render_template(
        "doors.html",
        now=now,
        estates=sight.mine,
        estate_id=wanted,
        count=sight.count,
        groups=[(estate, drawn) for estate, drawn in groups if drawn],
        live_href=url_for("operator.live", estate=wanted or None),
    )


@blueprint.get("/doors/live")
@requires(*ROLES)
def live() -> ResponseReturnValue:
    """What the page's script asks for every two seconds; no names of people."""
    now = datetime.now(UTC)
    sight = _sight(request.args.get("estate", ""), now)
    return {
        "clock": words.clock(now),
        "summary": render_template("_doors_summary.html", count=sight.count),
        "latest": sight.news,
        "doors": [
            {"device_id": door.device_id, "digest": door.digest, "html": str(door.html)}
            for door in sight.doors
        ],
    }


@blueprint.get("/passages/<estate_id>/<uuid:record_id>/who")
@requires("operator")
def who(estate_id: str, record_id: UUID) -> str:
    """Ask for the purpose before any name is shown."""
    with services().engine.connect() as connection:
        seen = _passage(connection, required_principal(), estate_id, record_id)
    return render_template(
        "who.html",
        passage=passage_of(seen, datetime.now(UTC), NOWHERE),
        purposes=PURPOSES,
        name=None,
        wrong=False,
    )


@blueprint.post("/passages/<estate_id>/<uuid:record_id>/who")
@requires("operator")
def show_who(estate_id: str, record_id: UUID) -> ResponseReturnValue:
    """Show the name, once, and record who looked and what for."""
    principal, now = required_principal(), datetime.now(UTC)
    purpose = request.form.get("purpose", "")
    known = purpose in PURPOSES
    with services().engine.begin() as connection:
        seen = _passage(connection, principal, estate_id, record_id)
        name = name_for(connection, principal, seen, purpose, now) if known else None
    page = render_template(
        "who.html",
        passage=passage_of(seen, now, NOWHERE),
        purposes=PURPOSES,
        purpose_zh=PURPOSES[purpose][0] if known else "",
        name=(name or "没有登记的姓名") if known else None,
        wrong=not known,
    )
    return page, 200 if known else 422


def _passage(connection: Connection, who: Principal, estate_id: str, record_id: UUID) -> AccessRecordView:
    # Asked first: who may not look learns nothing, not even which passages there are.
    check_role(who, "operator.who", estate_id, "operator")
    found = passage(connection, estate_id, record_id)
    if found is None:
        raise NotFound
    return found


def _sight(wanted: str, now: datetime) -> Sight:
    principal = required_principal()
    with services().engine.connect() as connection:
        mine = estates_of(connection, principal, ROLES)
        shown = chosen(mine, principal, "operator.doors", wanted, ROLES)
        scope = frozenset(estate.estate_id for estate in shown)
        states = door_states(connection, scope)
        limit = min(RECORDS_MAX, RECORDS_A_DOOR * max(len(states), 1))
        records = latest_records(connection, scope, limit)
    cards = door_cards(states, records, now, principal.estates("operator"))
    return Sight(mine, shown, [_draw(card) for card in cards], tally(cards), announcement(records, now))


def _draw(card: DoorCard) -> Drawn:
    html = render_template("_door.html", door=card)
    digest = hashlib.sha256(html.encode()).hexdigest()[:16]
    return Drawn(card.device_id, card.estate_id, Markup(html), digest)  # noqa: S704 (escaped by the template)
