"""A Flask application served on loopback for the length of a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from flask import Flask


class _Handler(WSGIRequestHandler):
    """Werkzeug's handler without an access log, and one that closes each answer.

    When a browser resets its connection, werkzeug leaves the answer open: it reads what the client may still
    send, and only then closes. The collector would find a file behind that answer in whatever test runs then.
    """

    server: Any
    _answer: Any = ()

    def make_environ(self) -> dict[str, Any]:
        environ = super().make_environ()
        environ["tests.keep_answer"] = self._keep
        return environ

    def _keep(self, answer: object) -> None:
        self._answer = answer

    def run_wsgi(self) -> None:
        try:
            super().run_wsgi()
        finally:
            close = getattr(self._answer, "close", None)
            self._answer = ()
            if close is not None:
                close()

    def log(self, *_: object) -> None:
        """A test's output is no access log."""


def _keeping(app: Flask) -> Callable[..., Any]:
    """The application, which shows each answer to the handler that has to close it."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        given = app(environ, start_response)
        environ["tests.keep_answer"](given)
        return given

    return answer


@contextmanager
def served(app: Flask, port: int = 0) -> Iterator[int]:
    """Serve `app` on a thread of its own, on `port` or a free one, and give the port.

    Leaving waits for the requests that are still being answered.
    """
    server = make_server("127.0.0.1", port, _keeping(app), threaded=True, request_handler=_Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
