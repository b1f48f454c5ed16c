"""`estate simulate stripe` as a program of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from estate.processes import free_port, port_answers, wait_until

RUN = [sys.executable, "-c", "from estate.cli import main; main()", "simulate", "stripe"]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    children: list[subprocess.Popen[str]] = []

    def run(*options: str, **environment: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [*RUN, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        )
        children.append(child)
        return child

    yield run
    for child in children:
        if child.poll() is None:
            child.kill()
        child.communicate()


def test_it_says_where_it_listens_sends_notices_and_ends_on_sigterm(
    start: Start, receiver: Any, tmp_path: Path
) -> None:
    secret, key = tmp_path / "whsec", tmp_path / "key"
    secret.write_text("whsec_integration\n")
    key.write_text("sk_test_command\n")
    port = free_port()
    child = start(
        *("--port", str(port), "--webhook", receiver.url, "--webhook-secret-file", str(secret)),
        *("--api-key-file", str(key)),
    )
    assert child.stdout is not None
    assert f"http://127.0.0.1:{port}" in child.stdout.readline()
    api = f"http://127.0.0.1:{port}/v1/customers"
    assert (
        requests.post(api, headers={"Authorization": "Bearer sk_test_other"}, timeout=20).status_code == 401
    )
    assert (
        requests.post(api, headers={"Authorization": "Bearer sk_test_command"}, timeout=20).status_code == 200
    )
    receiver.wait_for("customer.created")
    child.send_signal(signal.SIGTERM)
    out, errors = child.communicate(timeout=20)
    assert (child.returncode, errors, out) == (0, "", "")
    assert not port_answers(port)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "0.0.0.0"), "loopback"),  # noqa: S104 (is refused)
        (("--port", "0", "--webhook", "http://127.0.0.1:1/"), "--webhook-secret-file"),
        (
            ("--port", "0", "--webhook", "http://127.0.0.1:1/", "--webhook-secret-file", "/nowhere"),
            "/nowhere",
        ),
        (("--port", "0", "--api-key-file", "/nowhere"), "/nowhere"),
    ],
)
def test_what_it_cannot_start_with_is_one_sentence(start: Start, options: tuple[str, ...], said: str) -> None:
    child = start(*options)
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 1
    assert said in errors
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1


def test_a_busy_port_is_one_sentence(start: Start, server: Any) -> None:
    child = start("--port", str(server.port))
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 1
    assert str(server.port) in errors
    assert "--port" in errors
    assert "Traceback" not in errors


def test_it_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen({[*RUN, '--port', '0']!r}, stdout=subprocess.PIPE,"
        " env={**os.environ, 'ESTATE_DIE_WITH_PARENT': '1', 'PYTHONUNBUFFERED': '1'})\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    wait_until(
        lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10, "it outlived its parent"
    )
