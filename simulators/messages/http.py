"""The messenger on a port of this machine."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from werkzeug.serving import WSGIRequestHandler, make_server

from simulators.messages.app import create_app
from simulators.messages.core import MessagesCore
from simulators.stripe.http import listen

HOST = "127.0.0.1"


class _Silent(WSGIRequestHandler):
    """Says nothing: a line for each request would hold what people are told."""

    def log(self, type: str, message: str, *args: object) -> None:
        """Nothing."""


class MessagesServer:
    """A context manager; port 0 takes any."""

    def __init__(self, core: MessagesCore, port: int = 0) -> None:
        self.core = core
        self._listener = listen(HOST, port)
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        self._server = make_server(
            HOST,
            self._listener.getsockname()[1],
            create_app(core),
            threaded=True,
            request_handler=_Silent,
            fd=self._listener.fileno(),
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._listener.close()
