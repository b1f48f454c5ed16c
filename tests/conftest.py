"""Servers that several rooms of tests share; each test process has its own, and stops them at its end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from estate.embedded.broker import AmqttBroker, Broker, MosquittoBroker, find_mosquitto
from estate.embedded.postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """A short-named folder that a server's own user can pass through; pytest's are for us alone."""
    folder = Path(tempfile.mkdtemp(prefix="smart-estate-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(servers_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL without any database of ours in it."""
    with EmbeddedPostgres(servers_folder / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def mosquitto(servers_folder: Path) -> Iterator[Broker]:
    """A running Mosquitto that lets nobody in until `update_users` names someone."""
    if find_mosquitto() is None:
        pytest.fail("Mosquitto is missing, and these tests are about it: run tools/debian.sh, it installs it")
    with MosquittoBroker(servers_folder / "mosquitto", 0, ()) as broker:
        yield broker


@pytest.fixture(scope="session")
def amqtt(servers_folder: Path) -> Iterator[Broker]:
    """A running amqtt that lets nobody in until `update_users` names someone."""
    with AmqttBroker(servers_folder / "amqtt", 0, ()) as broker:
        yield broker


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """The test runs on both brokers; each test calls `update_users` with its own."""
    found: Broker = request.getfixturevalue(request.param)
    return found
