"""Tenants: what they agreed to, taking it back in one step, and everything that is held of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from backend.identity.principal import ALL
from backend.identity.web import required_principal, requires
from backend.registry.consents import withdraw_consent
from backend.registry.erasures import erasures
from backend.registry.facts import PURPOSES
from backend.registry.people import consents_of
from backend.retention.person_file import person_file
from backend.services import services
from backend.web.people import PURPOSE_WORDS

blueprint = Blueprint("my_data", __name__, url_prefix="/my/data")


@blueprint.get("/")
@requires("tenant")
def index() -> ResponseReturnValue:
    """Consents by purpose, each with a way out, and what is being erased."""
    who = required_principal()
    if who.person_id is None:
        return render_template("no_home.html")
    with services().engine.connect() as connection:
        given = {one.purpose: one for one in consents_of(connection, who.person_id)}
        orders = erasures(connection, ALL, person_id=who.person_id)
    return render_template("my_data.html", given=given, purposes=PURPOSE_WORDS, orders=orders)


@blueprint.post("/withdraw")
@requires("tenant")
def withdraw() -> ResponseReturnValue:
    """One step, at once, without a reason."""
    who, purpose = required_principal(), request.form.get("purpose", "")
    if who.person_id is None or purpose not in PURPOSES:
        raise NotFound
    with services().engine.begin() as connection:
        withdraw_consent(connection, who.person_id, purpose, actor=who, now=datetime.now(UTC))
    flash("已撤回。小区的设备正在删除您的人脸，门卡照常能用。 Withdrawn. Your card works as before.", "ok")
    return redirect(url_for("my_data.index"), 303)


@blueprint.post("/file")
@requires("tenant")
def file() -> ResponseReturnValue:
    """Everything that is held, as a zip with a readable page in it."""
    who, now, parts = required_principal(), datetime.now(UTC), services()
    if who.person_id is None:
        raise NotFound
    fonts = Path(parts.settings.documents.font_folder)
    with parts.engine.begin() as connection:
        body = person_file(connection, parts.master_key, who.person_id, actor=who, now=now, font_folder=fonts)
    headers = {"Content-Disposition": 'attachment; filename="my-data.zip"'}
    return Response(body, 200, headers, content_type="application/zip")
