"""Door events from many devices over one connection, and when their answers came back."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

ANSWER_ID = re.compile(rb'"id":"b(\d+)"')
WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class LoadAddress:
    """The broker and a user that may speak for every benchmarked device."""

    port: int
    user: str
    password: str
    topic_root: str = "estate"
    host: str = "127.0.0.1"


def send_at_once(_client: mqtt.Client, _user: object, connection: socket.socket) -> None:
    """Small packets leave without waiting for more."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


EventMaker = Callable[[int], tuple[str, bytes]]
"""Number of the event → (topic, payload); the payload's id is `b<number>`."""


class _Load:
    def __init__(self, address: LoadAddress, make_event: EventMaker) -> None:
        self.sent_s: dict[int, float] = {}
        self.latencies_s: dict[int, float] = {}
        self.changed = threading.Condition()
        self._make_event = make_event
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"load-{time.monotonic_ns()}", protocol=mqtt.MQTTv311
        )
        self.client.username_pw_set(address.user, address.password)
        self.client.max_inflight_messages_set(2000)
        ready = threading.Event()
        self.client.on_connect = lambda client, *_: client.subscribe(f"{address.topic_root}/+/+/answer", 1)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = self._on_message
        self.after_answer: Callable[[int], None] = lambda _: None
        self.client.on_socket_open = send_at_once
        self.client.connect(address.host, address.port)
        self.client.loop_start()
        if not ready.wait(10):
            raise TimeoutError("the broker did not accept the load's subscription")

    def send(self, number: int) -> None:
        topic, payload = self._make_event(number)
        self.sent_s[number] = time.perf_counter()
        self.client.publish(topic, payload, qos=1)

    def _on_message(self, _client: mqtt.Client, _user: object, message: mqtt.MQTTMessage) -> None:
        now_s = time.perf_counter()
        for found in ANSWER_ID.findall(message.payload):
            number = int(found)
            if number in self.sent_s and number not in self.latencies_s:
                self.latencies_s[number] = now_s - self.sent_s[number]
                self.after_answer(number)

    def wait(self, count: int) -> None:
        deadline_s = time.monotonic() + WITHIN_S
        while len(self.latencies_s) < count:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{len(self.latencies_s)} of {count} events were answered in {WITHIN_S} s")
            time.sleep(0.005)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def answers_per_second(
    address: LoadAddress, make_event: EventMaker, *, first: int, count: int, in_flight: int
) -> float:
    """Closed loop: a new event for each answer, `in_flight` at a time; events answered a second."""
    load = _Load(address, make_event)
    try:
        last = first + count
        upcoming = iter(range(first + in_flight, last))

        def send_next(_: int) -> None:
            number = next(upcoming, None)
            if number is not None:
                load.send(number)

        load.after_answer = send_next
        started_s = time.perf_counter()
        for number in range(first, min(first + in_flight, last)):
            load.send(number)
        load.wait(count)
        return count / (time.perf_counter() - started_s)
    finally:
        load.close()


def latencies_at_rate(
    address: LoadAddress, make_event: EventMaker, *, first: int, count: int, rate: float
) -> list[float]:
    """Open loop: `rate` events a second whatever the answers do; seconds from sending to the answer."""
    load = _Load(address, make_event)
    try:
        started_s = time.perf_counter()
        for index in range(count):
            ahead_s = started_s + index / rate - time.perf_counter()
            if ahead_s > 0:
                time.sleep(ahead_s)
            load.send(first + index)
        load.wait(count)
        return list(load.latencies_s.values())
    finally:
        load.close()
