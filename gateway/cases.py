"""One event on its way through the gateway, and the batch it travels in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct, structs

from gateway.decision import Attempt, Decision, Finding, Recognition
from gateway.drivers import Address, DoorEvent
from gateway.journal import Group
from gateway.journal_store import Entry
from gateway.messages import FRAMES_MAX, Liveness
from gateway.roster import EstateRoster

Floats: TypeAlias = npt.NDArray[np.float32]


NOTHING_FOUND = Finding("unknown")


class DoorRules(Struct, frozen=True):
    """The times that doors live by."""

    answer_wait_s: float = 0.010  # for the disk, before an answer goes out alone
    open_within_ms: int = 5_000  # after its event an opening is worth nothing any more
    event_age_s_max: float = 10.0  # an older event opens nothing
    track_window_s: float = 3.0  # frames join an undecided passage for so long


class Faces(Protocol):
    """Who a passage's templates are like."""

    @property
    def takes_templates(self) -> bool:
        """Whether templates that a door made itself can be compared here."""

    def identify(
        self, estate: str, passages: Sequence[Floats], groups: Sequence[str]
    ) -> list[tuple[Recognition, str | None]]:
        """For each passage the verdict, and the person where it is "match".

        Args:
            estate: where the doors are.
            passages: (frames, dimension) float32 each.
            groups: the door group of each passage: only who has to do with that is compared.
        """

    def confirms(self, estate: str, person_id: str, passage: Floats) -> bool | None:
        """Whether a passage's face is one named person's, at the threshold for that; None: nobody can say."""


class Photographs(Protocol):
    """Where photographs become templates, in other processes."""

    def submit(self, job: int, images: Sequence[bytes]) -> bool | None:
        """Queue a passage's photographs; False: the queue is full; None: there is no encoder."""


class Encoded(Struct, frozen=True):
    """What became of a passage's photographs."""

    job: int
    templates: Floats | None = None  # (frames, 128)
    crashed: bool = False  # no templates: the encoder failed, and not the photograph


class Writer(Protocol):
    """Takes groups of entries; the journal."""

    def submit(self, group: Group) -> bool:
        """False: too much is held already."""


class Case:
    """An event that is being decided."""

    __slots__ = (
        "attempt",
        "encoding",
        "event",
        "frames",
        "images",
        "judged_s",
        "keys",
        "last",
        "passage",
        "quiet",
        "received_s",
        "recognition",
        "roster",
        "seed",
        "track",
        "until_s",
    )

    def __init__(
        self,
        event: DoorEvent,
        roster: EstateRoster,
        attempt: Attempt,
        passage: str,
        keys: tuple[str, ...],
        received_s: float,
    ) -> None:
        self.event, self.roster, self.attempt = event, roster, attempt
        self.passage, self.keys, self.received_s = passage, keys, received_s
        self.judged_s = received_s  # the moment at which rights have to hold
        self.recognition: Recognition | None = None  # known before any match: the photographs failed
        self.images: tuple[bytes, ...] = event.images  # not with the encoder yet
        self.encoding = False
        self.track: Floats | None = _templates(event)  # so far, (frames, 128)
        self.frames = len(event.images) + len(event.templates)
        self.until_s: float | None = None  # while undecided, further frames join till then (monotonic)
        self.last = NOTHING_FOUND  # what the frames so far have shown
        self.quiet = False  # recorded and confirmed, and not answered any more
        self.seed: bytes | None = None  # of the QR code

    def add(self, event: DoorEvent) -> None:
        """A further frame of the same passage, just made."""
        self.images += event.images
        self.recognition = None
        self.see(_templates(event))
        self.frames += len(event.images) + len(event.templates)
        verdicts = {self.attempt.liveness, event.liveness}
        liveness: Liveness | None = "spoof" if "spoof" in verdicts else "live" if "live" in verdicts else None
        self.attempt = structs.replace(self.attempt, liveness=liveness)
        if event.last or self.frames >= FRAMES_MAX:
            self.until_s = None

    def see(self, templates: Floats | None) -> None:
        """Templates of this passage."""
        if templates is not None:
            self.track = templates if self.track is None else np.concatenate([self.track, templates])
            self.recognition = None


def _templates(event: DoorEvent) -> Floats | None:
    if not event.templates:
        return None
    return np.frombuffer(b"".join(event.templates), "<f4").reshape(-1, 128)


class Reply:
    """What is owed to a device for one entry of a batch."""

    __slots__ = ("address", "by_order", "decision", "event_id", "keys")

    def __init__(
        self,
        address: Address,
        event_id: str | None,
        decision: Decision | None,
        keys: tuple[str, ...],
        *,
        by_order: bool = False,
    ) -> None:
        self.address, self.event_id, self.decision, self.keys = address, event_id, decision, keys
        self.by_order = by_order  # a guard's command, which no event of the device asked for


class Joiners:
    """Further events of passages whose record is not on the disk yet; each waits for its passage's.

    Confirmed earlier, such an event could be forgotten by its device and its passage lost with us.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Reply]] = {}

    def add(self, passage_key: str, reply: Reply) -> None:
        """One more."""
        self._waiting.setdefault(passage_key, []).append(reply)

    def take(self, keys: tuple[str, ...]) -> list[Reply]:
        """Those that waited for the record with these keys."""
        return self._waiting.pop(keys[-1], []) if self._waiting and keys else []


class Batch(Group):
    """Entries for the journal, and the reply owed for each: with the commit, or alone when that is slow."""

    __slots__ = ("answered", "due_s", "replies")

    def __init__(self) -> None:
        super().__init__([])
        self.replies: list[Reply] = []
        self.answered = False
        self.due_s = 0.0  # monotonic

    def add(self, entry: Entry, reply: Reply) -> None:
        """One more."""
        self.entries.append(entry)
        self.replies.append(reply)
