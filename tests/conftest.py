"""Servers that several rooms of tests share; each test process has its own, and stops them at its end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from estate.embedded.broker import AmqttBroker, Broker, MosquittoBroker, find_mosquitto
from estate.embedded.postgres import EmbeddedPostgres
from tests.known_faces import faces_in_files, known

MEMORY_BYTES_MIN = 4 * 1024**3

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("estate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("estate")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under CI a skipped test is a failure: what is not run proves nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


_found_in_output: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed and logged in this process holds no face, whatever else the test looked for."""
    report = yield
    output = report.capstdout + report.capstderr + report.caplog
    if output and not report.failed:
        _found_in_output.update(f"{report.nodeid}: {name}" for name in known().found_in(output.encode()))
    return report


@pytest.fixture(scope="session", autouse=True)
def no_face_in_the_whole_run(
    tmp_path_factory: pytest.TempPathFactory, servers_folder: Path, database_folder: Path
) -> Iterator[None]:
    """After the last test: no log of any process, and nothing that gateways sent up, holds a known face.

    Databases are searched by their own fixtures, before each is dropped.
    """
    yield
    folders = (tmp_path_factory.getbasetemp(), servers_folder, database_folder)
    found = [one for folder in folders for one in faces_in_files(folder)] + sorted(_found_in_output)
    if found:
        pytest.fail("faces where none may be:\n" + "\n".join(found), pytrace=False)


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """Where servers keep their files."""
    with new_folder(None) as folder:
        yield folder


@pytest.fixture(scope="session")
def database_folder() -> Iterator[Path]:
    """Where databases keep their files."""
    with new_folder(database_parent()) as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres(database_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL without any database of ours in it."""
    with EmbeddedPostgres(database_folder / "postgres") as server:
        yield server


def database_parent() -> Path | None:
    """In memory where there is room: nobody needs these databases after a power cut, and syncs cost time."""
    memory = Path("/dev/shm")  # noqa: S108 (a folder of our own is made in it)
    if not memory.is_dir() or not os.access(memory, os.W_OK):
        return None
    room = os.statvfs(memory)
    # The server's programs may have to be copied beside its data, and run there.
    usable = room.f_bavail * room.f_frsize > MEMORY_BYTES_MIN and not room.f_flag & os.ST_NOEXEC
    return memory if usable else None


@contextmanager
def new_folder(parent: Path | None) -> Iterator[Path]:
    """A short-named folder that a server's own user can pass through; pytest's are for us alone."""
    folder = Path(tempfile.mkdtemp(prefix="smart-estate-tests-", dir=parent))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


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
