"""The web process: one composition root, `create_app(settings)`."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from backend import settings as configuration
from backend import web
from backend.api import biometric, errors, gateways, headers, health, requests, uploads
from backend.api.csrf import CSRFProtect
from backend.db.engine import connect, make_engine
from backend.identity import web as identity_web
from backend.payments import views as payments
from backend.registry.keys import MasterKey
from backend.registry.signal import RosterSignal
from backend.services import Services
from backend.settings import BackendSettings
from estate.config import read_secret
from estate.logs import configure_logs
from estate.processes import die_with_current_parent

FORM_BYTES_MAX = 256 * 1024  # of a page's form; interfaces set their own bound


def create_app(settings: BackendSettings) -> Flask:
    """Build the application; it connects to the database on its first request.

    Raises:
        SettingsError: a secret's file is missing or wrong.
    """
    app = Flask("backend", static_folder=None, template_folder=None)
    app.extensions["estate"] = _services(settings)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    secure = settings.serve.public_url.startswith("https://")
    app.config.update(
        SECRET_KEY=read_secret(Path(settings.secrets.session_key_file), "secrets.session_key_file"),
        # Flask's own cookie carries nothing but the CSRF token; logins are kept on the server.
        SESSION_COOKIE_NAME="estate_form",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=secure,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=settings.login.session_hours),
        WTF_CSRF_TIME_LIMIT=settings.login.session_hours * 3600,
        MAX_CONTENT_LENGTH=FORM_BYTES_MAX,
        MAX_FORM_MEMORY_SIZE=FORM_BYTES_MAX,
    )
    if settings.serve.proxies:
        hops = settings.serve.proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    requests.install(app)
    uploads.install(app)  # before anything reads the form
    # Before the protection of forms: what must not come is counted, whoever sends it.
    biometric.install(app)
    csrf = CSRFProtect(app)
    # A form may lead to the payment channel's page, or to an estate's enrolment desk.
    elsewhere = (*settings.payments.checkout_origins, *sorted(set(settings.enrolment.kiosks.values())))
    headers.install(app, elsewhere, secure)
    errors.install(app)
    identity_web.install(app)
    for blueprint in (health.blueprint, gateways.blueprint, payments.blueprint):
        csrf.exempt(blueprint)
        app.register_blueprint(blueprint)
    web.register(app)
    return app


def create_app_from_environment() -> Flask:
    """The factory that a web server calls in each of its workers; `ESTATE_CONFIG_BACKEND` names the file."""
    if os.environ.get("ESTATE_DIE_WITH_PARENT") == "1":
        die_with_current_parent()
    settings = configuration.load(configuration.settings_path())
    configure_logs("backend", settings.log_level)
    return create_app(settings)


def _services(settings: BackendSettings) -> Services:
    url, password_file = settings.database.url, settings.database.password_file
    return Services(
        engine=make_engine(settings.database),
        settings=settings,
        master_key=MasterKey.from_file(settings.secrets.master_key_file),
        roster_signal=RosterSignal(
            lambda: connect(url, password_file, autocommit=True), settings.serve.long_polls_max
        ),
    )
