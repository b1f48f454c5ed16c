"""Runs a WSGI application by granian: processes that end with this one, TLS where it is configured."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from granian import Granian
from granian.constants import Interfaces

from estate.processes import StartFailedError

# Long polls are not waited for when the server stops.
STOP_WITHIN_S = 5


@dataclass(frozen=True, slots=True)
class Listener:
    """Where and how to serve.

    Attributes:
        setting: the configuration's key of the port, for the sentence when it is taken.
        certificate, key: PEM files; empty for plain HTTP, on this machine only.
    """

    host: str
    port: int
    setting: str
    workers: int = 1
    threads: int = 1
    certificate: str = ""
    key: str = ""


def serve_wsgi(factory: str, listener: Listener) -> None:
    """Serve until told to stop.

    Args:
        factory: `module:function` that each worker calls to make its application.
        listener: where.
    Raises:
        StartFailedError: the port is taken.
    """
    _check_port(listener)
    os.environ["ESTATE_DIE_WITH_PARENT"] = "1"
    Granian(
        factory,
        factory=True,
        interface=Interfaces.WSGI,
        address=listener.host,
        port=listener.port,
        workers=listener.workers,
        blocking_threads=listener.threads,
        ssl_cert=Path(listener.certificate) if listener.certificate else None,
        ssl_key=Path(listener.key) if listener.key else None,
        workers_kill_timeout=STOP_WITHIN_S,
        respawn_failed_workers=True,
        websockets=False,
    ).serve()


def _check_port(listener: Listener) -> None:
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listener.host, listener.port))
        except OSError as error:
            port, key = listener.port, listener.setting
            raise StartFailedError(
                f"端口 {port} 不能用（{error.strerror}），请停掉占用它的程序或改 {key}  |  "
                f"Port {port} cannot be used ({error.strerror}): stop what uses it, or change {key}"
            ) from error
