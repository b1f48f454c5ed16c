"""The second floor for doors: an echo that also journals one row an event before it answers.

Grouped as ours: while one commit is under way, what arrives waits for the next. Run as a process of its own:
`python -m tests.benchmarks.echo_journal PORT USER PASSWORD ROOT FILE`.
"""

from __future__ import annotations

import queue
import sqlite3
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.benchmarks.echo import EVENT_ID
from tests.benchmarks.load import send_at_once

Waiting = queue.SimpleQueue[tuple[str, bytes]]


def main(port: int, user: str, password: str, root: str, file: str) -> None:
    """Journal and echo until killed."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=user, protocol=mqtt.MQTTv311)
    client.username_pw_set(user, password)
    client.max_inflight_messages_set(2000)
    waiting: Waiting = queue.SimpleQueue()

    def take(_client: mqtt.Client, _user: object, message: mqtt.MQTTMessage) -> None:
        found = EVENT_ID.search(message.payload)
        if found:
            waiting.put((message.topic, found[0]))

    client.on_connect = lambda echo, *_: echo.subscribe(f"{root}/+/+/event", 1)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.on_message = take
    client.on_socket_open = send_at_once
    client.connect("127.0.0.1", port)
    threading.Thread(target=_journal, args=(file, waiting, client), daemon=True).start()
    client.loop_forever()


def _journal(file: str, waiting: Waiting, client: mqtt.Client) -> None:
    database = sqlite3.connect(file, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE record (seq INTEGER PRIMARY KEY, doc TEXT NOT NULL);"
    )
    while True:
        group = [waiting.get()]
        while not waiting.empty():
            group.append(waiting.get())
        database.execute("BEGIN")
        database.executemany("INSERT INTO record (doc) VALUES (?)", [(found.decode(),) for _, found in group])
        database.execute("COMMIT")
        for topic, found in group:
            client.publish(topic.removesuffix("event") + "answer", b"{" + found + b"}", 1)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
