"""paho driven by hand over a socket in memory: batches in, one write out, and no packet lost between."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest

from gateway.batch_socket import BatchSocket
from gateway.mqtt import BrokerAddress, BrokerLink

CONNACK, SUBACK = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01"


class Wire:
    """The broker's end, as bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on_disk = True  # whatever was read, at once
        self.told: list[str] = []
        self.messages: list[tuple[str, bytes]] = []
        self.ours: socket.socket | None = None
        self._broker: socket.socket | None = None
        monkeypatch.setattr(paho.Client, "_create_socket_connection", lambda _client: self._dial())
        self.link = BrokerLink(
            BrokerAddress("127.0.0.1", 1, "g"),
            ["estate/e/+/event"],
            lambda topic, payload: self.messages.append((topic, payload)),
            self,
        )

    def _dial(self) -> socket.socket:
        self.close()
        self.ours, self._broker = socket.socketpair()
        self._broker.setblocking(False)
        return self.ours

    def connect(self) -> None:
        self.link.connect(0.0)
        self.say(CONNACK)
        self.say(SUBACK)

    def say(self, data: bytes) -> None:
        assert self._broker is not None
        self._broker.sendall(data)
        self.link.read()
        if self.on_disk:
            self.link.acknowledge(self.link.position)
        self.link.flush()

    def heard(self) -> bytes:
        assert self._broker is not None
        try:
            return self._broker.recv(1 << 20)
        except BlockingIOError:
            return b""

    def hang_up(self) -> None:
        assert self._broker is not None
        self._broker.close()
        self.link.read()

    def close(self) -> None:
        for end in (self.ours, self._broker):
            if end is not None:
                end.close()

    def connected(self) -> None:
        self.told.append("connected")

    def refused(self, reason: str) -> None:
        self.told.append(f"refused: {reason}")

    def lost(self) -> None:
        self.told.append("lost")


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    wire = Wire(monkeypatch)
    yield wire
    wire.link.close()
    wire.close()


def publish(number: int, payload: bytes, topic: bytes = b"estate/e/gate/event") -> bytes:
    body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", number) + payload
    length, encoded = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        encoded += bytes([digit | (0x80 if length else 0)])
        if not length:
            return b"\x32" + encoded + body


def test_the_hook_into_paho_is_still_there() -> None:
    assert callable(getattr(paho.Client, "_create_socket", None))


def test_a_connection_is_made_subscribed_and_told(wire: Wire) -> None:
    wire.connect()
    assert wire.told == ["connected"]
    assert b"estate/e/+/event\x01" in wire.heard()
    assert wire.link.retry_at is None


def test_many_packets_that_arrive_at_once_are_all_read_and_acknowledged_in_one_write(wire: Wire) -> None:
    wire.connect()
    wire.heard()
    wire.say(b"".join(publish(number, b"x%d" % number) for number in range(1, 301)))
    assert wire.messages == [("estate/e/gate/event", b"x%d" % number) for number in range(1, 301)]
    acknowledged = wire.heard()
    assert acknowledged == b"".join(b"\x40\x02" + struct.pack("!H", number) for number in range(1, 301))


def test_what_the_broker_kept_for_us_is_answered_before_it_has_answered_our_subscriptions(wire: Wire) -> None:
    wire.link.connect(0.0)
    assert not wire.link.publish("estate/e/gate/answer", b"too early")
    wire.say(CONNACK + publish(1, b"kept"))
    assert wire.messages == [("estate/e/gate/event", b"kept")]
    assert wire.link.publish("estate/e/gate/answer", b"the answer")
    wire.link.flush()
    assert b"the answer" in wire.heard()


def test_what_is_not_on_the_disk_stays_with_the_broker_and_comes_again_on_the_next_connection(
    wire: Wire,
) -> None:
    wire.connect()
    wire.heard()
    wire.on_disk = False
    wire.say(publish(1, b"a") + publish(2, b"b") + publish(3, b"c"))
    assert wire.heard() == b""
    wire.link.acknowledge(2)
    wire.link.flush()
    assert wire.heard() == b"\x40\x02\x00\x01\x40\x02\x00\x02"
    wire.hang_up()
    wire.connect()
    wire.heard()
    wire.say(publish(3, b"c"))
    wire.link.acknowledge(3)  # of the connection before
    wire.link.flush()
    assert wire.heard() == b""
    wire.link.acknowledge(4)
    wire.link.flush()
    assert wire.heard() == b"\x40\x02\x00\x03"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_packets_cut_anywhere_are_put_together(wire: Wire, step: int) -> None:
    wire.connect()
    data = publish(1, b"a" * 300) + publish(2, b"") + publish(3, b"c" * 20_000)
    size = max(1, len(data) // 40) if step == 1000 else step
    limit = len(data) if step > 3 else 400
    for start in range(0, limit, size):
        wire.say(data[start : min(start + size, limit)])
    if limit < len(data):
        wire.say(data[limit:])
    assert [len(payload) for _, payload in wire.messages] == [300, 0, 20_000]


def test_a_large_message_is_read_over_several_wakes(wire: Wire) -> None:
    wire.connect()
    data = publish(1, b"p" * 3_000_000)
    for start in range(0, len(data), 60_000):
        wire.say(data[start : start + 60_000])
    assert [len(payload) for _, payload in wire.messages] == [3_000_000]


def test_answers_are_sent_together_and_never_retained(wire: Wire) -> None:
    wire.connect()
    wire.heard()
    for number in range(50):
        assert wire.link.publish("estate/e/gate/answer", b"%d" % number)
    assert wire.heard() == b""
    wire.link.flush()
    assert wire.heard().count(b"\x32") >= 50  # PUBLISH, QoS 1, not retained


def test_without_a_connection_nothing_is_taken_to_be_sent_later(wire: Wire) -> None:
    assert not wire.link.publish("estate/e/gate/answer", b"early")
    wire.connect()
    wire.hang_up()
    assert wire.told == ["connected", "lost"]
    assert not wire.link.publish("estate/e/gate/answer", b"late")
    wire.connect()
    assert b"early" not in wire.heard()
    assert wire.told == ["connected", "lost", "connected"]


def test_a_broker_that_refuses_us_is_told_and_tried_again_later(wire: Wire) -> None:
    wire.link.connect(100.0)
    wire.say(b"\x20\x02\x00\x05")
    assert wire.told[0].startswith("refused: ")
    assert wire.told[-1] == "lost"
    assert wire.link.retry_at is not None
    assert wire.link.retry_at > 100.0


def test_a_refused_subscription_is_told(wire: Wire) -> None:
    wire.link.connect(0.0)
    wire.say(CONNACK)
    wire.say(b"\x90\x03\x00\x01\x80")
    assert any("estate/e/+/event" in words for words in wire.told)


def test_nobody_listening_is_told_and_tried_later_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Listener:
        def connected(self) -> None: ...

        def refused(self, reason: str) -> None:
            told.append(reason)

        def lost(self) -> None: ...

    def nobody(_client: paho.Client) -> Any:
        raise ConnectionRefusedError("nobody")

    monkeypatch.setattr(paho.Client, "_create_socket_connection", nobody)
    link = BrokerLink(BrokerAddress("127.0.0.1", 1, "g"), [], lambda *_: None, Listener())
    waits = []
    for _ in range(8):
        link.connect(0.0)
        assert link.retry_at is not None
        waits.append(link.retry_at)
    assert told[0] == "127.0.0.1:1: nobody"
    assert waits == sorted(waits)
    assert waits[-1] == 5.0


def test_bytes_the_kernel_will_not_take_wait_and_are_bounded(wire: Wire) -> None:
    wire.connect()
    wire.heard()
    payload, taken = b"z" * 100_000, 0
    while wire.link.publish("estate/e/gate/answer", payload):
        wire.link.flush()
        taken += 1
        assert taken < 500, "a broker that takes nothing must not fill the memory"
    assert wire.link.wants_write
    received = 0
    while part := wire.heard():
        received += len(part)
        wire.link.flush()
    assert received > taken * len(payload)
    assert not wire.link.wants_write
    assert wire.link.publish("estate/e/gate/answer", payload)


def test_the_end_of_the_stream_is_seen_after_what_came_before_it() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    batch = BatchSocket(ours)
    theirs.sendall(b"last words")
    theirs.close()
    batch.fill()
    batch.fill()
    assert batch.recv(100) == b"last words"
    assert batch.recv(1) == b""
    batch.close()
