"""Serves a simulated payment channel over HTTP and sends its notices."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import requests
import structlog
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from estate.processes import StartFailedError
from simulators.stripe.app import create_app
from simulators.stripe.core import StripeCore
from simulators.stripe.deliveries import Notice

LOOK_AGAIN_S = 0.25  # how late something may be noticed that fell due without a request
log = structlog.get_logger(__name__)


class _QuietHandler(WSGIRequestHandler):
    """Says nothing about each request."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Only errors of ours."""
        if type == "error":
            log.error("stripe stand-in", message=message % args if args else message)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any.

    Raises:
        StartFailedError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        reason = "已被占用 (is in use)" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise StartFailedError(
            f"支付模拟器未启动：{host}:{port} {reason}，请换一个端口（--port）  |  "
            f"The payment stand-in did not start: {host}:{port}: {reason}; choose another --port"
        ) from error
    return listener


@dataclass(frozen=True, slots=True)
class SendingSettings:
    """How notices are sent: `side_by_side` at once, each given up after `timeout_s`; `ca_file` for TLS."""

    side_by_side: int = 16
    timeout_s: float = 20.0
    ca_file: str | None = None


class Channel(Protocol):
    """A simulated channel, as far as its notices go."""

    def now(self) -> float:
        """The simulated moment, in seconds since 1970."""

    def due_notices(self) -> list[Notice]:
        """Take the notices to be sent now."""

    def delivered(self, notice: Notice, status: int | None) -> None:
        """How sending one went."""

    def next_notice_due(self) -> float | None:
        """When the next one has to leave."""


class Sender:
    """Sends notices as they fall due; one thread decides, a pool sends."""

    def __init__(self, core: Channel, settings: SendingSettings) -> None:
        self._core = core
        self._settings = settings
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(settings.side_by_side, thread_name_prefix="stripe-notice")
        self._thread = threading.Thread(target=self._run, name="stripe-sender", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Something happened: look at once."""
        self._wake.set()

    def stop(self) -> None:
        """Stop sending; what was not delivered stays open."""
        self._stop.set()
        self._wake.set()
        self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._send_all(self._core.due_notices())
            except Exception:  # a fault of ours must not end all sending
                log.exception("stripe stand-in: sending failed")
            due = self._core.next_notice_due()
            wait_s = LOOK_AGAIN_S if due is None else min(LOOK_AGAIN_S, max(0.0, due - self._core.now()))
            self._wake.wait(wait_s)
            self._wake.clear()

    def _send_all(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            if notice.attempt.alone:
                self._send(notice)
            else:
                self._pool.submit(self._send, notice)

    def _send(self, notice: Notice) -> None:
        status: int | None = None
        try:
            answer = self._session().post(
                notice.url,
                data=notice.body,
                headers=dict(notice.headers),
                timeout=self._settings.timeout_s,
                allow_redirects=False,
            )
            status = answer.status_code
        except requests.exceptions.RequestException as error:
            log.info("notice not delivered", event=notice.attempt.event_id, reason=type(error).__name__)
        self._core.delivered(notice, status)
        self._wake.set()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False  # a proxy of the machine must not see notices
            if self._settings.ca_file is not None:
                session.verify = self._settings.ca_file
        return session


class ChannelServer:
    """A channel on a port, with its sender. A context manager.

    Args:
        make_app: makes the application, given what to call after each request.
    """

    def __init__(
        self,
        core: Channel,
        make_app: Callable[[Callable[[], None]], Flask],
        listener: socket.socket,
        sending: SendingSettings | None = None,
    ) -> None:
        self._listener = listener
        self._sender = Sender(core, sending or SendingSettings())
        host, self.port = listener.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        app = make_app(self._sender.wake)
        self._server = make_server(
            host, self.port, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno()
        )
        self._server.daemon_threads = True  # type: ignore[attr-defined]  # of socketserver.ThreadingMixIn
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        """Answer requests and send notices."""
        self._sender.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop both and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._listener.close()
        self._sender.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class StripeServer(ChannelServer):
    """The simulated Stripe on a port."""

    def __init__(
        self, core: StripeCore, listener: socket.socket, sending: SendingSettings | None = None
    ) -> None:
        self.core = core
        super().__init__(core, lambda wake: create_app(core, wake), listener, sending)
