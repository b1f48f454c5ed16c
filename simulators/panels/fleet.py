"""The panels of an estate in one process, as `estate simulate panels` runs them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from simulators.doors.device import BrokerAddress
from simulators.doors.fleet import BrokerEntry, read_device_file
from simulators.panels.device import PanelDevice
from simulators.panels.panel import Panel
from simulators.panels.words import Quirk

CONFIRMED_WITHIN_S = 60.0
MOST_AT_ONCE = 32
STRANGER = "somebody-unknown"


class PanelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One panel, its secret for the broker, and its firmware's ways."""

    device: str
    password: str
    matches: bool = False
    quirks: tuple[Quirk, ...] = ()


class PanelsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `estate simulate panels --file` reads."""

    broker: BrokerEntry
    panels: tuple[PanelEntry, ...]
    face_root: str = "mqtt/face"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run of looks ended; good only if every record was confirmed."""

    looks: int
    confirmed: int
    openings: int

    @property
    def is_good(self) -> bool:
        """Whether nothing is left on any panel."""
        return self.looks == self.confirmed


def _look(who: str, panel: Panel, now_s: float) -> bool:
    return panel.look(who, now_s)


def read_panels_file(path: Path) -> PanelsFile:
    """The panels' file; what is wrong in it is named."""
    return read_device_file(path, PanelsFile)


@contextmanager
def running_panels(file: PanelsFile) -> Iterator[dict[str, PanelDevice]]:
    """Connect every panel of the file; all of them leave at the end.

    Raises:
        TimeoutError: the broker did not accept one of them.
    """
    authority = Path(file.broker.tls_ca_file) if file.broker.tls_ca_file else None
    broker = BrokerAddress(file.broker.host, file.broker.port, authority, file.broker.topic_root)
    panels: dict[str, PanelDevice] = {}
    for entry in file.panels:
        made = PanelDevice(entry.device, entry.password, broker, root=file.face_root, quirks=entry.quirks)
        made.panel.matches = entry.matches
        panels[entry.device] = made
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as hands:
        try:
            list(hands.map(PanelDevice.start, panels.values()))
            yield panels
        finally:
            list(hands.map(PanelDevice.stop, panels.values()))


def run_looks(panels: dict[str, PanelDevice], *, events: int, rate: float, seed: int) -> Verdict:
    """Have `events` people look into panels, then wait until every record is confirmed."""
    choice, pause = random.Random(seed), threading.Event()
    for _ in range(events):
        pause.wait(choice.expovariate(rate))
        device = panels[choice.choice(sorted(panels))]
        known = device.do(lambda panel, _now_s: sorted(person for person in panel.roster if person))
        who = choice.choice([*known, STRANGER])
        device.do(partial(_look, who))
    until_s = time.monotonic() + CONFIRMED_WITHIN_S
    left = events
    while left and time.monotonic() < until_s:
        pause.wait(0.1)
        left = sum(device.do(lambda panel, _now_s: len(panel.kept)) for device in panels.values())
    openings = sum(device.do(lambda panel, _now_s: panel.openings) for device in panels.values())
    return Verdict(events, events - left, openings)
