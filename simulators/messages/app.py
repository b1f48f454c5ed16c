"""The messenger over HTTP: `/v1/messages` for its customers, `/_control/…` for whoever directs the play.

| control request | body | does |
|---|---|---|
| `GET messages` | | every message and what became of it |
| `POST plan` | fields of `Plan` | how it behaves from now on |
| `POST forward` | `seconds` | lets time pass |
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Flask, request

from simulators.messages.core import MessageIn, MessagesCore, Plan, RefusedError

BODY_BYTES_MAX = 64 * 1024


class _Forward(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seconds: float


# Made before any thread uses them: msgspec 0.22 crashes where two are the first, both at once.
_MESSAGE = msgspec.json.Decoder(MessageIn)
_PLAN = msgspec.json.Decoder(Plan)
_FORWARD = msgspec.json.Decoder(_Forward)


def create_app(core: MessagesCore) -> Flask:
    """The whole stand-in."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX

    @app.post("/v1/messages")
    def take() -> dict[str, Any]:
        return {"ref": core.take(_authorization(), _MESSAGE.decode(request.get_data()))}

    @app.get("/v1/messages/<ref>")
    def told(ref: str) -> dict[str, Any]:
        return core.told(_authorization(), ref)

    @app.get("/_control/messages")
    def everything() -> dict[str, Any]:
        return {"messages": core.all()}

    @app.post("/_control/plan")
    def plan() -> dict[str, Any]:
        core.plan(_PLAN.decode(request.get_data()))
        return {}

    @app.post("/_control/forward")
    def forward() -> dict[str, Any]:
        core.forward(_FORWARD.decode(request.get_data()).seconds)
        return {}

    @app.errorhandler(RefusedError)
    def refused(error: RefusedError) -> tuple[dict[str, Any], int]:
        return {"reason": error.reason}, error.status

    @app.errorhandler(msgspec.DecodeError)
    def wrong(error: msgspec.DecodeError) -> tuple[dict[str, Any], int]:
        return {"reason": str(error)}, 422

    return app


def _authorization() -> str:
    return request.headers.get("Authorization", "")
