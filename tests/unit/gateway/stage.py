"""A pipeline on a stage: a disk that can be full, a clock that is set by hand, doors that remember."""

from __future__ import annotations

import base64
import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from gateway.answers import Outbox
from gateway.cases import DoorRules, Encoded, Floats, Joiners
from gateway.clock import GatewayClock
from gateway.codes import Guesses, GuessLimits
from gateway.counters import Counters
from gateway.decision import Recognition
from gateway.devices import DeviceBook
from gateway.door_orders import DoorOrders, Fire
from gateway.drivers import Address
from gateway.drivers.commands import Command, OpenDoor
from gateway.drivers.native import NativeDriver
from gateway.finding import Finder
from gateway.intake import Intake
from gateway.journal import Group
from gateway.journal_store import Entry
from gateway.pipeline import Pipeline
from gateway.recents import Recents, Seen
from gateway.records import AccessRecord, SetAside, keys_of
from gateway.roster import EstateRoster, Item
from gateway.tracks import Tracks

ESTATE = "e"
KEY = bytes(32)
CARD, BLOCKED_CARD = "04a1", "04b2"
RESIDENT = "11111111-1111-4111-8111-111111111111"
NOON_S = 1_788_249_600.0


class Disk:
    """What survives a kill; the same rules as `JournalStore.write`."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.records: list[AccessRecord] = []
        self.set_aside: list[SetAside] = []
        self.pass_uses: Counter[str] = Counter()

    def write(self, entries: Sequence[Entry]) -> frozenset[int]:
        known = set()
        for index, entry in enumerate(entries):
            if any(key in self.seen for key in entry.keys):
                known.add(index)
            elif entry.record is not None:
                self.records.append(entry.record)
                if entry.record.pass_id is not None and entry.record.outcome == "open":
                    self.pass_uses[entry.record.pass_id] += 1
            self.seen.update(entry.keys)
            if entry.set_aside is not None:
                self.set_aside.append(entry.set_aside)
        return frozenset(known)


class PaperJournal:
    """Takes groups; `work` writes them to the disk when the test says so."""

    def __init__(self, disk: Disk, entries_max: int = 1_000) -> None:
        self.disk, self.entries_max = disk, entries_max
        self.held: list[Group] = []

    def submit(self, group: Group) -> bool:
        if sum(len(held.entries) for held in self.held) + len(group.entries) > self.entries_max:
            return False
        self.held.append(group)
        return True

    def work(self) -> list[Group]:
        done, self.held = self.held, []
        entries = [entry for group in done for entry in group.entries]
        known, start = self.disk.write(entries), 0
        for group in done:
            count = len(group.entries)
            group.known = frozenset(at - start for at in known if start <= at < start + count)
            group.written, start = True, start + count
        return done


class NamedFaces:
    """The first number of a template says whose it is: 1 the resident, 2 somebody unsure, else nobody."""

    takes_templates = True

    def identify(
        self, estate: str, passages: Sequence[Floats], groups: Sequence[str]
    ) -> list[tuple[Recognition, str | None]]:
        assert estate == ESTATE
        assert len(groups) == len(passages)
        return [self._one(passage) for passage in passages]

    def confirms(self, estate: str, person_id: str, passage: Floats) -> bool | None:
        assert estate == ESTATE
        return int(passage[0][0]) in (1, 2) if person_id == RESIDENT else None

    @staticmethod
    def _one(passage: Floats) -> tuple[Recognition, str | None]:
        first = int(passage[0][0])
        if any(int(frame[0]) == 1 for frame in passage):
            return "match", RESIDENT
        return ("unsure" if first == 2 else "unknown"), None


class Darkroom:
    """Photographs wait until the test develops them."""

    def __init__(self) -> None:
        self.room, self.installed = 2, True
        self.jobs: list[int] = []

    def submit(self, job: int, images: Sequence[bytes]) -> bool | None:
        assert images
        if not self.installed:
            return None
        if len(self.jobs) >= self.room:
            return False
        self.jobs.append(job)
        return True

    def develop(self, face: int | None, *, crashed: bool = False) -> list[Encoded]:
        jobs, self.jobs = self.jobs, []
        templates = np.full((1, 128), face, np.float32) if face is not None else None
        return [Encoded(job, templates, crashed) for job in jobs]


class Stage:
    """One gateway's pipeline between doors and a disk."""

    def __init__(self, disk: Disk | None = None, *, now_s: float = NOON_S, entries_max: int = 1_000) -> None:
        self.wall_s, self.monotonic_s = now_s, 1_000.0
        self.doors_ahead_s = 0.0
        self.disk = disk or Disk()
        self.entries_max = entries_max
        self.faces, self.darkroom = NamedFaces(), Darkroom()
        self.connected = True
        self.fires: dict[str, Fire] = {}
        self.answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.confirmed: list[str] = []
        self.unfounded: list[str] = []  # confirmed without being on the disk
        self.restart()

    def restart(self) -> None:
        """Kill -9 and start: memory is gone, the disk is not."""
        self.journal = PaperJournal(self.disk, self.entries_max)
        self.counters, self.recents, self.devices = Counters(), Recents(), DeviceBook()
        for record in self.disk.records:
            self.recents.set(keys_of(record), Seen.RECORDED)
        self.rosters = {ESTATE: roster()}
        self.keys = {ESTATE: KEY}
        self.clock = GatewayClock(lambda: self.wall_s, lambda: self.monotonic_s, 0.0)
        rules = DoorRules()
        driver = NativeDriver("estate")
        joiners, tracks = Joiners(), Tracks()
        self.alarms: list[tuple[Address, str, str | None]] = []
        self.commands: list[tuple[str, Any]] = []
        self.orders = DoorOrders(
            self.rosters, self.clock.now_s, self.clock.city_now_s, self._command, self._keep_fires, self.fires
        )
        out = Outbox(driver, self._send, rules.open_within_ms, self.counters)
        self.guesses = Guesses(GuessLimits(3, 8, 300))
        self.finder = Finder(self.keys, self.faces, self.guesses, dict(self.disk.pass_uses), self._sound)
        self.pipeline = Pipeline(
            intake=Intake(
                driver,
                self.rosters,
                self.devices,
                self.recents,
                self.clock,
                rules,
                out,
                joiners,
                self.counters,
                tracks,
                self.orders,
                lambda: self.monotonic_s,
            ),
            finder=self.finder,
            tracks=tracks,
            open_door=lambda address, name: self._command(address, OpenDoor(name)),
            out=out,
            joiners=joiners,
            recents=self.recents,
            faces=self.faces,
            photographs=self.darkroom,
            journal=self.journal,
            rules=rules,
            counters=self.counters,
            monotonic=lambda: self.monotonic_s,
        )
        self.orders.on_open = self.pipeline.open_by_order

    def recall(self) -> None:
        """After a restart, with the roster there again: what the records on the disk say of codes."""
        for record in self.disk.records:
            self.finder.recall(record, self.rosters[record.estate])

    # -- what happens -------------------------------------------------------------------------

    def pass_by(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds
        self.pipeline.tick()

    def take(self, *messages: tuple[str, bytes]) -> None:
        self.pipeline.take(messages)

    def write(self) -> None:
        """The disk does all its work."""
        while self.journal.held:
            self.pipeline.written(self.journal.work())

    def develop(self, face: int | None, *, crashed: bool = False) -> None:
        self.pipeline.encoded(self.darkroom.develop(face, crashed=crashed))

    def event(self, content: dict[str, Any], device: str = "gate") -> None:
        """One event, and the disk at once."""
        self.take(self.message(content, device))
        self.write()

    def message(self, content: dict[str, Any], device: str = "gate") -> tuple[str, bytes]:
        at = datetime.fromtimestamp(self.wall_s + self.doors_ahead_s, UTC).isoformat()
        return f"estate/{ESTATE}/{device}/event", json.dumps({"v": 1, "at": at, **content}).encode()

    def cause(self, event_id: str) -> str:
        [answer] = self.answers[event_id]
        return str(answer["cause"])

    def openings(self, event_id: str) -> int:
        return sum(answer["outcome"] == "open" for answer in self.answers[event_id])

    def change(self, *items: Item) -> None:
        """The roster changes, as the feed tells it."""
        self.rosters[ESTATE].apply(items, 2)
        self.orders.applied(ESTATE, items)

    def _sound(self, address: Address, kind: str, now_s: float, person: str | None) -> None:
        assert now_s
        self.alarms.append((address, kind, person))

    def _keep_fires(self, fires: Mapping[str, Fire]) -> None:
        self.fires = dict(fires)

    def _command(self, address: Address, command: Command) -> bool:
        for topic, payload in NativeDriver("estate").command(address, command):
            self.commands.append((topic.split("/")[2], json.loads(payload)))
        return self.connected

    def _send(self, topic: str, payload: bytes) -> bool:
        if not self.connected:
            return False
        content = json.loads(payload)
        for answer in content["answers"]:
            self.answers[answer["id"]].append(answer)
        for event_id in content["recorded"]:
            self.confirmed.append(event_id)
            prefix = topic.removeprefix("estate/").removesuffix("/answer")
            set_aside = {note.event_id for note in self.disk.set_aside}
            if f"{prefix}/event:{event_id}" not in self.disk.seen and event_id not in set_aside:
                self.unfounded.append(event_id)
        return True


def card(event_id: str, number: str = CARD, **more: Any) -> dict[str, Any]:
    return {"id": event_id, "kind": "card", "card": number, **more}


def face(event_id: str, who: int = 1, **more: Any) -> dict[str, Any]:
    template = base64.b64encode(np.full(128, who / 1, "<f4")[:128].tobytes()).decode()
    if who > 0:
        numbers = np.full(128, 0.01, "<f4")
        numbers[0] = who
        template = base64.b64encode(numbers.tobytes()).decode()
    return {"id": event_id, "kind": "face", "liveness": "live", "frames": [{"template": template}], **more}


def photograph(event_id: str, **more: Any) -> dict[str, Any]:
    image = base64.b64encode(b"\xff\xd8\xff\xe0 a picture").decode()
    return {"id": event_id, "kind": "face", "liveness": "live", "frames": [{"image": image}], **more}


def reference(number: str) -> str:
    return hmac.digest(KEY, b"card:" + number.encode(), "sha256").hex()


def item(kind: Any, id: str, doc: Any, version: int = 1) -> Item:
    return Item(kind, id, version, json.dumps(doc).encode() if doc is not None else None)


def roster() -> EstateRoster:
    both = ["face", "card"]
    made = EstateRoster(ESTATE)
    made.apply(
        [
            item("estate", ESTATE, {"name_zh": "测", "name_en": "T", "faces": True}),
            item("door", "gate", {"group": "gate", "credentials": both}),
            item("door", "shed", {"group": "shed", "credentials": both}),
            item(
                "person",
                RESIDENT,
                {
                    "rights": [{"group": "gate", "from": "2020-01-01T00:00:00Z", "to": None}],
                    "cards": [
                        {"hmac": reference(CARD), "blocked": False},
                        {"hmac": reference(BLOCKED_CARD), "blocked": True},
                    ],
                    "face_consent": True,
                },
            ),
        ],
        1,
    )
    return made
