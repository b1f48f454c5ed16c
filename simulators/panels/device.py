"""A simulated panel on a real broker."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as mqtt
import requests
from paho.mqtt.enums import CallbackAPIVersion

from simulators.doors.device import BrokerAddress
from simulators.panels.panel import Panel, make_panel
from simulators.panels.words import PICTURE, Quirk

FETCH_S = 10.0
TICK_S = 0.1
SHARED = ("basic", "heartbeat")


class PanelDevice:
    """One panel: connects, keeps its clock and its records, does as it is told.

    Args:
        device_id: its number, which is also its name at the broker.
        password: for the broker.
        broker: where it is.
        root: the family's topic root.
        quirks: where its firmware differs from the manual.
        now_s: the right time.
    """

    def __init__(
        self,
        device_id: str,
        password: str,
        broker: BrokerAddress,
        *,
        root: str = "mqtt/face",
        quirks: Sequence[Quirk] = (),
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.device_id, self._password, self._broker, self._root = device_id, password, broker, root
        self._now_s = now_s
        self._lock = threading.RLock()
        self.panel: Panel = make_panel(device_id, self._say, self._fetch, quirks)
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._client: mqtt.Client | None = None
        self._clockwork = threading.Thread(target=self._tick, daemon=True)

    def start(self, seconds: float = 10.0) -> None:
        """Connect.

        Raises:
            TimeoutError: the broker did not take it in time.
        """
        if not self._clockwork.is_alive():
            self._clockwork.start()
        self._ready.clear()
        self._client = client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=self.device_id, protocol=mqtt.MQTTv311, clean_session=True
        )
        client.username_pw_set(self.device_id, self._password)
        if self._broker.tls_authority is not None:
            client.tls_set(ca_certs=str(self._broker.tls_authority), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        client.will_set(f"{self._root}/basic", json.dumps(self.panel.will()))
        client.on_connect = lambda client, *_: client.subscribe(f"{self._root}/{self.device_id}", 0)
        client.on_subscribe = self._subscribed
        client.on_message = self._message
        client.reconnect_delay_set(1, 5)
        client.connect_async(self._broker.host, self._broker.port, keepalive=30)
        client.loop_start()
        if not self._ready.wait(seconds):
            raise TimeoutError(f"{self.device_id}: the broker did not accept the panel within {seconds} s")

    def cut(self) -> None:
        """Pull the plug of its network: no good-bye, so that the broker says its will."""
        client, self._client = self._client, None
        with self._lock:
            self.panel.disconnect()
        if client is not None:
            sock = client.socket()
            client.on_message = None
            client.loop_stop()
            if sock is not None:
                sock.close()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self.cut()
        if self._clockwork.is_alive():
            self._clockwork.join(5)

    def do(self, what: Callable[[Panel, float], Any]) -> Any:
        """Something happens to the panel, now."""
        with self._lock:
            return what(self.panel, self._now_s())

    def say_raw(self, leaf: str, payload: bytes) -> None:
        """Publish anything, as a broken or a lying panel does."""
        if self._client is not None:
            self._client.publish(self._topic(leaf), payload)

    def _topic(self, leaf: str) -> str:
        return f"{self._root}/{leaf}" if leaf in SHARED else f"{self._root}/{self.device_id}/{leaf}"

    def _say(self, leaf: str, letter: dict[str, Any]) -> None:
        self.say_raw(leaf, json.dumps(letter).encode())

    def _fetch(self, url: str) -> bytes | None:
        if not url.startswith(("http://", "https://")):
            return PICTURE
        authority = self._broker.tls_authority
        try:
            answer = requests.get(url, timeout=FETCH_S, verify=str(authority) if authority else True)
        except requests.RequestException:
            return None
        return answer.content if answer.ok else None

    def _subscribed(self, *_: object) -> None:
        with self._lock:
            self.panel.connect(self._now_s())
        self._ready.set()

    def _message(self, _client: mqtt.Client, _user: object, message: mqtt.MQTTMessage) -> None:
        letter = json.loads(message.payload)
        with self._lock:
            self.panel.receive(letter, self._now_s())

    def _tick(self) -> None:
        while not self._stopping.wait(TICK_S):
            with self._lock:
                self.panel.tick(self._now_s())
