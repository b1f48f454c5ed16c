"""A whole gateway as a process, between a real broker and a stand-in for the city."""

from __future__ import annotations

import base64
import hmac
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import requests

from estate.embedded.broker import Broker
from estate.embedded.broker_users import BrokerUser
from estate.embedded.estate_users import DoorEntry, device_user, gateway_user
from estate.processes import free_port, start_child, stop_child, wait_until
from gateway.matching.templates import DLIB_ENCODER
from gateway.vault import Vault
from tests.integration.gateway.city import FakeCity
from tests.integration.gateway.doors import Door, close_after_test, close_all
from tests.known_faces import plant_template, recording

ESTATE, OTHER_ESTATE = "test-1", "test-2"
DOORS = ("test-1-gate", "test-1-a", "test-2-gate")
PANELS = ("P100", "P200")
GATEWAY = "test-gateway"
CARD = "04a1b2c3"
RESIDENT = "11111111-1111-4111-8111-111111111111"
NEIGHBOUR = "22222222-2222-4222-8222-222222222222"
PASSWORD = "a-password-of-this-test"


def vector(seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A face nobody has; the end of the run looks for it wherever none may be."""
    face = (np.random.default_rng(seed).standard_normal(128) * 0.1).astype(np.float32)
    plant_template(f"face {seed}", face)
    return face


def near(face: np.ndarray[Any, np.dtype[np.float32]], seed: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The same face in another picture."""
    noise = np.random.default_rng(seed).standard_normal(128) * 0.01
    seen = (face + noise).astype(np.float32)
    plant_template(f"a picture {seed} of a face", seen)
    return seen


class Gateway:
    """The process and its folder."""

    def __init__(self, folder: Path, broker: Broker, city: FakeCity, environment: Mapping[str, str]) -> None:
        self.folder, self.state = folder, folder / "state"
        self.metrics_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "gateway.log"
        self.key = bytes(range(32, 64))
        (folder / "vault-key").write_text(base64.b64encode(self.key).decode())
        (folder / "credential").write_text(city.credential)
        (folder / "broker-password").write_text(PASSWORD)
        (folder / "gateway.toml").write_text(
            f"""
[gateway]
id = "{GATEWAY}"
estates = ["{ESTATE}", "{OTHER_ESTATE}"]
state_folder = "{self.state}"
[broker]
port = {broker.port}
username = "{GATEWAY}"
password_file = "{folder}/broker-password"
tls_ca_file = "{broker.tls.authority if broker.tls else ""}"
[backend]
url = "http://127.0.0.1:{city.port}"
credential_file = "{folder}/credential"
[faces]
workers = 0
vault_key_file = "{folder}/vault-key"
[metrics]
port = {self.metrics_port}
[panels]
port = {free_port()}
"""
        )
        self._environment = dict(os.environ) | {"ESTATE_DIE_WITH_PARENT": "1"} | dict(environment)
        self._environment |= recording(folder)

    def enrol(self, estate: str, person: str, face: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        self.state.mkdir(mode=0o700, exist_ok=True)
        vault = Vault(self.state / "vault.db", self.key)
        views = np.stack([near(face, seed) for seed in (11, 12, 13)])
        vault.store(estate, person, views, DLIB_ENCODER, datetime.now(UTC))
        vault.close()

    def start(self, log: IO[bytes] | None = None) -> None:
        close_after_test(self)
        with log or self._log.open("ab") as output:
            self._process = start_child(
                [sys.executable, "-m", "gateway", "run", "--config", self.folder / "gateway.toml"],
                log=output,
                environment=self._environment,
            )
        self.wait(lambda health: health["broker"]["connected"], "connected to the broker")

    def kill(self) -> None:
        assert self._process is not None
        stop_child(self._process, signal.SIGKILL)

    def stop(self) -> int:
        assert self._process is not None
        stop_child(self._process, signal.SIGTERM)
        return self._process.returncode

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(
            f"http://127.0.0.1:{self.metrics_port}/health", timeout=5
        ).json()
        return answer

    def wait(self, condition: Any, what: str, seconds: float = 20.0) -> None:
        def holds() -> bool:
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"the gateway has ended:\n{self.log()}")
            try:
                return bool(condition(self.health()))
            except requests.RequestException:
                return False

        wait_until(holds, seconds, f"not in time: {what}\n{self.log()}")

    def wait_rosters(self) -> None:
        self.wait(
            lambda health: all(one["roster_version"] and one["has_card_key"] for one in health["estates"]),
            "rosters and keys",
        )

    def log(self) -> str:
        return self._log.read_text("utf-8") if self._log.exists() else ""

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", *words, "--config", str(self.folder / "gateway.toml")],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def close(self) -> None:
        if self._process is not None:
            stop_child(self._process, signal.SIGKILL)


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """No door and no gateway outlives its test, however that ends."""
    yield
    close_all()


@pytest.fixture
def city() -> Iterator[FakeCity]:
    """A city with two estates, three doors and two residents."""
    city = FakeCity(f"{GATEWAY}.a-secret-of-this-test")
    city.start()
    fill(city)
    yield city
    city.stop()


def fill(city: FakeCity) -> None:
    for estate in (ESTATE, OTHER_ESTATE):
        city.put(
            estate,
            "estate",
            estate,
            {"name_zh": "测试", "name_en": "Test", "faces": True, "liveness_waiver": None, "fpir": 0.003},
        )
    for device, group in (("test-1-gate", "gate"), ("test-1-a", "a"), ("test-2-gate", "gate")):
        city.put(device[:6], "door", device, door_doc(group))
    city.put(ESTATE, "person", RESIDENT, person_doc(city, ["gate"], [CARD]))
    city.put(ESTATE, "person", NEIGHBOUR, person_doc(city, ["gate", "a"], ["04ffffff"], face_consent=False))


def door_doc(group: str, credentials: tuple[str, ...] = ("face", "card")) -> dict[str, Any]:
    return {
        "name_zh": "门",
        "name_en": "Door",
        "group": group,
        "building": None,
        "credentials": list(credentials),
        "way": "in",
        "protocol": "native",
        "active": True,
    }


def person_doc(
    city: FakeCity,
    groups: list[str],
    cards: list[str],
    *,
    face_consent: bool = True,
    until: str | None = None,
) -> dict[str, Any]:
    references = [hmac.digest(city.card_key, b"card:" + card.encode(), "sha256").hex() for card in cards]
    return {
        "rights": [{"group": group, "from": "2026-01-01T00:00:00Z", "to": until} for group in groups],
        "cards": [{"hmac": reference, "blocked": False} for reference in references],
        "face_consent": face_consent,
    }


def users() -> list[BrokerUser]:
    doors = [DoorEntry(device[:6], device) for device in DOORS]
    doors += [DoorEntry(ESTATE, panel, "mqtt_face") for panel in PANELS]
    return [
        gateway_user(GATEWAY, PASSWORD, [ESTATE, OTHER_ESTATE], doors),
        *(device_user(door, PASSWORD) for door in doors),
    ]


@pytest.fixture
def gateway(tmp_path: Path, broker: Broker, city: FakeCity) -> Gateway:
    """A gateway on each broker, running, with its rosters."""
    broker.update_users(users())
    gateway = Gateway(tmp_path, broker, city, {})
    gateway.start()
    gateway.wait_rosters()
    return gateway


@pytest.fixture
def still_gateway(tmp_path: Path, mosquitto: Broker, city: FakeCity) -> Gateway:
    """A gateway on Mosquitto that a test starts itself."""
    mosquitto.update_users(users())
    return Gateway(tmp_path, mosquitto, city, {})


@pytest.fixture
def gate(gateway: Gateway, broker: Broker) -> Door:
    """The gate of the first estate."""
    return Door(ESTATE, "test-1-gate", PASSWORD, broker.port)


def dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)
