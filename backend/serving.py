"""Runs the web server: granian with several processes, each of which ends with this one."""

from __future__ import annotations

import os
from pathlib import Path

from backend import settings as configuration
from backend.app import create_app
from backend.settings import BackendSettings
from estate.logs import configure_logs
from estate.processes import die_with_current_parent
from estate.serving import Listener, serve_wsgi


def serve_forever(settings: BackendSettings, path: Path) -> None:
    """Serve until told to stop.

    Raises:
        SettingsError: the configuration must not be started with.
        StartFailedError: the port is taken.
    """
    if os.environ.get("ESTATE_DIE_WITH_PARENT") == "1":
        die_with_current_parent()
    configure_logs("backend", settings.log_level)
    # A mistake in the settings is told here once, and not by each worker that dies of it.
    create_app(settings).extensions["estate"].close()
    os.environ[configuration.CONFIG_VARIABLE] = str(path.absolute())
    serve = settings.serve
    serve_wsgi(
        "backend.app:create_app_from_environment",
        Listener(
            serve.host,
            serve.port,
            "serve.port",
            serve.workers,
            serve.threads,
            serve.tls_certificate or "",
            serve.tls_key or "",
        ),
    )
