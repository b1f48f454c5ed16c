"""A bare door for tests: sends what it is told to, keeps what came back."""

from __future__ import annotations

import base64
import itertools
import json
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


class Closable(Protocol):
    """A door, or a gateway."""

    def close(self) -> None:
        """Again and again, if need be."""


_OPEN: list[Closable] = []


def close_after_test(one: Closable) -> None:
    """A failing test leaves open what it opened, and a door would go on connecting for ever."""
    _OPEN.append(one)


def close_all() -> None:
    """Close what was opened, the last one first."""
    while _OPEN:
        _OPEN.pop().close()


class Door:
    """One device; `clock_ahead` is how far its own clock is ahead of the right time."""

    def __init__(
        self, estate: str, device: str, password: str, port: int, authority: Path | None = None
    ) -> None:
        self.estate, self.device = estate, device
        self.clock_ahead = timedelta(0)
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.recorded: list[str] = []
        self.unsolicited = 0
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            # Of its own: a door of another test never takes this one's session.
            client_id=f"{device}-{uuid.uuid4().hex[:12]}",
            protocol=mqtt.MQTTv311,
        )
        self._client.username_pw_set(device, password)
        if authority is not None:
            self._client.tls_set(str(authority))
        self._client.on_message = self._on_message
        ready = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe(self.topic("answer"), 1)
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.reconnect_delay_set(1, 1)
        close_after_test(self)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert ready.wait(10), "the broker did not take the door"

    def topic(self, leaf: str) -> str:
        return f"estate/{self.estate}/{self.device}/{leaf}"

    def now(self) -> str:
        return (datetime.now(UTC) + self.clock_ahead).isoformat()

    def send_raw(self, payload: bytes, leaf: str = "event") -> None:
        self._client.publish(self.topic(leaf), payload, qos=1)

    def status(self, state: str = "heartbeat") -> None:
        self.send_raw(json.dumps({"v": 1, "state": state, "at": self.now()}).encode(), "status")

    def card(self, number: str, **more: Any) -> str:
        return self.send({"kind": "card", "card": number, **more})

    def face(
        self, frames: Sequence[npt.NDArray[np.float32]], liveness: str | None = "live", **more: Any
    ) -> str:
        encoded = [{"template": base64.b64encode(frame.astype("<f4").tobytes()).decode()} for frame in frames]
        return self.send({"kind": "face", "frames": encoded, "liveness": liveness, **more})

    def photograph(self, image: bytes, **more: Any) -> str:
        frames = [{"image": base64.b64encode(image).decode()}]
        return self.send({"kind": "face", "frames": frames, "liveness": "live", **more})

    def send(self, content: dict[str, Any]) -> str:
        event = {"v": 1, "id": f"{self.device}-{next(self._numbers)}", "at": self.now(), **content}
        self.send_raw(json.dumps(event).encode())
        return str(event["id"])

    def wait_answer(self, event_id: str, seconds: float = 10.0) -> dict[str, Any]:
        self.wait(lambda: event_id in self.answers, seconds, f"no answer to {event_id}")
        return self.answers[event_id][0]

    def wait_recorded(self, event_id: str, times: int = 1, seconds: float = 10.0) -> None:
        self.wait(lambda: self.recorded.count(event_id) >= times, seconds, f"{event_id} not recorded")

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                raise TimeoutError(f"{what} after {seconds} s; answers {self.answers}, {self.recorded}")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: mqtt.Client, _user: object, message: mqtt.MQTTMessage) -> None:
        assert not message.retain
        content = json.loads(message.payload)
        with self._changed:
            for answer in content["answers"]:
                self.answers.setdefault(answer["id"], []).append(answer)
            self.recorded += content["recorded"]
            self._changed.notify_all()
