"""`estate backend serve` as a process: TLS, a busy port, and nothing left behind by kill -9."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from backend.settings import BackendSettings
from estate.embedded.authority import TlsFiles, issue, make_authority
from estate.processes import free_port, port_answers, start_child, stop_child, wait_until

WITHIN_S = 30


@pytest.fixture
def environment(settings: BackendSettings) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "ESTATE_BACKEND_DATABASE_URL": settings.database.url,
        "ESTATE_BACKEND_SECRETS_SESSION_KEY_FILE": settings.secrets.session_key_file,
        "ESTATE_BACKEND_SECRETS_MASTER_KEY_FILE": settings.secrets.master_key_file,
        "ESTATE_BACKEND_SERVE_PORT": str(free_port()),
        "ESTATE_BACKEND_SERVE_THREADS": "4",
    }


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The repository's file without the password's, which the test's database has in its string."""
    path = tmp_path / "backend.toml"
    lines = Path("config/backend.toml").read_text("utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if "password_file" not in line))
    return path


@contextmanager
def serving(config: Path, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        child = start_child(
            [sys.executable, "-m", "estate", "backend", "--config", config, "serve"],
            log=output,
            environment=environment,
        )
        try:
            yield child
        finally:
            stop_child(child)


def healthy(url: str, authority: Path | None = None) -> bool:
    try:
        answer = requests.get(f"{url}/health", timeout=2, verify=str(authority) if authority else True)
    except requests.RequestException:
        return False
    return bool(answer.json()["ok"])


def test_it_serves_over_tls_and_leaves_nothing_when_it_is_killed(
    tmp_path: Path, config: Path, environment: dict[str, str]
) -> None:
    make_authority(tmp_path / "ca")
    tls: TlsFiles = issue(tmp_path / "ca", "backend", ["127.0.0.1", "localhost"])
    port = int(environment["ESTATE_BACKEND_SERVE_PORT"])
    environment = environment | {
        "ESTATE_BACKEND_SERVE_HOST": "0.0.0.0",  # noqa: S104 (that it needs TLS is the point)
        "ESTATE_BACKEND_SERVE_TLS_CERTIFICATE": str(tls.certificate),
        "ESTATE_BACKEND_SERVE_TLS_KEY": str(tls.key),
    }
    log = tmp_path / "log"
    with serving(config, environment, log) as child:
        url = f"https://127.0.0.1:{port}"
        wait_until(lambda: healthy(url, tls.authority), WITHIN_S, f"not healthy: {log}")
        workers = psutil.Process(child.pid).children(recursive=True)
        assert len(workers) >= 2
        child.send_signal(signal.SIGKILL)
        child.wait()
        wait_until(lambda: not any(one.is_running() for one in workers), 5, "a worker outlived its parent")
        wait_until(lambda: not port_answers(port), 5, "the port is still taken")


def test_it_stops_at_once_when_asked(tmp_path: Path, config: Path, environment: dict[str, str]) -> None:
    port = int(environment["ESTATE_BACKEND_SERVE_PORT"])
    with serving(config, environment, tmp_path / "log") as child:
        wait_until(lambda: healthy(f"http://127.0.0.1:{port}"), WITHIN_S, "not healthy")
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"ESTATE_BACKEND_SERVE_HOST": "192.0.2.1"}, "serve.host"),
        ({"ESTATE_BACKEND_SERVE_TLS_CERTIFICATE": "x"}, "serve.tls_key"),
        ({"ESTATE_BACKEND_DATABASE_URL": "host=db.example dbname=x"}, "database.url"),
        ({"ESTATE_BACKEND_SECRETS_MASTER_KEY_FILE": "/nowhere"}, "secrets.master_key_file"),
        ({"ESTATE_BACKEND_SERVE_PORTS": "1"}, "ESTATE_BACKEND_SERVE_PORTS"),
    ],
)
def test_a_configuration_that_must_not_start_is_told_in_one_sentence(
    tmp_path: Path, config: Path, environment: dict[str, str], more: dict[str, str], words: str
) -> None:
    with serving(config, environment | more, tmp_path / "log") as child:
        assert child.wait(WITHIN_S) == 1
    said = (tmp_path / "log").read_text("utf-8").strip()
    assert words in said
    assert len(said.splitlines()) == 1


def test_a_busy_port_is_told_in_one_sentence(
    tmp_path: Path, config: Path, environment: dict[str, str]
) -> None:
    port = environment["ESTATE_BACKEND_SERVE_PORT"]
    with (
        socket.create_server(("127.0.0.1", int(port))),
        serving(config, environment, tmp_path / "log") as child,
    ):
        assert child.wait(WITHIN_S) == 1
    said = (tmp_path / "log").read_text("utf-8").strip()
    assert f"Port {port}" in said
    assert len(said.splitlines()) == 1
