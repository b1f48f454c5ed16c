"""The floor for doors: a bare paho client that answers each event with its id and does nothing else.

Run as a process of its own: `python -m tests.benchmarks.echo PORT USER PASSWORD ROOT`.
"""

from __future__ import annotations

import re
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.benchmarks.load import send_at_once

EVENT_ID = re.compile(rb'"id":"b\d+"')


def main(port: int, user: str, password: str, root: str) -> None:
    """Echo until killed."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=user, protocol=mqtt.MQTTv311)
    client.username_pw_set(user, password)
    client.max_inflight_messages_set(2000)

    def answer(echo: mqtt.Client, _user: object, message: mqtt.MQTTMessage) -> None:
        found = EVENT_ID.search(message.payload)
        if found:
            echo.publish(message.topic.removesuffix("event") + "answer", b"{" + found[0] + b"}", 1)

    client.on_connect = lambda echo, *_: echo.subscribe(f"{root}/+/+/event", 1)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.on_message = answer
    client.on_socket_open = send_at_once
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
