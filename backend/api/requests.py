"""A request id on each answer and on each log line of its request."""

from __future__ import annotations

import time
import uuid

import structlog
from flask import Flask, Response, g, request

HEADER = "X-Request-Id"

log = structlog.get_logger()


def install(app: Flask) -> None:
    """Give each request an id of our own; a caller's id is not trusted."""

    @app.before_request
    def begin() -> None:
        g.request_id, g.began_at_s = uuid.uuid4().hex, time.monotonic()
        structlog.contextvars.bind_contextvars(process="backend", request_id=g.request_id)

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers[HEADER] = request_id()
        if "began_at_s" in g:
            # The endpoint's name and not the path: a path may carry an id of a person.
            log.info(
                "request",
                endpoint=request.endpoint or "unknown",
                method=request.method,
                status=response.status_code,
                duration_ms=round((time.monotonic() - g.began_at_s) * 1000, 1),
            )
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        structlog.contextvars.unbind_contextvars("process", "request_id")


def request_id() -> str:
    """This request's id."""
    return str(g.get("request_id", "none"))
