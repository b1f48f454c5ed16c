"""A resident's ways in besides the face: a QR code that renews itself, a PIN, and codes for visitors."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import segno
from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from sqlalchemy import Connection
from werkzeug.exceptions import NotFound

from backend.identity.principal import Principal
from backend.identity.web import required_principal, requires
from backend.registry.codes import STEP_S, VISITOR_QR_MARK, qr_text
from backend.registry.credentials import OpenGroup, issue_pins, open_groups, qr_of, renew_qr
from backend.registry.estates import estate_key
from backend.registry.visitors import HOURS_MAX, USES_MAX, end_pass, live_passes, make_pass
from backend.services import services

HOURS = (2, 4, 12, 24)
USES = (1, 2, 5, 10)

blueprint = Blueprint("door_codes", __name__, url_prefix="/my/doors")


@blueprint.get("")
@requires("tenant")
def index() -> str:
    """The doors that are open to the resident, and the codes that still open something for visitors."""
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        groups = _groups(connection, who, now)
        passes = live_passes(connection, who.person_id, now) if who.person_id is not None else []
    names = {(group.estate_id, group.group_id): group for group in groups}
    return render_template(
        "door_codes.html",
        groups=groups,
        passes=[(one, names.get((one.estate_id, one.group_id))) for one in passes],
        hours=HOURS,
        uses=USES,
    )


@blueprint.get("/<estate_id>/<group_id>/qr")
@requires("tenant")
def qr(estate_id: str, group_id: str) -> ResponseReturnValue:
    """The QR code of now; the page loads itself again before the code is over."""
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.begin() as connection:
        group, person_id = _group(connection, who, estate_id, group_id, now)
        key = estate_key(connection, services().master_key, estate_id)
        qr_id, seed = qr_of(connection, person_id, estate_id, key, actor=who, now=now)
    text = qr_text(seed, qr_id, group_id, now.timestamp())
    page = render_template(
        "door_qr.html",
        group=group,
        picture=_picture(text),
        refresh_s=STEP_S - int(now.timestamp()) % STEP_S,
    )
    return page, 200, {"Cache-Control": "no-store"}


@blueprint.post("/<estate_id>/<group_id>/pin")
@requires("tenant")
def pin(estate_id: str, group_id: str) -> ResponseReturnValue:
    """Choose a new PIN and show it, once."""
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.begin() as connection:
        group, person_id = _group(connection, who, estate_id, group_id, now)
        key = estate_key(connection, services().master_key, estate_id)
        pins = issue_pins(connection, person_id, estate_id, group_id, key, actor=who, now=now)
    page = render_template("door_pin.html", group=group, pins=pins)
    return page, 200, {"Cache-Control": "no-store"}


@blueprint.post("/<estate_id>/<group_id>/visitors")
@requires("tenant")
def visitor(estate_id: str, group_id: str) -> ResponseReturnValue:
    """Make a code for a visitor and show it, once."""
    who, now = required_principal(), datetime.now(UTC)
    hours, uses = _chosen("hours", HOURS, HOURS_MAX), _chosen("uses", USES, USES_MAX)
    with services().engine.begin() as connection:
        group, _ = _group(connection, who, estate_id, group_id, now)
        key = estate_key(connection, services().master_key, estate_id)
        made = make_pass(connection, estate_id, group_id, key, hours=hours, uses_max=uses, actor=who, now=now)
    page = render_template(
        "door_visitor.html", group=group, made=made, uses=uses, picture=_picture(VISITOR_QR_MARK + made.code)
    )
    return page, 200, {"Cache-Control": "no-store"}


@blueprint.post("/visitors/<uuid:pass_id>/end")
@requires("tenant")
def end(pass_id: UUID) -> ResponseReturnValue:
    """Take a visitor's code back."""
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.begin() as connection:
        end_pass(connection, pass_id, actor=who, now=now)
    return redirect(url_for("door_codes.index"), 303)


@blueprint.post("/<estate_id>/renew")
@requires("tenant")
def renew(estate_id: str) -> ResponseReturnValue:
    """The phone is lost: no earlier QR code opens anything any more."""
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.begin() as connection:
        if who.person_id is None:
            raise NotFound
        renew_qr(connection, who.person_id, estate_id, actor=who, now=now)
    return redirect(url_for("door_codes.index"), 303)


def _groups(connection: Connection, who: Principal, now: datetime) -> list[OpenGroup]:
    return open_groups(connection, who.person_id, now) if who.person_id is not None else []


def _group(
    connection: Connection, who: Principal, estate_id: str, group_id: str, now: datetime
) -> tuple[OpenGroup, UUID]:
    for group in _groups(connection, who, now):
        if (group.estate_id, group.group_id) == (estate_id, group_id) and who.person_id is not None:
            return group, who.person_id
    raise NotFound


def _chosen(name: str, offered: tuple[int, ...], most: int) -> int:
    given = request.form.get(name, "")
    return min(int(given), most) if given.isascii() and given.isdigit() and len(given) < 4 else offered[0]


def _picture(text: str) -> Markup:
    """A QR code as SVG, dark on light, with its quiet zone."""
    svg = segno.make(text, error="m", micro=False).svg_inline(scale=8, border=4, light="#fff")
    return Markup(svg)  # noqa: S704 (made by the library from a text of ours)
