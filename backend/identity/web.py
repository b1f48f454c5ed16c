"""Identity in a request: the session cookie, the current principal, and what a view requires."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

from flask import Flask, g, request, session
from werkzeug.wrappers import Response

from backend.identity.errors import NotAllowedError, NotLoggedInError
from backend.identity.passwords import prepare
from backend.identity.principal import Principal, Role
from backend.identity.service import log_in, log_out, principal_of
from backend.services import services

COOKIE = "estate_session"
LOGIN_PATH = "/login"

P = ParamSpec("P")
R = TypeVar("R")


def install(app: Flask) -> None:
    """Prepare what the first login would otherwise wait for, and tell templates who is logged in."""
    prepare()
    app.context_processor(lambda: {"current_principal": current_principal})


def current_principal() -> Principal | None:
    """Who is logged in; asked of the database once a request."""
    if "principal" not in g:
        token = request.cookies.get(COOKIE)
        g.principal = None
        if token:
            parts = services()
            with parts.engine.begin() as connection:
                g.principal = principal_of(connection, token, datetime.now(UTC), parts.settings.login)
    return cast("Principal | None", g.principal)


def required_principal() -> Principal:
    """Who is logged in.

    Raises:
        NotLoggedInError: nobody; a page answers with the way to the login, an interface with 401.
    """
    principal = current_principal()
    if principal is None:
        raise NotLoggedInError
    return principal


def requires(*roles: Role) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A view for principals who hold one of `roles` for at least one estate.

    Which estates it shows is the view's own matter: `principal.estates(role)`, or `check_role`.
    """

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            principal = required_principal()
            if not any(principal.holds(role) for role in roles):
                raise NotAllowedError(principal.actor, request.endpoint or request.path, roles, None)
            return view(*args, **kwargs)

        return guarded

    return decorate


def sign_in(login: str, password: str) -> str:
    """Log in from this request and return the token for `set_session_cookie`; ends the browser's old session.

    Raises:
        LoginRefusedError, TooManyAttemptsError.
    """
    parts, now = services(), datetime.now(UTC)
    token = log_in(
        parts.engine,
        login,
        password,
        address=request.remote_addr or "unknown",
        now=now,
        rules=parts.settings.login,
    )
    _end_old_session(now)
    return token


def sign_out(response: Response) -> None:
    """End this browser's session and take its cookie away."""
    _end_old_session(datetime.now(UTC))
    response.delete_cookie(COOKIE, path="/")


def set_session_cookie(response: Response, token: str) -> None:
    """Hand the token to the browser, out of reach of scripts and of other sites."""
    response.set_cookie(
        COOKIE,
        token,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=services().settings.serve.public_url.startswith("https://"),
    )


def local_target(target: str | None, otherwise: str) -> str:
    """A path on this site to go to after the login; anything that leads elsewhere becomes `otherwise`."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return otherwise
    parts = urlsplit(target)
    return otherwise if parts.scheme or parts.netloc else target


def _end_old_session(now: datetime) -> None:
    token = request.cookies.get(COOKIE)
    if token:
        with services().engine.begin() as connection:
            log_out(connection, token, now)
    # A new CSRF token for whoever is there now.
    session.clear()
    g.pop("principal", None)
    g.pop("csrf_token", None)
