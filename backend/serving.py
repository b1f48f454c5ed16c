"""Runs the web server: granian with several processes, each of which ends with this one."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from granian import Granian
from granian.constants import Interfaces

from backend import settings as configuration
from backend.app import create_app
from backend.settings import BackendSettings
from estate.logs import configure_logs
from estate.processes import StartFailedError, die_with_current_parent

# Long polls are not waited for when the server stops.
STOP_WITHIN_S = 5


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
    _check_port(settings.serve.host, settings.serve.port)
    os.environ[configuration.CONFIG_VARIABLE] = str(path.absolute())
    os.environ["ESTATE_DIE_WITH_PARENT"] = "1"
    certificate, key = settings.serve.tls_certificate, settings.serve.tls_key
    Granian(
        "backend.app:create_app_from_environment",
        factory=True,
        interface=Interfaces.WSGI,
        address=settings.serve.host,
        port=settings.serve.port,
        workers=settings.serve.workers,
        blocking_threads=settings.serve.threads,
        ssl_cert=Path(certificate) if certificate else None,
        ssl_key=Path(key) if key else None,
        workers_kill_timeout=STOP_WITHIN_S,
        respawn_failed_workers=True,
        websockets=False,
    ).serve()


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartFailedError(
                f"端口 {port} 不能用（{error.strerror}），请停掉占用它的程序或改 serve.port  |  "
                f"Port {port} cannot be used ({error.strerror}): stop what uses it, or change serve.port"
            ) from error
