import contextlib
import queue
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from estate.embedded import broker as broker_module
from estate.embedded.authority import TlsFiles, issue
from estate.embedded.broker import (
    KINDS,
    MESSAGE_BYTES_MAX,
    Broker,
    Kind,
    find_broker,
    find_mosquitto,
    start_broker,
)
from estate.embedded.broker_users import BrokerUser
from estate.processes import StartFailedError, port_answers, wait_until

DOOR = BrokerUser("d1", "secret-1", ("estate/e/d1/answer",), ("estate/e/d1/event", "estate/e/d1/status"))
OTHER = BrokerUser("d2", "secret-2", ("estate/e/d2/answer",), ("estate/e/d2/event",))
GATEWAY = BrokerUser("gw", "secret-3", ("estate/e/+/event", "estate/e/+/status"), ("estate/e/+/answer",))
ACCEPTED = b"\x20\x02\x00\x00"  # CONNACK
OWNER = """
import sys, time
from pathlib import Path
from estate.embedded.broker import KINDS
broker = KINDS[sys.argv[1]](Path(sys.argv[2]), 0, ())
broker.start()
print(broker.pid, flush=True)
time.sleep(60)
"""


@dataclass
class Client:
    """A connected client and what reached it."""

    mqtt: mqtt.Client
    refused: str | None = None
    arrived: "queue.Queue[tuple[str, bytes]]" = field(default_factory=queue.Queue)
    gone: threading.Event = field(default_factory=threading.Event)

    def subscribe(self, topic: str, qos: int = 1) -> None:
        """Ask for a topic and wait for the answer, whatever it is."""
        answered = threading.Event()
        self.mqtt.on_subscribe = lambda *_: answered.set()
        self.mqtt.subscribe(topic, qos)
        assert answered.wait(10)

    def publish(self, topic: str, payload: bytes) -> None:
        """Send with QoS 1 and wait for the broker's acknowledgement."""
        sent = self.mqtt.publish(topic, payload, 1)
        sent.wait_for_publish(10)
        assert sent.is_published()

    def next(self) -> tuple[str, bytes]:
        """The next message's topic and payload."""
        return self.arrived.get(timeout=10)


Connect = Callable[..., Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    clients: list[mqtt.Client] = []

    def start(
        port: int,
        user: BrokerUser | None,
        password: str | None = None,
        client_id: str = "",
        will: tuple[str, bytes] | None = None,
        tls: TlsFiles | None = None,
        keep: bool = False,
    ) -> Client:
        inner = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=not keep,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client, answered = Client(inner), threading.Event()
        if user is not None:
            inner.username_pw_set(user.name, password or user.password)
        if will is not None:
            inner.will_set(*will, qos=1)
        if tls is not None:
            inner.tls_set(str(tls.authority))

        def on_connect(*arguments: object) -> None:
            client.refused = str(arguments[3]) if arguments[3] != 0 else None
            answered.set()

        # Ours do not wait either: what is measured is the broker.
        inner.on_socket_open = lambda _c, _u, opened: opened.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        inner.on_connect = on_connect
        inner.on_message = lambda _c, _u, message: client.arrived.put((message.topic, message.payload))
        inner.on_disconnect = lambda *_: client.gone.set()
        inner.connect("127.0.0.1", port)
        inner.loop_start()
        clients.append(inner)
        assert answered.wait(10)
        return client

    yield start
    for client in clients:
        client.disconnect()
        client.loop_stop()


@pytest.fixture
def let_in(broker: Broker) -> Broker:
    broker.update_users([DOOR, OTHER, GATEWAY])
    return broker


@pytest.mark.parametrize(
    ("user", "password"), [(None, None), (DOOR, "wrong"), (DOOR, "secret-2"), (BrokerUser("d9", "x"), "x")]
)
def test_a_client_without_its_own_password_is_refused(
    let_in: Broker, connect: Connect, user: BrokerUser | None, password: str | None
) -> None:
    assert connect(let_in.port, user, password).refused == "Not authorized"


def test_an_event_and_its_answer_go_through(let_in: Broker, connect: Connect) -> None:
    gateway, door = connect(let_in.port, GATEWAY), connect(let_in.port, DOOR)
    assert (gateway.refused, door.refused) == (None, None)
    gateway.subscribe("estate/e/+/event")
    door.subscribe("estate/e/d1/answer")
    door.publish("estate/e/d1/event", b"face")
    assert gateway.next() == ("estate/e/d1/event", b"face")
    gateway.publish("estate/e/d1/answer", b"open")
    assert door.next() == ("estate/e/d1/answer", b"open")


@pytest.mark.parametrize("topic", ["estate/e/d2/event", "estate/e/d1/answer", "estate/e/d1", "other"])
def test_what_is_published_to_a_foreign_topic_reaches_nobody(
    let_in: Broker, connect: Connect, topic: str
) -> None:
    everything = BrokerUser("all", "secret-4", reads=("#",))
    let_in.update_users([DOOR, OTHER, GATEWAY, everything])
    listener, door = connect(let_in.port, everything), connect(let_in.port, DOOR)
    listener.subscribe("#")
    door.publish(topic, b"forged")
    door.publish("estate/e/d1/event", b"own")
    assert listener.next() == ("estate/e/d1/event", b"own")


@pytest.mark.parametrize("topic", ["estate/e/d2/answer", "estate/e/+/answer", "estate/#", "#"])
def test_subscribing_to_a_foreign_topic_brings_nothing(let_in: Broker, connect: Connect, topic: str) -> None:
    door, gateway = connect(let_in.port, DOOR), connect(let_in.port, GATEWAY)
    door.subscribe(topic)
    door.subscribe("estate/e/d1/answer")
    gateway.publish("estate/e/d2/answer", b"for another")
    gateway.publish("estate/e/d1/answer", b"own")
    assert door.next() == ("estate/e/d1/answer", b"own")


def test_a_will_reaches_the_gateway_when_a_door_drops_out(let_in: Broker, connect: Connect) -> None:
    gateway = connect(let_in.port, GATEWAY)
    gateway.subscribe("estate/e/+/status")
    door = connect(let_in.port, DOOR, will=("estate/e/d1/status", b"offline"))
    drop(door)
    assert gateway.next() == ("estate/e/d1/status", b"offline")


def test_a_will_on_a_foreign_topic_reaches_nobody(let_in: Broker, connect: Connect) -> None:
    gateway = connect(let_in.port, GATEWAY)
    gateway.subscribe("estate/e/+/event")
    forger = connect(let_in.port, DOOR, will=("estate/e/d2/event", b"forged"))
    if forger.refused is None:
        drop(forger)
    connect(let_in.port, OTHER).publish("estate/e/d2/event", b"own")
    assert gateway.next() == ("estate/e/d2/event", b"own")


def drop(client: Client) -> None:
    """Break the connection without a word, as a power cut does."""
    inner = client.mqtt.socket()
    assert inner is not None
    inner.shutdown(socket.SHUT_RDWR)
    assert client.gone.wait(10)


def said_until_heard(door: Client, gateway: Client, topic: str, payload: bytes) -> bool:
    """As a device does: again until it has arrived. amqtt once lost an acknowledged message under load."""
    for _ in range(5):
        door.publish(topic, payload)
        with contextlib.suppress(queue.Empty):
            return gateway.arrived.get(timeout=2) == (topic, payload)
    return False


def test_a_stranger_with_a_clients_id_does_not_cut_that_client(let_in: Broker, connect: Connect) -> None:
    door, gateway = connect(let_in.port, DOOR, client_id="d1"), connect(let_in.port, GATEWAY)
    gateway.subscribe("estate/e/+/event")
    assert connect(let_in.port, DOOR, "wrong", client_id="d1").refused == "Not authorized"
    assert connect(let_in.port, None, client_id="d1").refused == "Not authorized"
    assert said_until_heard(door, gateway, "estate/e/d1/event", b"still here")
    assert not door.gone.is_set()


def test_a_message_for_an_absent_client_waits_for_it(let_in: Broker, connect: Connect) -> None:
    gateway = connect(let_in.port, GATEWAY, client_id="gw", keep=True)
    gateway.subscribe("estate/e/+/event")
    gateway.mqtt.disconnect()
    assert gateway.gone.wait(10)
    connect(let_in.port, DOOR).publish("estate/e/d1/event", b"while you were away")
    assert connect(let_in.port, GATEWAY, client_id="gw", keep=True).next() == (
        "estate/e/d1/event",
        b"while you were away",
    )


def test_a_user_who_is_gone_or_changed_is_cut_at_once_and_others_stay(
    let_in: Broker, connect: Connect
) -> None:
    door, other = connect(let_in.port, DOOR), connect(let_in.port, OTHER)
    gateway = connect(let_in.port, GATEWAY)
    gateway.subscribe("estate/e/+/event")
    changed = BrokerUser("d2", "another", writes=OTHER.writes)
    let_in.update_users([GATEWAY, changed])
    assert door.gone.wait(10)
    assert other.gone.wait(10)
    assert connect(let_in.port, DOOR).refused == "Not authorized"
    assert connect(let_in.port, OTHER).refused == "Not authorized"
    connect(let_in.port, changed).publish("estate/e/d2/event", b"back")
    assert gateway.next() == ("estate/e/d2/event", b"back")
    assert not gateway.gone.is_set()


def test_new_rights_hold_at_once_without_a_new_connection(let_in: Broker, connect: Connect) -> None:
    gateway, door = connect(let_in.port, GATEWAY), connect(let_in.port, DOOR)
    gateway.subscribe("estate/e/+/event")
    let_in.update_users([GATEWAY, BrokerUser("d1", DOOR.password, writes=("estate/e/d7/event",))])
    door.publish("estate/e/d1/event", b"moved away")
    door.publish("estate/e/d7/event", b"moved in")
    assert gateway.next() == ("estate/e/d7/event", b"moved in")


def test_a_message_too_large_reaches_nobody_and_the_next_one_does(let_in: Broker, connect: Connect) -> None:
    gateway, door = connect(let_in.port, GATEWAY), connect(let_in.port, DOOR)
    gateway.subscribe("estate/e/+/event")
    door.mqtt.publish("estate/e/d1/event", bytes(MESSAGE_BYTES_MAX + 1), 1)
    connect(let_in.port, OTHER).publish("estate/e/d2/event", bytes(MESSAGE_BYTES_MAX // 2))
    assert gateway.next() == ("estate/e/d2/event", bytes(MESSAGE_BYTES_MAX // 2))


@pytest.mark.parametrize(
    "raw",
    [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\xff\xff", b"\x10\x7f", b"\x10\x04MQTT", b"\x30\x00"],
)
def test_what_is_not_mqtt_does_not_stop_the_broker(let_in: Broker, connect: Connect, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", let_in.port), 10) as stranger:
        stranger.sendall(raw)
        with contextlib.suppress(OSError):  # it may have hung up already
            stranger.shutdown(socket.SHUT_WR)
        assert ACCEPTED not in received(stranger)
    assert connect(let_in.port, DOOR).refused is None


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_certificate_it_talks_tls_only(servers_folder: Path, connect: Connect, kind: Kind) -> None:
    tls = issue(servers_folder / f"authority-{kind}", "broker", ["127.0.0.1"])
    with start_broker(servers_folder / f"tls {kind} 密", 0, [DOOR], tls, prefer=kind) as broker:
        assert connect(broker.port, DOOR, tls=tls).refused is None
        with socket.create_connection(("127.0.0.1", broker.port), 10) as plain:
            plain.sendall(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
            assert ACCEPTED not in received(plain)


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(64)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_with_its_owner(servers_folder: Path, kind: Kind) -> None:
    command = [sys.executable, "-c", OWNER, kind, servers_folder / f"owned-{kind}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)
        owner.kill()
    wait_until(lambda: not psutil.pid_exists(pid), 5, "the broker outlived its owner")


@pytest.mark.parametrize("kind", KINDS)
def test_killed_with_9_it_comes_back_on_the_same_port(
    servers_folder: Path, connect: Connect, kind: Kind
) -> None:
    with start_broker(servers_folder / f"killed-{kind}", 0, [DOOR], prefer=kind) as broker:
        door = connect(broker.port, DOOR)
        broker.kill()
        assert door.gone.wait(10)
        assert broker.pid is None
        broker.start()
        assert connect(broker.port, DOOR).refused is None
    assert not port_answers(broker.port)


@pytest.mark.parametrize("kind", KINDS)
def test_a_busy_port_is_named_in_one_sentence(servers_folder: Path, kind: Kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(StartFailedError, match=str(port)) as caught:
            start_broker(servers_folder / "busy", port, (), prefer=kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_no_password_stands_in_any_of_its_files(servers_folder: Path, kind: Kind) -> None:
    folder = servers_folder / f"files-{kind}"
    with start_broker(folder, 0, [DOOR], prefer=kind):
        for file in folder.iterdir():
            assert DOOR.password not in file.read_text()
            assert file.name.endswith(".log") or file.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_it_does_not_talk_in_plain_text_to_other_machines(servers_folder: Path, kind: Kind) -> None:
    with pytest.raises(StartFailedError, match=r"0\.0\.0\.0"):
        find_broker(servers_folder / "open", 0, (), host="0.0.0.0", prefer=kind)  # noqa: S104


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_that_fails_names_the_log(servers_folder: Path, kind: Kind, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    folder = servers_folder / f"failing-{kind}"
    with pytest.raises(StartFailedError, match=str(folder / f"{kind}.log")):
        start_broker(folder, 0, (), TlsFiles(broken, broken, broken), prefer=kind)


def test_mosquitto_comes_first_and_amqtt_takes_its_place_where_it_is_missing(
    servers_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_broker(servers_folder / "any", 0, ()).kind == "mosquitto"
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: None)
    assert find_broker(servers_folder / "any", 0, ()).kind == "amqtt"
    with pytest.raises(StartFailedError, match="apt-get install mosquitto"):
        start_broker(servers_folder / "any", 0, (), prefer="mosquitto")


def test_mosquitto_is_found_where_a_users_path_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_mosquitto() is not None


def test_the_broker_in_python_says_what_it_cannot_show_and_mosquitto_has_nothing_to_say() -> None:
    assert KINDS["mosquitto"].cannot_show == ()
    assert all("  |  " in sentence for sentence in KINDS["amqtt"].cannot_show)
    assert KINDS["amqtt"].cannot_show


def test_a_small_message_does_not_wait_for_the_one_before_it(let_in: Broker, connect: Connect) -> None:
    """Nagle's algorithm would hold the second for 40 ms: here the acknowledgement that follows an echo."""
    let_in.update_users([BrokerUser("echo", "secret-5", reads=("echo",), writes=("echo",))])
    client = connect(let_in.port, BrokerUser("echo", "secret-5"))
    client.subscribe("echo", qos=0)  # with QoS 1 the client's own answer would let the second go at once
    took = []
    for _ in range(20):
        began = time.monotonic()
        client.publish("echo", b"x")
        client.next()
        took.append(time.monotonic() - began)
    assert statistics.median(took) < 0.02
