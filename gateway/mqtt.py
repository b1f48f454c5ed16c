"""The broker connection, driven by the gateway's own loop: paho without its thread.

paho reads a packet in three system calls and sends each in one. `BatchSocket` stands between paho and
the kernel: one call reads all that has arrived, one call sends all that a batch produced. That, and no
hand-over between threads, is most of the gateway's speed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from gateway.batch_socket import BatchSocket

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

CONNECT_TIMEOUT_S = 3.0
KEEPALIVE_S = 30
UNSENT_BYTES_MAX = 8 << 20  # a broker that takes no more bytes: answers are dropped, devices send again
RETRY_S_MIN, RETRY_S_MAX = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is and who we are to it."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = None
    authority: Path | None = None  # of the broker's certificate; None: plain text


class BrokerEvents(Protocol):
    """What the connection tells its owner."""

    def connected(self) -> None:
        """The broker accepted us and knows our subscriptions."""

    def refused(self, reason: str) -> None:
        """The broker answered, and will not have us."""

    def lost(self) -> None:
        """The connection has ended, for whatever reason."""


class _Client(paho.Client):
    """paho over a BatchSocket."""

    batch: BatchSocket | None = None

    def _create_socket(self) -> SocketLike:
        # paho's only place where the socket, TLS included, is handed over ready. It has no public name;
        # the lock pins paho's version and tests/unit/gateway/test_mqtt.py fails if this hook goes away.
        kernel = super()._create_socket()
        self.batch = BatchSocket(kernel)  # type: ignore[arg-type]
        return self.batch


class BrokerLink:
    """One client of the broker, for one thread: the loop's.

    Each connection is a new paho client, so that no answer of an earlier connection is sent again:
    the device that missed it sends its event again. The broker keeps our subscriptions while we are
    away (clean_session off), which only saves time: what proves a record is the journal.
    """

    def __init__(
        self,
        address: BrokerAddress,
        filters: list[str],
        on_message: Callable[[str, bytes], None],
        events: BrokerEvents,
    ) -> None:
        self._address, self._filters, self._on_message, self._events = address, filters, on_message, events
        self._client: _Client | None = None
        self._retry_s = RETRY_S_MIN
        self._retry_at = 0.0
        self._misc_at = 0.0
        self._unacknowledged: deque[tuple[int, int]] = deque()  # position, and the packet's number
        self.position = 0  # messages since the start, over all connections
        self.ready = False
        # What the broker kept for us comes before it has answered our subscriptions: answers may go already.
        self._accepted = False

    def connect(self, now_s: float) -> None:
        """Try to connect; on failure `retry_at` says when to try next. Blocks 3 s at the longest."""
        self.close()
        address = self._address
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=address.client_id,
            clean_session=False,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._unacknowledged.clear()
        client.suppress_exceptions = False
        client.connect_timeout = CONNECT_TIMEOUT_S
        # 0: unlimited. With a limit paho walks over all messages in flight at each acknowledgement.
        client.max_inflight_messages_set(0)
        if address.username is not None:
            client.username_pw_set(address.username, address.password)
        if address.authority is not None:
            client.tls_set(str(address.authority))
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_message = self._message
        # With this set, paho leaves writing to the loop instead of writing packet by packet.
        client.on_socket_register_write = _leave_to_the_loop
        self._retry_at = now_s + self._retry_s
        self._retry_s = min(RETRY_S_MAX, self._retry_s * 2)
        try:
            client.connect(address.host, address.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            self._events.refused(f"{address.host}:{address.port}: {error}")
            return
        self._client = client
        self._write(client)

    @property
    def retry_at(self) -> float | None:
        """When to call `connect` next (monotonic seconds); None while there is a connection."""
        return self._retry_at if self._client is None else None

    def fileno(self) -> int:
        """The socket to wait for, or -1."""
        batch = self._client.batch if self._client else None
        return batch.fileno() if batch else -1

    @property
    def wants_write(self) -> bool:
        """Whether to wait until the kernel takes more bytes."""
        batch = self._client.batch if self._client else None
        return bool(batch and batch.unsent)

    def read(self) -> None:
        """Take all that has arrived and hand each message to `on_message`."""
        client = self._client
        if client is None or client.batch is None:
            return
        batch = client.batch
        batch.fill()
        while batch.has_unread and self._client is client:
            before = batch.position
            if client.loop_read() != paho.MQTT_ERR_SUCCESS:
                self._drop(client)
                return
            if batch.position == before and not batch.ended:
                break  # the rest of this packet has not arrived yet

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> bool:
        """Queue a message for the next `flush`; False when there is no connection to queue it on."""
        client = self._client
        if client is None or not self._accepted or client.batch is None:
            return False
        if client.batch.unsent > UNSENT_BYTES_MAX:
            return False
        return client.publish(topic, payload, qos).rc == paho.MQTT_ERR_SUCCESS

    def acknowledge(self, position: int) -> None:
        """Let the broker forget the messages up to there; those of earlier connections it brings again."""
        waiting, client = self._unacknowledged, self._client
        while waiting and waiting[0][0] <= position:
            number = waiting.popleft()[1]
            if client is not None:
                client.ack(number, 1)

    def flush(self) -> None:
        """Send what is queued."""
        if self._client is not None:
            self._write(self._client)

    def tick(self, now_s: float) -> None:
        """Keep-alive, about once a second."""
        if self._client is not None and now_s >= self._misc_at:
            self._misc_at = now_s + 1.0
            if self._client.loop_misc() != paho.MQTT_ERR_SUCCESS:
                self._drop(self._client)
            else:
                self._write(self._client)

    def close(self) -> None:
        """Say good-bye and close; keeps the session at the broker."""
        client, self._client = self._client, None
        if client is not None:
            client.on_disconnect = None
            client.disconnect()
            client.loop_write()
            if client.batch is not None:
                client.batch.flush()
                client.batch.close()
        self.ready = self._accepted = False

    def _write(self, client: _Client) -> None:
        if client.want_write():
            client.loop_write()
        if client.batch is not None:
            client.batch.flush()

    def _drop(self, client: _Client) -> None:
        if self._client is client:
            self._client = None
            if client.batch is not None:
                client.batch.close()
            self.ready = self._accepted = False
            self._events.lost()

    def _connected(
        self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._events.refused(str(reason))
            return
        self._retry_s = RETRY_S_MIN
        self._accepted = True
        client.subscribe([(topic, 1) for topic in self._filters])

    def _subscribed(
        self, _client: paho.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        refused = [name for name, reason in zip(self._filters, reasons, strict=False) if reason.is_failure]
        if refused:
            self._events.refused(f"subscription refused: {', '.join(refused)}")
        self.ready = True
        self._events.connected()

    def _disconnected(
        self, client: paho.Client, _data: Any, _flags: Any, _reason: ReasonCode, _properties: Any
    ) -> None:
        if isinstance(client, _Client):
            self._drop(client)

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.position += 1
        if message.qos:
            self._unacknowledged.append((self.position, message.mid))
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no device of ours has such a name; the broker's own rules refuse it
        self._on_message(topic, bytes(message.payload))


def _leave_to_the_loop(_client: paho.Client, _data: Any, _socket: Any) -> None:
    """The loop flushes after each batch and waits for room itself."""
