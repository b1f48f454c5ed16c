"""Operators: every device, what is wrong with it, and whom panels may still let in."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from backend.access.devices import alarms, devices, may_still_open, panels, see_alarm
from backend.access.erasures import erasure_states
from backend.identity.principal import Role
from backend.identity.web import required_principal, requires
from backend.services import services
from backend.web.devices_view import alarm_rows, device_rows, erasure_rows, leaving_rows
from backend.web.estates import chosen, estates_of

ROLES: tuple[Role, ...] = ("operator", "admin")

blueprint = Blueprint("devices", __name__, url_prefix="/operator/devices")


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """The page; it loads itself again every minute."""
    now, wanted, principal = datetime.now(UTC), request.args.get("estate", ""), required_principal()
    with services().engine.connect() as connection:
        mine = estates_of(connection, principal, ROLES)
        shown = chosen(mine, principal, "operator.devices", wanted, ROLES)
        scope = frozenset(estate.estate_id for estate in shown)
        found = devices(connection, scope)
        rows = device_rows(found, panels(connection, scope), now)
        told = alarm_rows(alarms(connection, scope, now), found, now)
        erasures = erasure_rows(erasure_states(connection, scope), now)
        leaving = leaving_rows(may_still_open(connection, scope), found, now)
    return render_template(
        "devices.html",
        now=now,
        estates=mine,
        estate_id=wanted,
        groups=[(estate, rows[estate.estate_id]) for estate in shown if estate.estate_id in rows],
        alarms=told,
        leaving=leaving,
        erasures=erasures,
    )


@blueprint.post("/alarms/<uuid:alarm_id>/seen")
@requires(*ROLES)
def seen(alarm_id: UUID) -> ResponseReturnValue:
    """Somebody takes care of an alarm."""
    with services().engine.begin() as connection:
        see_alarm(connection, alarm_id, actor=required_principal(), now=datetime.now(UTC))
    flash("已记下：有人在处理这条告警。 Noted: somebody is taking care of it.", "ok")
    return redirect(url_for("devices.index", estate=request.form.get("estate") or None))
