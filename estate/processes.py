"""Starting other programs so that none of them outlives the one that started it."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Loaded before any fork: loading a library between fork and exec may deadlock.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartFailedError(Exception):
    """A program did not come up; the message says what to do."""


def die_with_parent(parent_pid: int, signal_number: int = signal.SIGKILL) -> None:
    """Ask the kernel to send this process `signal_number` as soon as its parent's thread ends.

    The kernel forgets the request when the process changes its user, so it has to come after that.

    Args:
        parent_pid: who the parent was when this was asked for; if it is gone already, we go too.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal_number)


def die_with_current_parent(signal_number: int = signal.SIGKILL) -> None:
    """`die_with_parent` for a process that asks for itself at its start."""
    die_with_parent(os.getppid(), signal_number)


@contextmanager
def holding_stop_signals() -> Iterator[Callable[[], None]]:
    """Hold SIGINT and SIGTERM back, and give a function that waits for one of them.

    Enter it before starting threads: they inherit the mask, so the signal can only be taken by the wait.
    A handler that sets an Event may deadlock, and one that raises may do so where nobody expects it.
    """
    signals = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    def wait() -> None:
        signal.sigwait(signals)

    try:
        yield wait
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_child(
    command: Sequence[str | Path],
    *,
    log: IO[bytes] | int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    folder: Path | None = None,
    parent_death_signal: int = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a program that ends when we do, also when we are killed with -9. Call it from the main thread.

    Args:
        command: program and arguments.
        log: where its output goes.
        environment: its whole environment; ours if None.
        user: run as this user (only root may ask).
        folder: its working folder.
        parent_death_signal: what it gets when we are gone.
    """
    me = os.getpid()
    owner = pwd.getpwnam(user) if user is not None else None
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=dict(environment) if environment is not None else None,
        cwd=folder,
        user=owner.pw_uid if owner else None,
        group=owner.pw_gid if owner else None,
        extra_groups=[] if owner else None,
        # A session of its own: Ctrl-C reaches only us, and we stop our children in order.
        start_new_session=True,
        preexec_fn=lambda: die_with_parent(me, parent_death_signal),  # noqa: PLW1509 (needed for PDEATHSIG; no other threads touch it)
    )


def stop_child(child: subprocess.Popen[bytes], how: int = signal.SIGTERM, seconds: float = 10.0) -> None:
    """End a program we started: politely first, by force after `seconds`."""
    if child.poll() is None:
        child.send_signal(how)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_until(ready: Callable[[], bool], seconds: float, what: str, every_s: float = 0.02) -> None:
    """Wait for a condition; raise `StartFailedError(what)` when it has not come true in time."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise StartFailedError(what)
        time.sleep(every_s)


def port_answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((host, port), 0.2).close()
    except OSError:
        return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
