"""`doors.*`: faces in, answers out, beside a bare paho echo on the same broker in the same run."""

from __future__ import annotations

import base64
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import requests

from estate.embedded.broker import find_broker
from estate.embedded.broker_users import BrokerUser
from estate.processes import free_port, start_child, stop_child, wait_until
from gateway.matching.templates import DLIB_ENCODER
from gateway.vault import Vault
from tests.benchmarks.figures import Figure, figure, percentile
from tests.benchmarks.load import EventMaker, LoadAddress, answers_per_second, latencies_at_rate
from tests.integration.gateway.city import FakeCity

ESTATE = "bench"
GATEWAY = "bench-gateway"
BUILDINGS, PEOPLE_A_BUILDING, PHOTOS = 20, 100, 3
DISTINCT_EVENTS = 500
IN_FLIGHT = 200
COUNT = 15_000
WARM_UP = 1_000
MEMORY_PART = 50_000
ROUNDS = 2
PACED = ((200.0, 2_000), (500.0, 5_000), (2_000.0, 10_000))
SECRET = "bench"

Template = np.ndarray[Any, np.dtype[np.float32]]


def measure(folder: Path) -> Iterator[Figure]:
    """Throughput in a closed loop and latency at a steady rate; floor and ours in turn."""
    conditions = (
        f"QoS 1, {IN_FLIGHT} in flight, one face template an event, {BUILDINGS * PEOPLE_A_BUILDING} enrolled "
        f"in {BUILDINGS} buildings, journal and forwarding on"
    )
    with _running(folder) as bench:
        kind, ours, echo = bench.kind, bench.ours, bench.echo
        conditions = f"{kind}, {conditions}"
        numbers = _Numbers()
        for address in (echo, bench.journalling, ours):
            make = event_maker(address.topic_root)
            answers_per_second(address, make, first=numbers.take(WARM_UP), count=WARM_UP, in_flight=IN_FLIGHT)
        # Latency comes first: after the burst the gateway would still be forwarding its records.
        for rate, count in PACED:
            taken_ms = {}
            for name, address in (("echo", echo), ("ours", ours)):
                make = event_maker(address.topic_root)
                taken = latencies_at_rate(address, make, first=numbers.take(count), count=count, rate=rate)
                taken_ms[name] = [second * 1000 for second in taken]
            medians = {name: percentile(values, 0.5) for name, values in taken_ms.items()}
            yield figure(
                f"doors.latency_p99_{rate:.0f}",
                percentile(taken_ms["ours"], 0.99),
                "ms",
                percentile(taken_ms["echo"], 0.99),
                f"{kind}, {rate:.0f} events/s, event to answer; "
                f"p50 {medians['ours']:.2f}, the floor's {medians['echo']:.2f}",
            )
        rates: dict[str, list[float]] = {"ours": [], "echo": [], "journalling": []}
        for _ in range(ROUNDS):
            for name, address in (("echo", echo), ("journalling", bench.journalling), ("ours", ours)):
                make = event_maker(address.topic_root)
                first = numbers.take(COUNT)
                rates[name].append(
                    answers_per_second(address, make, first=first, count=COUNT, in_flight=IN_FLIGHT)
                )
        best = {name: max(values) for name, values in rates.items()}
        yield figure("doors.decisions", best["ours"], "events/s", best["echo"], conditions)
        yield figure(
            "doors.decisions_journalled",
            best["ours"],
            "events/s",
            best["journalling"],
            f"the same; the floor also commits one row an event in the same grouping; {conditions}",
        )
        yield _memory(bench, numbers)


def _memory(bench: _Bench, numbers: _Numbers) -> Figure:
    """Resident memory after a long run, beside that after its first part: flat is 1."""
    make, total = event_maker(bench.ours.topic_root), int(os.environ.get("ESTATE_BENCH_EVENTS", "1000000"))
    early_mb, done = bench.gateway_mb(), 0
    while done < total:
        count = min(MEMORY_PART, total - done)
        answers_per_second(
            bench.ours, make, first=numbers.take(count), count=count, in_flight=min(IN_FLIGHT, count)
        )
        done += count
        if done <= MEMORY_PART:
            early_mb = bench.gateway_mb()
    words = f"resident after {total:,} events, without encoder; floor: after the first {MEMORY_PART:,}"
    return figure("doors.memory", bench.gateway_mb(), "MB", early_mb, words)


class _Numbers:
    """Event numbers that were never used before: a known id would be answered from the journal."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> int:
        first, self._next = self._next, self._next + count
        return first


def event_maker(root: str) -> EventMaker:
    """Faces of enrolled people at the doors of their buildings."""
    samples = []
    for index in range(DISTINCT_EVENTS):
        building, person = index % BUILDINGS, index % PEOPLE_A_BUILDING
        seen = _view(building * PEOPLE_A_BUILDING + person, seed=1000)
        encoded = base64.b64encode(seen.tobytes()).decode()
        samples.append((f"{root}/{ESTATE}/{_door(building)}/event", encoded))

    def make(number: int) -> tuple[str, bytes]:
        topic, template = samples[number % DISTINCT_EVENTS]
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        frames = f'[{{"template":"{template}"}}]'
        event = f'{{"v":1,"id":"b{number}","at":"{at}","kind":"face","liveness":"live","frames":{frames}}}'
        return topic, event.encode()

    return make


def _door(building: int) -> str:
    return f"bench-{building}"


def _person(index: int) -> str:
    return str(UUID(int=index + 1))


def _view(person: int, seed: int) -> Template:
    """An invented face as one photograph shows it."""
    face = np.random.default_rng(person).standard_normal(128) * 0.1
    noise = np.random.default_rng(person * 10_000 + seed).standard_normal(128) * 0.01
    return (face + noise).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Bench:
    kind: str
    ours: LoadAddress
    echo: LoadAddress
    journalling: LoadAddress
    gateway_pid: int

    def gateway_mb(self) -> float:
        """Resident memory of the gateway's process now."""
        status = Path(f"/proc/{self.gateway_pid}/status").read_text("utf-8")
        kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return int(kilobytes) / 1024


@contextmanager
def _running(folder: Path) -> Iterator[_Bench]:
    """Broker, both echoes, city's stand-in and gateway, each a process of its own."""
    with ExitStack() as cleanup:
        broker = cleanup.enter_context(find_broker(folder / "broker", 0, users()))
        city_port = cleanup.enter_context(city())
        configuration = settings(folder, broker.port, city_port)
        enrol(folder)
        log = cleanup.enter_context((folder / "gateway.log").open("ab"))
        command = [sys.executable, "-m", "gateway", "run", "--config", configuration]
        gateway = start_child(command, log=log)
        cleanup.callback(stop_child, gateway)
        wait_ready(gateway, folder)
        _start_echo(cleanup, "echo", broker.port, "echo")
        _start_echo(cleanup, "echo_journal", broker.port, "echo2", str(folder / "echo.db"))
        addresses = [LoadAddress(broker.port, "load", SECRET, root) for root in ("estate", "echo", "echo2")]
        yield _Bench(broker.kind, *addresses, gateway_pid=gateway.pid)


def _start_echo(cleanup: ExitStack, module: str, port: int, root: str, *rest: str) -> None:
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", str(port), root, SECRET, root, *rest]
    echo = subprocess.Popen(command, stdout=subprocess.PIPE)
    cleanup.callback(stop_child, echo)
    if echo.stdout is None or echo.stdout.readline().strip() != b"ready":
        raise RuntimeError(f"{module} did not start")


def users() -> list[BrokerUser]:
    """Who may talk to the broker."""

    def topics(*leaves: str, roots: tuple[str, ...] = ("estate", "echo", "echo2")) -> tuple[str, ...]:
        return tuple(f"{root}/+/+/{leaf}" for root in roots for leaf in leaves)

    up, down = topics("event", "status"), topics("answer", "command")
    return [
        BrokerUser("load", SECRET, reads=down, writes=up),
        BrokerUser("echo", SECRET, reads=up, writes=down),
        BrokerUser("echo2", SECRET, reads=up, writes=down),
        BrokerUser(GATEWAY, SECRET, reads=up, writes=down),
    ]


def settings(folder: Path, broker_port: int, city_port: int) -> Path:
    """The gateway's configuration, with what it names."""
    for name, content in (
        ("vault-key", base64.b64encode(bytes(range(32))).decode()),
        ("credential", f"{GATEWAY}.{SECRET}"),
        ("password", SECRET),
        ("metrics-port", str(free_port())),
    ):
        (folder / name).write_text(content)
    path = folder / "gateway.toml"
    path.write_text(
        f"""
[gateway]
id = "{GATEWAY}"
estates = ["{ESTATE}"]
state_folder = "{folder}/state"
[broker]
port = {broker_port}
username = "{GATEWAY}"
password_file = "{folder}/password"
[backend]
url = "http://127.0.0.1:{city_port}"
credential_file = "{folder}/credential"
[faces]
workers = 0
vault_key_file = "{folder}/vault-key"
[metrics]
port = {(folder / "metrics-port").read_text()}
"""
    )
    return path


def enrol(folder: Path, people: int = BUILDINGS * PEOPLE_A_BUILDING) -> None:
    """Templates of invented people in the gateway's vault."""
    (folder / "state").mkdir(mode=0o700)
    vault = Vault(folder / "state" / "vault.db", bytes(range(32)))
    for person in range(people):
        views = np.stack([_view(person, seed) for seed in range(PHOTOS)])
        vault.store(ESTATE, _person(person), views, DLIB_ENCODER, datetime.now(UTC))
    vault.close()


def wait_ready(
    gateway: subprocess.Popen[bytes], folder: Path, people: int = BUILDINGS * PEOPLE_A_BUILDING
) -> None:
    """Wait until it has its broker, its roster and its faces."""
    url = f"http://127.0.0.1:{(folder / 'metrics-port').read_text()}/health"

    def ready() -> bool:
        if gateway.poll() is not None:
            raise RuntimeError((folder / "gateway.log").read_text("utf-8")[-2000:])
        try:
            health = requests.get(url, timeout=5).json()
        except requests.RequestException:
            return False
        estate = health["estates"][0]
        return bool(
            health["broker"]["connected"] and estate["people"] == people and estate["enrolled"] == people
        )

    wait_until(ready, 60, "the gateway was not ready in time", every_s=0.02)


@contextmanager
def city(people: int = BUILDINGS * PEOPLE_A_BUILDING) -> Iterator[int]:
    """A process that serves the roster and takes the records; the port it listens on."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve_city, args=(theirs, people), daemon=True)
    process.start()
    try:
        if not ours.poll(60):
            raise TimeoutError("the city's stand-in did not start")
        yield ours.recv()
    finally:
        process.kill()
        process.join()


class _Sink(FakeCity):
    """Takes records and keeps none, so that a million of them fit."""

    def __init__(self, credential: str) -> None:
        super().__init__(credential)
        self.bodies = _Nothing()

    def _store(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        return {"committed": [record["record_id"] for record in records], "refused": []}


class _Nothing(list[bytes]):
    """Keeps nothing."""

    def append(self, one: bytes) -> None:
        """Let it go."""


def _serve_city(ports: Connection, people: int) -> None:
    city = _Sink(f"{GATEWAY}.{SECRET}")
    names = {"name_zh": "基准", "name_en": "bench"}
    rules = {"faces": True, "liveness_waiver": None, "fpir": 0.003}
    city.put(ESTATE, "estate", ESTATE, names | rules)
    for building in range(people // PEOPLE_A_BUILDING):
        door = {"group": f"g{building}", "building": None, "credentials": ["face", "card"], "way": "in"}
        city.put(ESTATE, "door", _door(building), names | door | {"protocol": "native", "active": True})
    begin = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
    for person in range(people):
        rights = [{"group": f"g{person // PEOPLE_A_BUILDING}", "from": begin, "to": None}]
        city.put(ESTATE, "person", _person(person), {"rights": rights, "cards": [], "face_consent": True})
    city.start()
    ports.send(city.port)
    threading.Event().wait()
