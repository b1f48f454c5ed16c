"""`doors.ready`: how long a gateway with 10,000 enrolled people takes from its start to its first answer."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from estate.embedded.broker import find_broker
from estate.processes import start_child, stop_child
from tests.benchmarks.doors import city, enrol, settings, users, wait_ready
from tests.benchmarks.figures import Figure, figure

PEOPLE = 10_000
STARTS = 3
_IMPORTS = "import gateway.assembly, gateway.commands"


def measure(folder: Path) -> Iterator[Figure]:
    """The best of some starts, with rosters and vault as they are on every other day."""
    with ExitStack() as cleanup:
        broker = cleanup.enter_context(find_broker(folder / "broker", 0, users()))
        configuration = settings(folder, broker.port, cleanup.enter_context(city(PEOPLE)))
        enrol(folder, PEOPLE)
        log = cleanup.enter_context((folder / "gateway.log").open("ab"))
        command = [sys.executable, "-m", "gateway", "run", "--config", configuration]
        taken_s, imports_s = [], []
        for _ in range(1 + STARTS):  # the first one fetches the roster
            began_s = time.perf_counter()
            gateway = start_child(command, log=log)
            try:
                wait_ready(gateway, folder, PEOPLE)
                taken_s.append(time.perf_counter() - began_s)
            finally:
                stop_child(gateway)
            began_s = time.perf_counter()
            subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
            imports_s.append(time.perf_counter() - began_s)
    yield figure(
        "doors.ready",
        min(taken_s[1:]),
        "s",
        min(imports_s),
        f"start of the process to broker, roster and {PEOPLE:,} enrolled people; floor: its imports alone",
    )
