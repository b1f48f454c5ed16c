"""Guards: open a door from afar, lock the way in, release doors; always with a reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest

from backend.access.orders import Action, end_order, give_order, standing_orders
from backend.access.service import door_states
from backend.identity.principal import Role
from backend.identity.web import required_principal, requires
from backend.registry.errors import ReasonMissingError
from backend.services import services
from backend.web.estates import estates_of

ROLES: tuple[Role, ...] = ("operator",)
DONE: dict[str, str] = {
    "open": "已下令开门，几秒内有效  |  The door is told to open, within seconds.",
    "lockdown": "已封闭入口；出门不受影响  |  The way in is locked; the way out stays free.",
    "release": "已释放，门保持打开直到您解除  |  Released: open until you end it.",
    "all_clear": "已解除释放和消防状态  |  Release and fire state ended.",
}

blueprint = Blueprint("door_orders", __name__, url_prefix="/operator/orders")


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """Every door of the guard's estates with what may be ordered, and what holds now."""
    return _page()


@blueprint.post("")
@requires(*ROLES)
def give() -> ResponseReturnValue:
    """Order something; the gateway has it within a second."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    action = next((one for one in get_args(Action) if one == sent.get("action")), None)
    if action is None:
        raise BadRequest
    try:
        with services().engine.begin() as connection:
            give_order(
                connection,
                sent.get("estate", ""),
                action,
                sent.get("door") or None,
                sent.get("reason", ""),
                actor=who,
                now=now,
            )
    except ReasonMissingError as error:
        return _page(str(error)), 422
    flash(DONE[action], "ok")
    return redirect(url_for("door_orders.index"), 303)


@blueprint.post("/<uuid:order_id>/end")
@requires(*ROLES)
def end(order_id: UUID) -> ResponseReturnValue:
    """End a lockdown or a release."""
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.begin() as connection:
        end_order(connection, order_id, actor=who, now=now)
    flash("已解除  |  Ended.", "ok")
    return redirect(url_for("door_orders.index"), 303)


def _page(wrong: str = "") -> str:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        mine = estates_of(connection, who, ROLES)
        scope = who.estates("operator")
        doors = [door for door in door_states(connection, scope) if door.active]
        orders = standing_orders(connection, scope, now)
    names = {door.device_id: door.name_zh for door in doors}
    return render_template(
        "door_orders.html", estates=mine, doors=doors, orders=orders, names=names, wrong=wrong
    )
