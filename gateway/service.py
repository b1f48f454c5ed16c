"""Runs a gateway that `gateway.assembly` has put together: its loop, its start and its end."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import structlog

from gateway.alarms import Alarm, AlarmBook
from gateway.broker import Broker
from gateway.city import City
from gateway.clock import GatewayClock
from gateway.devices import DeviceBook
from gateway.door_orders import DoorOrders, Fire
from gateway.drivers import Address
from gateway.fallback import FallbackLists
from gateway.health import Health
from gateway.inspection import Inspector
from gateway.journal import Journal
from gateway.journal_keeper import JournalKeeper
from gateway.journal_store import RELEASE_NOTE, AskedRelease
from gateway.loop import Loop
from gateway.metrics import MetricsServer
from gateway.panels.care import DeviceCare
from gateway.panels.room import PanelRoom
from gateway.photographs import Photographer
from gateway.pipeline import Pipeline
from gateway.policy import PolicyKeeper
from gateway.recognition import GalleryKeeper
from gateway.roster_store import RosterStore
from gateway.snapshots import SnapshotKeeper

CLOCKS_NOTE, ALARMS_NOTE, FIRES_NOTE = "device-clocks", "device-alarms", "fires"
TIME_NOTED_EVERY_S = 600.0
FEW_MESSAGES = 32
COMMIT_WAIT_S = 0.002
ACKNOWLEDGE_S_MAX = 0.5
STOP_S_MAX = 6.0  # to finish what was taken in; a photograph may take most of it

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a gateway is made of."""

    loop: Loop
    broker: Broker
    pipeline: Pipeline
    journal: Journal
    keeper: JournalKeeper
    clock: GatewayClock
    devices: DeviceBook
    care: DeviceCare
    panels: PanelRoom
    alarms: AlarmBook
    orders: DoorOrders
    fallback: FallbackLists
    photographer: Photographer
    snapshots: SnapshotKeeper | None
    gallery_keeper: GalleryKeeper | None
    city: City
    roster_store: RosterStore
    inspector: Inspector
    metrics: MetricsServer | None
    policy: PolicyKeeper | None


class Service:
    """One gateway; `run` belongs to the process's main thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stopping = self._failed = False
        self._due_s = float("inf")
        self._next_second_s = self._next_note_s = 0.0
        self._unacknowledged: deque[tuple[int, int, float]] = deque()  # position, batches, at the latest
        self._kept_clocks = parts.devices.clocks()
        self._kept_alarms: list[Alarm] = parts.alarms.raised()

    def run(self, started: Callable[[], None] = lambda: None) -> bool:
        """Serve until `stop`; True when it ended as it should.

        Args:
            started: called once everything runs and the broker has been tried.
        """
        before = threading.excepthook
        threading.excepthook = self._thread_failed
        try:
            self._start()
            started()
            while not self._stopping:
                self._turn()
            self._drain()
        finally:
            self._close()
            threading.excepthook = before
        return not self._failed

    def stop(self) -> None:
        """End soon; what was taken in is finished first. May be called from anywhere, also by a signal."""
        self._parts.loop.post(self._begin_stop)

    def reload(self) -> None:
        """Read the policy anew within a second. May be called from anywhere, also by a signal."""
        if self._parts.policy is not None:
            self._parts.policy.ask()

    def health(self) -> Health:
        """What the gateway says of itself, asked from another thread.

        Raises:
            LoopSilentError: the loop does not answer.
        """
        return self._parts.loop.ask(self._parts.inspector.look)

    def _start(self) -> None:
        parts = self._parts
        parts.journal.start()
        parts.keeper.start()
        parts.photographer.watch(parts.loop, parts.pipeline.encoded)
        if parts.gallery_keeper is not None:
            parts.gallery_keeper.start()
        if parts.snapshots is not None:
            parts.snapshots.start()
        parts.city.start()
        parts.panels.start()
        parts.broker.connect_if_due(time.monotonic())
        if parts.metrics is not None:
            parts.metrics.start()
        log.info("gateway_started", gateway=parts.inspector.gateway_id)

    def _turn(self) -> None:
        parts = self._parts
        now_s = time.monotonic()
        parts.broker.connect_if_due(now_s)
        if now_s >= self._next_second_s:
            self._next_second_s = now_s + 1.0
            self._each_second(now_s)
        parts.broker.watch()
        parts.loop.turn(min(self._due_s, self._next_second_s, parts.broker.retry_at_s) - now_s)
        if arrived := parts.broker.take():
            parts.pipeline.take(arrived)
            until_s = time.monotonic() + ACKNOWLEDGE_S_MAX
            self._unacknowledged.append((parts.broker.position, parts.pipeline.handed, until_s))
        if 0 < len(arrived) <= FEW_MESSAGES and parts.journal.held_entries:
            # Few doors, and the disk is at work: their answers wait for it, so that the broker gets its
            # acknowledgements and the answers in one write, and what arrives meanwhile is one batch.
            parts.loop.wait_for_posts(COMMIT_WAIT_S)
        self._finish_turn()

    def _finish_turn(self) -> None:
        due_s = self._parts.pipeline.tick()
        self._due_s = due_s if due_s is not None else float("inf")
        self._acknowledge()
        self._parts.broker.flush()

    def _acknowledge(self) -> None:
        """Tell the broker to forget what is on the disk, so that it brings the rest again after a kill.

        Devices do not need that, they keep an event until its own confirmation; it spares them a wait.
        A disk that takes nothing must not keep the broker from bringing more: then after a while anyway.
        """
        waiting, settled = self._unacknowledged, self._parts.pipeline.settled
        position = 0
        while waiting and (waiting[0][1] <= settled or waiting[0][2] <= time.monotonic()):
            position = waiting.popleft()[0]
        if position:
            self._parts.broker.acknowledge(position)

    def _each_second(self, now_s: float) -> None:
        parts = self._parts
        parts.broker.tick(now_s)
        if parts.policy is not None:
            parts.policy.tick()
        parts.devices.find_silent(parts.clock.now_s())
        parts.care.tick(parts.clock.now_s())
        parts.orders.tick()
        parts.fallback.tick(parts.clock.now_s())
        if now_s >= self._next_note_s:
            # A box that boots without a clock goes on from here, also where nobody has come by for days.
            self._next_note_s = now_s + TIME_NOTED_EVERY_S
            time_s = parts.clock.now_s()
            parts.journal.do(lambda store: store.note_time(time_s))
            self.keep_fires(parts.orders.fires)
        clocks = parts.devices.clocks()
        if clocks != self._kept_clocks:
            self._kept_clocks = clocks
            self._keep(CLOCKS_NOTE, clocks)
        alarms = parts.alarms.raised()
        if alarms != self._kept_alarms:
            self._kept_alarms = alarms
            self._keep(ALARMS_NOTE, alarms)

    def keep_fires(self, fires: Mapping[str, Fire]) -> None:
        """Doors that were released stay so over a restart."""
        self._keep(FIRES_NOTE, dict(fires))

    def release(self, asked: AskedRelease) -> None:
        """Somebody at the box releases the doors of an estate, or ends that; on the loop's thread."""
        parts = self._parts
        parts.journal.do(lambda store: store.forget_note(RELEASE_NOTE))
        if asked.estate not in parts.orders.estates:
            log.error("release_of_unknown_estate", estate=asked.estate)
        elif asked.cancel:
            log.warning("release_cancelled", estate=asked.estate, author=asked.author, reason=asked.reason)
            parts.orders.clear(asked.estate)
        else:
            parts.orders.fire(Address(asked.estate, "box"), asked.author, asked.reason)

    def _keep(self, name: str, value: object) -> None:
        """Have it over a restart."""
        doc = msgspec.json.encode(value).decode()
        self._parts.journal.do(lambda store: store.put_note(name, doc))

    def heed_city(self, least_s: float, most_s: float) -> None:
        """The city's clock is so far ahead of this machine's; on the loop's thread."""
        if self._parts.clock.heed_city(least_s, most_s):
            log.warning("clock_set_back_by_city", city_ahead_s=round(self._parts.clock.city_ahead_s, 3))
            self._next_note_s = 0.0

    def forget_noted_time(self) -> None:
        """Somebody has said that this machine's clock is right; on the loop's thread."""
        self._parts.clock.forget_noted()
        log.warning("clock_reset_by_hand")
        time_s = self._parts.clock.now_s()
        self._parts.journal.do(lambda store: store.note_time(time_s, reset_done=True))

    def _begin_stop(self) -> None:
        self._stopping = True

    def _drain(self) -> None:
        """Finish what was taken in, and say so to the devices; nothing new is read."""
        parts = self._parts
        parts.broker.stop_reading()
        parts.pipeline.end_tracks()
        deadline_s = time.monotonic() + STOP_S_MAX
        while (parts.pipeline.unsettled or parts.broker.wants_write) and time.monotonic() < deadline_s:
            parts.loop.turn(0.02)
            self._finish_turn()
        log.info("gateway_stopped", unsettled=parts.pipeline.unsettled)

    def _close(self) -> None:
        parts = self._parts
        parts.broker.close()
        parts.city.close()
        parts.panels.close()
        if parts.gallery_keeper is not None:
            parts.gallery_keeper.stop()
        if parts.metrics is not None:
            parts.metrics.close()
        parts.photographer.close()
        if parts.snapshots is not None:
            parts.snapshots.stop()
        parts.journal.close()
        parts.keeper.close()
        parts.roster_store.close()
        parts.loop.close()

    def _thread_failed(self, failure: threading.ExceptHookArgs) -> None:
        """A thread has ended by a fault of ours: end as well, so that a supervisor starts us afresh."""
        name = failure.thread.name if failure.thread is not None else "?"
        trace = (failure.exc_type, failure.exc_value, failure.exc_traceback)
        log.error("thread_failed", thread=name, exc_info=trace)
        self._failed = True
        self.stop()
