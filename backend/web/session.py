"""Logging in and out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from backend.errors import ExplainedError
from backend.identity.errors import LoginRefusedError, TooManyAttemptsError
from backend.identity.service import principal_of
from backend.identity.web import (
    LOGIN_PATH,
    current_principal,
    local_target,
    set_session_cookie,
    sign_in,
    sign_out,
)
from backend.services import services
from backend.web.frame import start_endpoint

blueprint = Blueprint("session", __name__)


@blueprint.get(LOGIN_PATH)
def log_in_page() -> ResponseReturnValue:
    """The form; whoever is logged in already goes on."""
    principal = current_principal()
    if principal is not None:
        return redirect(_next() or url_for(start_endpoint(principal)))
    return _form(200)


@blueprint.post(LOGIN_PATH)
def log_in_now() -> ResponseReturnValue:
    """Begin a session and go to the page that was asked for, or to the one of the role."""
    login, password = request.form.get("login", ""), request.form.get("password", "")
    try:
        token = sign_in(login, password)
    except LoginRefusedError as refused:
        return _form(401, refused, login)
    except TooManyAttemptsError as refused:
        return _form(429, refused, login)
    response = make_response(redirect(_target_of(token), 303))
    set_session_cookie(response, token)
    return response


@blueprint.post("/logout")
def log_out_now() -> ResponseReturnValue:
    """End the session and show the way in again."""
    response = make_response(redirect(url_for("session.log_in_page", out=1), 303))
    sign_out(response)
    return response


def _target_of(token: str) -> str:
    parts = services()
    with parts.engine.begin() as connection:
        principal = principal_of(connection, token, datetime.now(UTC), parts.settings.login)
    return _next() or url_for(start_endpoint(principal) if principal is not None else "home.index")


def _next() -> str:
    """The page on this site that was asked for before the login; empty when there was none."""
    target = local_target(request.values.get("next"), "")
    # Coming back to the login itself would go round in a circle.
    return "" if target.partition("?")[0] in {LOGIN_PATH, "/logout"} else target


def _form(status: int, refused: ExplainedError | None = None, login: str = "") -> ResponseReturnValue:
    again_at = None
    if isinstance(refused, TooManyAttemptsError):
        again_at = datetime.now(UTC) + timedelta(seconds=refused.retry_after_s)
    response = make_response(
        render_template(
            "login.html",
            refused=refused,
            again_at=again_at,
            login=login[:100],
            next=_next(),
            out="out" in request.args,
        ),
        status,
    )
    if isinstance(refused, TooManyAttemptsError):
        response.headers["Retry-After"] = str(refused.retry_after_s)
    return response
