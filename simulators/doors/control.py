"""Lets a person or a script walk up to a simulated door: JSON over HTTP on loopback."""

from __future__ import annotations

import base64
import binascii
import contextlib
from dataclasses import asdict
from typing import Any, TypeVar

from flask import Flask, abort, request

from simulators.doors.device import DoorDevice, Passage

DeviceT = TypeVar("DeviceT")
MOST_PHOTOS = 8


def create_control(doors: dict[str, DoorDevice]) -> Flask:
    """The control pages of a running fleet.

    `GET /doors`; `POST /doors/<device>/card {"number"}`; `POST /doors/<device>/face {"photos": [base64],
    "liveness": "live"|"spoof"|null}`. Both answer with what the gateway said and whether it is recorded.
    """
    app = Flask(__name__)

    @app.get("/doors")
    def list_doors() -> dict[str, Any]:
        return {
            "doors": [
                {
                    "estate": door.identity.estate_id,
                    "device": name,
                    "openings": door.openings,
                    "unrecorded": len(door.unrecorded()),
                }
                for name, door in doors.items()
            ]
        }

    @app.post("/doors/<device>/card")
    def show_card(device: str) -> dict[str, Any]:
        number = json_body().get("number")
        if not isinstance(number, str) or not number:
            abort(400, 'say which card: {"number": "..."}')
        door = named(doors, device)
        return _outcome(door, door.show_card(number))

    @app.post("/doors/<device>/face")
    def show_face(device: str) -> dict[str, Any]:
        body = json_body()
        photos = body.get("photos")
        if not isinstance(photos, list) or not 1 <= len(photos) <= MOST_PHOTOS:
            abort(400, f'give 1 to {MOST_PHOTOS} photographs: {{"photos": ["<base64>", ...]}}')
        try:
            images = [base64.b64decode(photo, validate=True) for photo in photos]
        except (TypeError, binascii.Error):
            abort(400, "a photograph is not base64")
        door = named(doors, device)
        return _outcome(door, door.show_face(images, body.get("liveness")))

    return app


def json_body() -> dict[str, Any]:
    """The request's JSON object, or 400."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        abort(400, "send a JSON object")
    return body


def named(devices: dict[str, DeviceT], device: str) -> DeviceT:
    """The simulated device of that name, or 404."""
    if device not in devices:
        abort(404, f"no simulated device {device}")
    return devices[device]


def _outcome(door: DoorDevice, passage: Passage) -> dict[str, Any]:
    try:
        answer = asdict(door.wait_answer(passage))
    except TimeoutError:
        answer = None
    with contextlib.suppress(TimeoutError):  # shown as is_recorded false: the device keeps the event
        door.wait_recorded(passage)
    return {"event_id": passage.event_id, "answer": answer, "is_recorded": passage.is_recorded}
