"""Lets a person or a script act on simulated panels: JSON over HTTP on loopback."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from flask import Flask, abort

from simulators.doors.control import json_body, named
from simulators.panels.device import PanelDevice
from simulators.panels.panel import Panel
from simulators.panels.words import PICTURE


def create_control(panels: dict[str, PanelDevice]) -> Flask:
    """The control pages of running panels.

    `GET /panels`; `POST /panels/<device>/look {"person", "photo": base64}`, `/cut`, `/connect`,
    `/jump {"seconds"}`, `/reset`, `/enrol-by-hand`.
    """
    app = Flask(__name__)

    @app.get("/panels")
    def list_panels() -> dict[str, Any]:
        return {"panels": [_state(name, device) for name, device in panels.items()]}

    @app.post("/panels/<device>/look")
    def look(device: str) -> dict[str, Any]:
        body = json_body()
        person, photo = body.get("person", ""), body.get("photo")
        try:
            picture = base64.b64decode(photo, validate=True) if photo is not None else PICTURE
        except (TypeError, binascii.Error):
            abort(400, "the photo is not base64")
        panel = named(panels, device)
        opened = panel.do(lambda one, now_s: one.look(str(person), now_s, picture))
        return {"opened_by_itself": bool(opened)} | _state(device, panel)

    @app.post("/panels/<device>/<action>")
    def act(device: str, action: str) -> dict[str, Any]:
        panel = named(panels, device)
        if action == "cut":
            panel.cut()
        elif action == "connect":
            panel.start()
        elif action == "jump":
            seconds = json_body().get("seconds")
            if not isinstance(seconds, (int, float)):
                abort(400, 'say how far: {"seconds": 3600}')
            panel.do(lambda one, _now_s: one.jump(float(seconds)))
        elif action == "reset":
            panel.do(lambda one, _now_s: one.factory_reset())
        elif action == "enrol-by-hand":
            panel.do(Panel.enrol_by_hand)
        else:
            abort(404, f"no such action: {action}")
        return _state(device, panel)

    return app


def _state(name: str, device: PanelDevice) -> dict[str, Any]:
    state: dict[str, Any] = device.do(
        lambda panel, _now_s: {
            "device": name,
            "connected": panel.connected,
            "resume": panel.resume,
            "people": sorted(panel.roster),
            "kept": len(panel.kept),
            "openings": panel.openings,
            "clock_off_s": round(panel.clock_off_s, 3),
        }
    )
    return state
