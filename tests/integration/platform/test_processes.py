import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from estate.processes import (
    StartFailedError,
    free_port,
    port_answers,
    start_child,
    stop_child,
    wait_until,
)

# Who may be asked to own a child: root may name another user, anybody else only themselves.
USERS = [None, "nobody"] if os.geteuid() == 0 else [None]
# A parent that starts one child, says its number, and waits to be killed.
# Whoever started the tests in the background may have had SIGQUIT ignored, which children inherit.
PARENT = """
import signal, time
from estate.processes import start_child
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
print(start_child({command!r}, user={user!r}, parent_death_signal={signal}).pid, flush=True)
time.sleep(60)
"""
ASKS_FOR_ITSELF = """
import os, time
from estate.processes import die_with_current_parent
child = os.fork()
if child == 0:
    die_with_current_parent()
    print(os.getpid(), flush=True)
time.sleep(60)
"""
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"

StartParent = Callable[[str], tuple[subprocess.Popen[str], int]]


def is_gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody has collected yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def start_parent() -> Iterator[StartParent]:
    """Runs Python code that prints the number of the child it starts; both are gone after the test."""
    started: list[tuple[subprocess.Popen[str], int]] = []

    def start(code: str) -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        started.append((process, int(process.stdout.readline())))
        return started[-1]

    yield start
    for process, child in started:
        with process:
            process.kill()
        if not is_gone(child):
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
def test_a_child_ends_within_seconds_of_its_parents_kill_with_9(
    start_parent: StartParent, user: str | None, how: signal.Signals
) -> None:
    parent, child = start_parent(PARENT.format(command=["sleep", "60"], user=user, signal=int(how)))
    assert not is_gone(child)
    parent.kill()
    wait_until(lambda: is_gone(child), 5, "the child outlived its parent")


def test_a_process_that_asks_for_itself_ends_with_its_parent_too(start_parent: StartParent) -> None:
    parent, child = start_parent(ASKS_FOR_ITSELF)
    assert not is_gone(child)
    parent.kill()
    wait_until(lambda: is_gone(child), 5, "the child outlived its parent")


@pytest.mark.parametrize("user", USERS)
def test_a_child_runs_as_the_user_in_the_folder_and_with_the_environment_asked_for(
    tmp_path: Path, user: str | None
) -> None:
    with (tmp_path / "log").open("wb") as log:
        child = start_child(
            ["/bin/sh", "-c", "id -un; pwd; echo $WORD; cat"],
            log=log,
            environment={"PATH": "/usr/bin:/bin", "WORD": "字"},
            user=user,
            folder=Path("/"),
        )
        assert child.wait(10) == 0
    owner = user or subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert (tmp_path / "log").read_text().splitlines() == [owner, "/", "字"]


def test_a_child_does_not_hear_our_control_c() -> None:
    child = start_child(["sleep", "60"])
    try:
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
    finally:
        stop_child(child)


def test_a_child_is_stopped_politely() -> None:
    child = start_child(["sleep", "60"])
    stop_child(child)
    assert child.returncode == -signal.SIGTERM
    stop_child(child)  # a second time changes nothing


def test_a_child_that_does_not_listen_is_stopped_by_force(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as target:
        child = start_child([sys.executable, "-c", STUBBORN], log=target)
    wait_until(lambda: log.read_text() == "up\n", 10, "it did not come up")
    stop_child(child, seconds=0.1)
    assert child.returncode == -signal.SIGKILL


def test_a_program_that_is_not_there_is_an_error_of_the_system() -> None:
    with pytest.raises(FileNotFoundError):
        start_child(["/nowhere/program"])


def test_waiting_returns_once_the_condition_holds() -> None:
    asked = iter([False, False, True])
    wait_until(lambda: next(asked), 10, "never", every_s=0.001)
    assert next(asked, "all were asked for") == "all were asked for"


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(StartFailedError, match="the broker"):
        wait_until(lambda: False, 0.01, "the broker", every_s=0.001)


def test_a_port_answers_only_while_something_listens() -> None:
    port = free_port()
    assert not port_answers(port)
    with socket.create_server(("127.0.0.1", port)):
        assert port_answers(port)
    assert not port_answers(port)
