"""A gateway's loop and its panels' desk on a stage, with simulated panels that speak the real protocol."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.alarms import AlarmBook
from gateway.answers import Outbox
from gateway.cases import DoorRules, Joiners
from gateway.clock import GatewayClock
from gateway.codes import Guesses, GuessLimits
from gateway.counters import Counters
from gateway.devices import DeviceBook
from gateway.door_orders import DoorOrders
from gateway.drivers import Address, DriverContext
from gateway.drivers.choice import Drivers
from gateway.drivers.commands import Command
from gateway.drivers.mqtt_face import MqttFaceDriver
from gateway.drivers.native import NativeDriver
from gateway.finding import Finder
from gateway.intake import Intake
from gateway.panels.care import DeviceCare
from gateway.panels.desk import PanelDesk
from gateway.panels.report import PanelReport, reports
from gateway.panels.state import panel_look
from gateway.panels.store import PanelStore
from gateway.pipeline import Pipeline
from gateway.recents import Recents, Seen
from gateway.records import AccessRecord, keys_of
from gateway.roster import EstateRoster, RosterBook
from gateway.tracks import Tracks
from simulators.panels.panel import Panel, make_panel
from simulators.panels.words import Quirk
from tests.unit.gateway.stage import Darkroom, Disk, NamedFaces, PaperJournal, item

ESTATE, DEVICE, OTHER = "e", "P100", "P200"
PANEL = Address(ESTATE, DEVICE)
NOON_S = 1_788_249_600.0
RESIDENT = "11111111-1111-4111-8111-111111111111"
NEIGHBOUR = "22222222-2222-4222-8222-222222222222"
MATCHING = {"roster_lease_days": 7}


class Album:
    """The vault's photographs."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.since: dict[str, str] = {}
        self.listed: set[str] | None = None  # instead of those that are kept
        self.version = 0

    def keep(self, *people: str) -> None:
        self.version += 1
        for person in people:
            self.kept[person] = b"\xff\xd8\xff " + f"{person} {self.version}".encode()
            self.since[person] = str(self.version)

    def erase(self, person: str) -> None:
        self.kept.pop(person, None)
        self.version += 1

    def photographs(self, estate_id: str) -> dict[str, str]:
        assert estate_id == ESTATE
        return {person: self.since.get(person, "") for person in self.listed or self.kept}

    def photograph(self, estate_id: str, person_id: str) -> bytes | None:
        assert estate_id == ESTATE
        return self.kept.get(person_id)

    def data_version(self) -> int:
        return self.version


class PanelStage:
    """One gateway; what it sends reaches the panels at once, and what they say waits for `settle`."""

    def __init__(
        self, folder: Path, *, matching: bool = True, quirks: Sequence[Quirk] = (), waiver: bool = True
    ) -> None:
        self.folder, self.matching, self.waiver = folder, matching, waiver
        self.wall_s, self.monotonic_s = NOON_S, 1_000.0
        self.disk, self.album = Disk(), Album()
        self.inbox: list[tuple[str, bytes]] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.answered: dict[str, list[str]] = defaultdict(list)
        self._tokens = (f"http://box/{number}" for number in itertools.count())
        self._pictures: dict[str, str] = {}
        self.panels = {
            name: make_panel(name, self._says(name), self._fetch, quirks) for name in (DEVICE, OTHER)
        }
        self.roster = EstateRoster(ESTATE)
        self.store = PanelStore(folder / "panels.db")
        self.load()
        self.restart()
        for panel in self.panels.values():
            panel.matches = matching

    @property
    def panel(self) -> Panel:
        return self.panels[DEVICE]

    def restart(self) -> None:
        """Memory is gone, the disk is not."""
        self.journal = PaperJournal(self.disk)
        self.counters, self.recents, self.devices = Counters(), Recents(), DeviceBook()
        for record in self.disk.records:
            self.recents.set(keys_of(record), Seen.RECORDED)
        self.clock = GatewayClock(lambda: self.wall_s, lambda: self.monotonic_s, 0.0)
        numbers = itertools.count(1)
        self.alarms = AlarmBook(lambda: f"alarm-{next(numbers)}")
        book = RosterBook([self.roster], {})
        face = MqttFaceDriver(DriverContext(estate_of=lambda device: book.estate_of(device, "mqtt_face")))
        drivers = Drivers([NativeDriver("estate"), face], book.protocol_of, self._opening)
        self.drivers, rosters = drivers, book.estates
        rules, joiners = DoorRules(), Joiners()
        out = Outbox(drivers, self._send, rules.open_within_ms, self.counters)
        self.desk = PanelDesk(
            panel_look(
                rosters,
                self.devices,
                drivers.with_rosters,
                lambda roster, of: orders.state(roster, of),  # noqa: PLW0108 (made below)
            ),
            self._command,
            self.store,
            self.album,
            self._photo_url,
            self.clock.now_s,
            self._differs,
        )
        self.care = DeviceCare(self._command, self.devices, rosters, self.alarms, self.counters, self.desk)
        tracks, faces = Tracks(), NamedFaces()
        now_s, city_now_s = self.clock.now_s, self.clock.city_now_s
        orders = DoorOrders(rosters, now_s, city_now_s, lambda *_: True, lambda _: None, {})
        intake = Intake(
            drivers, rosters, self.devices, self.recents, self.clock, rules, out, joiners, self.counters,
            tracks, orders, lambda: self.monotonic_s, self.care,
        )  # fmt: skip
        self.darkroom = Darkroom()
        self.pipeline = Pipeline(
            intake=intake,
            out=out,
            joiners=joiners,
            recents=self.recents,
            faces=faces,
            finder=Finder({}, faces, Guesses(GuessLimits()), {}, self.alarms.sound),
            tracks=tracks,
            open_door=lambda *_: None,
            photographs=self.darkroom,
            journal=self.journal,
            rules=rules,
            counters=self.counters,
            monotonic=lambda: self.monotonic_s,
        )

    # -- the roster -------------------------------------------------------------------------------

    def load(self) -> None:
        """Estate, doors and people; both may enter until their documents say otherwise."""
        estate: dict[str, Any] = {"name_zh": "测", "name_en": "T", "faces": True}
        if self.matching:
            estate["panels"] = MATCHING
        if self.waiver:
            estate["liveness_waiver"] = {"until": "2030-01-01", "author": "a", "reason": "r"}
        door = {"group": "gate", "credentials": ["face", "card"], "protocol": "mqtt_face"}
        self.change("estate", ESTATE, estate)
        for device in (DEVICE, OTHER):
            self.change("door", device, door)
        self.change("person", RESIDENT, person())
        self.change("person", NEIGHBOUR, person())

    def change(self, kind: Any, id: str, doc: Any) -> None:
        self.roster.apply([item(kind, id, doc)], self.roster.version + 1)

    # -- time and messages --------------------------------------------------------------------------

    def connect(self) -> None:
        """Both panels come online, and all that follows from it happens."""
        for panel in self.panels.values():
            panel.connect(self.wall_s)
        self.settle()

    def pass_by(self, seconds: float, step_s: float = 1.0) -> None:
        """Time passes, a round of everything each second."""
        until_s = self.wall_s + seconds
        while self.wall_s < until_s - 1e-9:
            moved = min(step_s, until_s - self.wall_s)
            self.wall_s += moved
            self.monotonic_s += moved
            for panel in self.panels.values():
                panel.tick(self.wall_s)
            self.settle()
            self.devices.find_silent(self.wall_s)
            self.care.tick(self.wall_s)
            self.desk._take_news(0)
            self.desk.round()
            self.settle()

    def sleep(self, seconds: float) -> None:
        """Time passes, and nothing happens in it."""
        self.wall_s += seconds
        self.monotonic_s += seconds

    def settle(self) -> None:
        """Until nobody has anything to say."""
        while self.inbox or self.journal.held:
            messages, self.inbox = self.inbox, []
            self.pipeline.take(messages)
            while self.journal.held:
                self.pipeline.written(self.journal.work())
            self.pipeline.tick()
            self.desk._take_news(0)

    def say(self, leaf: str, letter: Any, device: str = DEVICE) -> None:
        """Anything, on a panel's topic or a shared one."""
        self._says(device)(leaf, letter)
        self.settle()

    def look(self, customer: str = RESIDENT, device: str = DEVICE) -> bool:
        """Somebody looks into a panel; whether it opened, by itself or by our command."""
        before = self.panels[device].openings
        self.panels[device].look(customer, self.wall_s)
        self.settle()
        return self.panels[device].openings > before

    def enter(self, face: int = 1) -> bool:
        """Somebody stands before a panel that only sends: whether our answer opened it."""
        before = self.panel.openings
        self.panel.look("", self.wall_s)
        self.settle()
        self.pipeline.encoded(self.darkroom.develop(face))
        self.settle()
        return self.panel.openings > before

    def operators(self, device: str = DEVICE) -> list[str]:
        return [letter["operator"] for topic, letter in self.sent if topic == f"mqtt/face/{device}"]

    def report(self, device: str = DEVICE) -> PanelReport:
        [found] = [one for one in reports(self.store) if one.device == device]
        return found

    def alarm_kinds(self, device: str = DEVICE) -> list[str]:
        return [one.kind for one in self.alarms.raised() if one.device == device]

    @property
    def last(self) -> AccessRecord:
        return self.disk.records[-1]

    def command(self, command: Command, device: str = DEVICE) -> bool:
        """Give a panel a command, as an operator does."""
        return self._command(Address(ESTATE, device), command)

    # -- wires --------------------------------------------------------------------------------------

    def _says(self, device: str) -> Callable[[str, dict[str, Any]], None]:
        def say(leaf: str, letter: dict[str, Any]) -> None:
            shared = leaf in ("basic", "heartbeat")
            topic = f"mqtt/face/{leaf}" if shared else f"mqtt/face/{device}/{leaf}"
            self.inbox.append((topic, json.dumps(letter).encode()))

        return say

    def _send(self, topic: str, payload: bytes) -> bool:
        letter = json.loads(payload)
        self.sent.append((topic, letter))
        panel = self.panels.get(topic.rpartition("/")[2])
        if panel is not None and panel.connected:
            panel.receive(letter, self.wall_s)
        return True

    def _command(self, address: Address, command: Command) -> bool:
        written = self.drivers.command(address, command)
        for topic, payload in written:
            self._send(topic, payload)
        return bool(written)

    def _opening(self, address: Address, message_id: str) -> None:
        self.care.opened(address, message_id, self.clock.now_s())

    def url(self, person: str) -> str:
        return self._photo_url(ESTATE, person)

    @staticmethod
    def moment(seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, UTC)

    def _photo_url(self, _estate: str, person: str) -> str:
        url = next(self._tokens)
        self._pictures[url] = person
        return url

    def _fetch(self, url: str) -> bytes | None:
        return self.album.photograph(ESTATE, self._pictures.pop(url, ""))

    def _differs(self, address: Address, is_different: bool) -> None:
        if is_different:
            self.alarms.sound(address, "roster_differs", self.wall_s)
        else:
            self.alarms.clear(address, "roster_differs", self.wall_s)


def person(until: str | None = None, *, faces: bool = True, panels: bool = True, group: str = "gate") -> Any:
    return {
        "rights": [{"group": group, "from": "2020-01-01T00:00:00Z", "to": until}],
        "face_consent": faces,
        "panel_consent": panels,
    }


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
