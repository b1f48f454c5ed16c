"""Hands photographs to panels on the LAN: each address works once, for one panel's command, for minutes."""

from __future__ import annotations

import secrets
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

import structlog

from estate.processes import StartFailedError

VALID_S = 600.0
TOKENS_MAX = 5_000

log = structlog.get_logger()


class PhotographSource(Protocol):
    """Where photographs for panels are kept; the vault."""

    def photographs(self, estate_id: str) -> Mapping[str, str]:
        """Of whom there is one, and since when: another photograph has another time."""

    def photograph(self, estate_id: str, person_id: str) -> bytes | None:
        """It, as JPEG."""

    def data_version(self) -> int:
        """Another number whenever anything was written."""


class Tokens:
    """Addresses that were given out; may be used from any thread.

    Args:
        new_token: unguessable.
        monotonic: seconds.
    """

    def __init__(
        self,
        new_token: Callable[[], str] = lambda: secrets.token_urlsafe(24),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._new, self._monotonic = new_token, monotonic
        self._lock = threading.Lock()
        self._given: dict[str, tuple[str, str, float]] = {}

    def give(self, estate: str, person: str) -> str:
        """A token for one look at one person's photograph."""
        token, until_s = self._new(), self._monotonic() + VALID_S
        with self._lock:
            while len(self._given) >= TOKENS_MAX:
                del self._given[next(iter(self._given))]
            self._given[token] = (estate, person, until_s)
        return token

    def take(self, token: str) -> tuple[str, str] | None:
        """Whose it was; from now on it is nobody's."""
        with self._lock:
            estate, person, until_s = self._given.pop(token, ("", "", 0.0))
        return (estate, person) if until_s > self._monotonic() else None


class PhotoServer:
    """`GET /photo/<token>`: the photograph, once.

    Args:
        host, port: where to listen; port 0 takes a free one.
        tls: certificate and key; None only on this machine.
        source: the vault.
        tokens: those that were given out.
    Raises:
        StartFailedError: the port is taken, or the certificate cannot be read.
    """

    def __init__(
        self, host: str, port: int, tls: tuple[Path, Path] | None, source: PhotographSource, tokens: Tokens
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                whose = tokens.take(self.path.removeprefix("/photo/"))
                photograph = source.photograph(*whose) if whose is not None else None
                if photograph is None:
                    self.send_error(HTTPStatus.NOT_FOUND)
                    return
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "image/jpeg")
                self.send_header("Content-Length", str(len(photograph)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(photograph)

            def log_message(self, format: str, *args: object) -> None:
                """A token in a log could still be used."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
            if tls is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*tls)
                # The handshake is left to the thread of each request: a slow client holds up nobody.
                self._server.socket = context.wrap_socket(
                    self._server.socket, server_side=True, do_handshake_on_connect=False
                )
        except OSError as error:
            raise StartFailedError(
                f"照片服务 {host}:{port} 无法启动（{error}），请检查 [panels]  |  "
                f"cannot serve photographs on {host}:{port} ({error}); check [panels]"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="photos", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
