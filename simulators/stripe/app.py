"""The core as a WSGI application: the API, the pages people click, the control API."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, NotFound

from simulators.stripe.control import create_control
from simulators.stripe.core import StripeCore
from simulators.stripe.errors import RefusedError
from simulators.stripe.pages import create_pages

BODY_BYTES_MAX = 1 << 20
METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]


def create_app(core: StripeCore, happened: Callable[[], None] = lambda: None) -> Flask:
    """The whole stand-in.

    Args:
        happened: called after each request, so that notices leave at once.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's own provider has it
    app.register_blueprint(create_pages(core))
    app.register_blueprint(create_control(core))

    @app.route("/v1/<path:_rest>", methods=METHODS)
    def api(_rest: str) -> Response:
        params = request.get_data() if request.method == "POST" else request.query_string
        found = core.handle(request.method, request.path, params, dict(request.headers))
        if found.lost:
            break_connection()
        return Response(
            json.dumps(found.body, indent=2, ensure_ascii=False),
            status=found.status or 200,
            headers=dict(found.headers),
            mimetype="application/json",
        )

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[str | dict[str, object], int]:
        if not request.path.startswith(("/v1", "/_control")):
            return f"{error.code} {error.name}", error.code or 500
        refused = RefusedError(f"{error.name}: {request.method} {request.path[:200]}")
        return {"error": refused.error}, error.code or 500

    @app.errorhandler(RefusedError)
    def page_error(refused: RefusedError) -> Response:
        return Response(
            f"找不到这个页面，或者它已失效。请回到原来的网页重新开始。\n"
            f"This page does not exist or is no longer valid: {refused}",
            status=refused.status,
            mimetype="text/plain",
        )

    @app.get("/")
    def index() -> str:
        return "模拟的 Stripe 收款渠道（不收真钱） | a simulated Stripe: no real money moves here"

    @app.after_request
    def done(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        happened()
        return response

    return app


def break_connection() -> None:
    """Cut the line instead of answering; what was done stays done."""
    line = request.environ.get("werkzeug.socket")
    if not isinstance(line, socket.socket):
        raise NotFound
    line.shutdown(socket.SHUT_RDWR)
