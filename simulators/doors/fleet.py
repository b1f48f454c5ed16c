"""The doors of several estates in one process, as `estate simulate doors` runs them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from estate.config import SettingsError
from simulators.doors.device import BrokerAddress, DeviceIdentity, DoorDevice, Passage

FileT = TypeVar("FileT")
ANSWER_WITHIN_S = 10.0
RECORDED_WITHIN_S = 30.0
MOST_AT_ONCE = 32


class BrokerEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the estate's broker listens."""

    host: str
    port: int
    tls_ca_file: str | None = None
    topic_root: str = "estate"


class DeviceEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One door, its secret for the broker, and sample cards that its passers-by carry."""

    estate: str
    device: str
    password: str
    cards: tuple[str, ...] = ()


class FleetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `estate simulate doors --file` reads."""

    broker: BrokerEntry
    devices: tuple[DeviceEntry, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run of passages ended; good only if everything was answered and recorded."""

    shown: int
    answered: int
    recorded: int
    opened: int

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost."""
        return self.shown == self.answered == self.recorded


def read_fleet_file(path: Path) -> FleetFile:
    """The fleet's file; what is wrong in it is named."""
    return read_device_file(path, FleetFile)


def read_device_file(path: Path, kind: type[FileT]) -> FileT:
    """A JSON file of simulated devices.

    Raises:
        SettingsError: it cannot be read, or is none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise SettingsError(str(path), "(file)", f"无法读取 (cannot be read): {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise SettingsError(str(path), "(file)", str(error)) from error


@contextmanager
def running_fleet(file: FleetFile, resend_after_s: float = 10.0) -> Iterator[dict[str, DoorDevice]]:
    """Connect every door of the file; all of them leave at the end.

    Raises:
        TimeoutError: the broker did not accept one of them.
    """
    broker = BrokerAddress(
        file.broker.host,
        file.broker.port,
        Path(file.broker.tls_ca_file) if file.broker.tls_ca_file else None,
        file.broker.topic_root,
    )
    doors = {
        entry.device: DoorDevice(
            DeviceIdentity(entry.estate, entry.device, entry.password), broker, resend_after_s=resend_after_s
        )
        for entry in file.devices
    }
    # Each of them waits for the network, so they come and go side by side.
    with ThreadPoolExecutor(max_workers=MOST_AT_ONCE) as hands:
        try:
            list(hands.map(DoorDevice.start, doors.values()))
            yield doors
        finally:
            list(hands.map(DoorDevice.stop, doors.values()))


def passers_by(
    file: FleetFile, doors: dict[str, DoorDevice], choice: random.Random, stop: threading.Event, rate: float
) -> Iterator[tuple[DoorDevice, Passage]]:
    """People with cards at random doors, about `rate` a second, until `stop`."""
    entries = [entry for entry in file.devices if entry.cards]
    while entries and not stop.wait(choice.expovariate(rate)):
        entry = choice.choice(entries)
        door = doors[entry.device]
        yield door, door.show_card(choice.choice(entry.cards))


def run_passages(
    file: FleetFile, doors: dict[str, DoorDevice], *, events: int, rate: float, seed: int
) -> Verdict:
    """Show `events` cards, then wait until each is answered and recorded."""
    people = passers_by(file, doors, random.Random(seed), threading.Event(), rate)
    shown = [pair for _, pair in zip(range(events), people, strict=False)]
    answered = recorded = opened = 0
    for door, passage in shown:
        try:
            opened += door.wait_answer(passage, ANSWER_WITHIN_S).opened
            answered += 1
            door.wait_recorded(passage, RECORDED_WITHIN_S)
            recorded += 1
        except TimeoutError:
            continue
    return Verdict(len(shown), answered, recorded, opened)
