"""One simulated door device speaking the native protocol (docs/asyncapi.yaml) over MQTT 3.1.1."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

HEARTBEAT_S = 20.0
MOST_MESSAGES_IN_FLIGHT = 200


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """Which door this is, and how it proves that to the broker."""

    estate_id: str
    device_id: str
    password: str


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the estate's broker listens; `tls_authority` is the certificate it must be signed by."""

    host: str
    port: int
    tls_authority: Path | None = None
    topic_root: str = "estate"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway said to one event.

    Attributes:
        outcome: open, deny or ask.
        cause: the one cause out of the gateway's list.
        ask: the credentials it asks for.
        opened: whether the door really opened: the answer said so and came in time.
        seconds: from sending the event to the arrival of the answer.
    """

    outcome: str
    cause: str
    ask: tuple[str, ...]
    words_zh: str
    words_en: str
    opened: bool
    seconds: float


@dataclass(slots=True)
class Passage:
    """One person's event at the door; the device keeps it until it is recorded."""

    event_id: str
    payload: dict[str, Any]
    sent_at_s: float
    answers: list[Answer] = field(default_factory=list)
    is_recorded: bool = False
    sendings: int = 0


class DoorDevice:
    """A door: publishes events, opens on a timely answer, keeps events until "recorded", sends again.

    Args:
        identity: estate, device and password.
        broker: the estate's broker.
        resend_after_s: an event not recorded by then is sent again, marked as resent.
        clock: what this device believes the time is (a wrong clock is a scenario).
    """

    def __init__(
        self,
        identity: DeviceIdentity,
        broker: BrokerAddress,
        *,
        resend_after_s: float = 10.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.identity, self.broker = identity, broker
        self.openings = 0
        self.state = "normal"  # or released, or locked: what it was told last
        self._clock, self._resend_after_s = clock, resend_after_s
        self._changed = threading.Condition()
        self._kept: dict[str, Passage] = {}
        self._obeyed: set[str] = set()
        self._stopping = threading.Event()
        self._number = 0
        self._boot = base64.b32encode(time.time_ns().to_bytes(8, "big")).decode().rstrip("=").lower()
        self._client = self._make_client()
        self._housekeeping = threading.Thread(target=self._keep_house, daemon=True)

    # -- life ---------------------------------------------------------------------------------

    def start(self, seconds: float = 10.0) -> None:
        """Connect and wait until the answers' topic is subscribed.

        Raises:
            TimeoutError: the broker did not take this device in time.
        """
        self._client.connect_async(self.broker.host, self.broker.port, keepalive=30)
        self._client.loop_start()
        self._housekeeping.start()
        self._wait(lambda: self._subscribed, seconds, "the broker did not accept the device")

    def stop(self) -> None:
        """Leave without a will; what is not recorded is still in `unrecorded()`."""
        self._stopping.set()
        self._client.disconnect()
        self._client.loop_stop()
        if self._housekeeping.is_alive():
            self._housekeeping.join(5)

    def unrecorded(self) -> list[str]:
        """The ids of the events this device still holds."""
        with self._changed:
            return list(self._kept)

    # -- people at the door -------------------------------------------------------------------

    def show_card(self, number: str) -> Passage:
        """Somebody holds a card to the reader."""
        return self._send({"kind": "card", "card": number})

    def show_face(self, images: Sequence[bytes], liveness: str | None = "live") -> Passage:
        """Somebody looks into the camera: 1 to 8 encoded photographs of one passage."""
        frames = [{"image": base64.b64encode(image).decode()} for image in images]
        return self._send({"kind": "face", "frames": frames, "liveness": liveness})

    def wait_answer(self, passage: Passage, seconds: float = 10.0) -> Answer:
        """The gateway's answer to this passage.

        Raises:
            TimeoutError: none came in time.
        """
        self._wait(lambda: bool(passage.answers), seconds, f"no answer to {passage.event_id}")
        return passage.answers[0]

    def wait_recorded(self, passage: Passage, seconds: float = 10.0) -> None:
        """Wait until the gateway has confirmed that this passage is on its disk.

        Raises:
            TimeoutError: not in time.
        """
        self._wait(lambda: passage.is_recorded, seconds, f"{passage.event_id} was not recorded")

    def send_again(self, passage: Passage) -> None:
        """Send a kept event once more, as a device does that has not seen "recorded"."""
        self._publish_event(passage)

    # -- inside -------------------------------------------------------------------------------

    def _topic(self, leaf: str) -> str:
        return f"{self.broker.topic_root}/{self.identity.estate_id}/{self.identity.device_id}/{leaf}"

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=self.identity.device_id, protocol=mqtt.MQTTv311
        )
        client.username_pw_set(self.identity.device_id, self.identity.password)
        if self.broker.tls_authority is not None:
            client.tls_set(ca_certs=str(self.broker.tls_authority), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        client.max_inflight_messages_set(MOST_MESSAGES_IN_FLIGHT)
        client.reconnect_delay_set(1, 5)
        client.will_set(self._topic("status"), self._status("offline"), qos=1)
        client.on_socket_open = _send_at_once
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._subscribed = False
        return client

    def _status(self, state: str) -> bytes:
        return json.dumps({"v": 1, "state": state, "at": self._now()}).encode()

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _on_connect(
        self, client: mqtt.Client, _user: object, _flags: object, reason: Any, _more: object
    ) -> None:
        if not reason.is_failure:
            client.subscribe([(self._topic("answer"), 1), (self._topic("command"), 1)])

    def _on_subscribe(self, client: mqtt.Client, *_: object) -> None:
        client.publish(self._topic("status"), self._status("online"), qos=1)
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _on_message(self, _client: mqtt.Client, _user: object, message: mqtt.MQTTMessage) -> None:
        now_s = time.monotonic()
        content = json.loads(message.payload)
        with self._changed:
            self._obey(content)
            for answer in content.get("answers", ()):
                passage = self._kept.get(answer["id"])
                if passage is not None:
                    passage.answers.append(self._judge(answer, now_s - passage.sent_at_s))
                    self.openings += passage.answers[-1].opened
            for event_id in content.get("recorded", ()):
                # The answer comes before or with the confirmation, so nothing more is awaited for it.
                passage = self._kept.pop(event_id, None)
                if passage is not None:
                    passage.is_recorded = True
            self._changed.notify_all()

    def _obey(self, content: dict[str, Any]) -> None:
        """A command, if it is one: open once, or hold the lock until told otherwise."""
        if content.get("command") == "open" and content["id"] not in self._obeyed:
            self._obeyed.add(content["id"])  # the broker may bring it twice
            self.openings += 1
        elif content.get("command") == "hold":
            self.state = content["state"]

    @staticmethod
    def _judge(answer: dict[str, Any], seconds: float) -> Answer:
        in_time = seconds * 1000 <= answer.get("open_within_ms", 0)
        return Answer(
            outcome=answer["outcome"],
            cause=answer["cause"],
            ask=tuple(answer.get("ask", ())),
            words_zh=answer.get("zh", ""),
            words_en=answer.get("en", ""),
            opened=answer["outcome"] == "open" and in_time,
            seconds=seconds,
        )

    def _send(self, credential: dict[str, Any]) -> Passage:
        with self._changed:
            self._number += 1
            event_id = f"{self._boot}-{self._number}"
            payload = {"v": 1, "id": event_id, "at": self._now(), "resent": False, **credential}
            passage = Passage(event_id, payload, time.monotonic())
            self._kept[event_id] = passage
        self._publish_event(passage)
        return passage

    def _publish_event(self, passage: Passage) -> None:
        payload = passage.payload | {"resent": passage.sendings > 0}
        passage.sendings += 1
        self._client.publish(self._topic("event"), json.dumps(payload, separators=(",", ":")), qos=1)

    def _keep_house(self) -> None:
        last_heartbeat_s = time.monotonic()
        last_sent_s: dict[str, float] = {}
        while not self._stopping.wait(min(1.0, self._resend_after_s / 4)):
            now_s = time.monotonic()
            if self._client.is_connected() and now_s - last_heartbeat_s >= HEARTBEAT_S:
                last_heartbeat_s = now_s
                self._client.publish(self._topic("status"), self._status("heartbeat"), qos=1)
            with self._changed:
                waiting = list(self._kept.values())
            for passage in waiting:
                last_s = last_sent_s.get(passage.event_id, passage.sent_at_s)
                if self._client.is_connected() and now_s - last_s >= self._resend_after_s:
                    last_sent_s[passage.event_id] = now_s
                    self._publish_event(passage)

    def _wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                raise TimeoutError(f"{self.identity.device_id}: {what} within {seconds} s")


def _send_at_once(_client: mqtt.Client, _user: object, connection: Any) -> None:
    """Without this the kernel holds a small packet back for up to 40 ms, waiting for more to send with it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
