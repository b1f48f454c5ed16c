"""Under strace: no confirmation leaves before the fdatasync that covers its record has returned.

Kill -9 proves nothing here, because the page cache survives it; the order of the system calls does.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from estate.embedded.broker import Broker
from estate.processes import stop_child, wait_until
from tests.drill.conftest import Drill
from tests.integration.gateway.conftest import CARD, ESTATE, PASSWORD, Gateway
from tests.integration.gateway.doors import Door

EVENTS = {"short": 500, "long": 10_000}
SHOWN_BYTES = 200_000
IN_FLIGHT = 200

_RECORD = re.compile(r'\\"events\\":\[\\"([^"\\]+)\\"')
_RECORDED = re.compile(r'\\"recorded\\":\[([^\]]*)\]')
_ID = re.compile(r'\\"([^"\\]+)\\"')
_SYNCED = re.compile(r"fdatasync(\(\d+<[^>]*\.db-wal>\)| resumed>\)) += 0")


def early_confirmations(trace: Path) -> tuple[int, list[str]]:
    """How many events were confirmed, and those whose confirmation left before their record was synced."""
    written: dict[str, set[str]] = {}  # thread -> events written to the log and not synced yet
    syncing: dict[str, set[str]] = {}  # thread -> events that a sync that is under way covers
    durable: set[str] = set()
    confirmed: list[str] = []
    early: list[str] = []
    with trace.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            thread = line.split(" ", 1)[0]
            if "pwrite64(" in line and ".db-wal>" in line:
                written.setdefault(thread, set()).update(_RECORD.findall(line))
            elif "fdatasync(" in line and ".db-wal>" in line:
                syncing[thread] = written.pop(thread, set())
            if _SYNCED.search(line):
                durable |= syncing.pop(thread, set())
            if "sendto(" in line and "recorded" in line:
                for ids in _RECORDED.findall(line):
                    found = _ID.findall(ids)
                    confirmed += found
                    early += [event for event in found if event not in durable]
    return len(set(confirmed)), early


@contextmanager
def traced(gateway: Gateway, trace: Path) -> Iterator[None]:
    """Watch a running gateway's writes, syncs and sends."""
    calls = "trace=pwrite64,fdatasync,sendto"
    command = [
        "strace",
        "-f",
        "-y",
        "-s",
        str(SHOWN_BYTES),
        "-e",
        calls,
        "-o",
        str(trace),
        "-p",
        str(gateway.pid),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert b"attached" in process.stderr.readline()
            yield
        finally:
            stop_child(process)


def send(door: Door, count: int) -> None:
    events = []
    for number in range(count):
        events.append(door.card(CARD))
        if number >= IN_FLIGHT:
            door.wait_recorded(events[number - IN_FLIGHT], seconds=60)
    wait_until(lambda: set(events) <= set(door.recorded), 120, "not all recorded")


def run(gateway: Gateway, mosquitto: Broker, trace: Path, count: int) -> tuple[int, list[str]]:
    gateway.start()
    gateway.wait_rosters()
    door = Door(ESTATE, "test-1-gate", PASSWORD, mosquitto.port)
    with traced(gateway, trace):
        send(door, count)
    return early_confirmations(trace)


@pytest.mark.timeout(900)
def test_no_confirmation_leaves_before_its_record_is_synced(
    request: pytest.FixtureRequest, drill: Drill, still_gateway: Gateway, mosquitto: Broker, tmp_path: Path
) -> None:
    assert drill.seed >= 0
    count = EVENTS[request.config.getoption("--drill")]
    confirmed, early = run(still_gateway, mosquitto, tmp_path / "trace", count)
    assert confirmed >= count
    assert early == []


@pytest.mark.timeout(300)
def test_with_syncing_switched_off_the_same_check_fails(
    still_gateway: Gateway, mosquitto: Broker, tmp_path: Path
) -> None:
    settings = still_gateway.folder / "gateway.toml"
    settings.write_text(settings.read_text() + "[journal]\nsync = false\n")
    confirmed, early = run(still_gateway, mosquitto, tmp_path / "trace", 200)
    assert confirmed >= 200
    assert len(set(early)) >= 200
    assert any("sync" in alarm for alarm in still_gateway.health()["alarms"])
