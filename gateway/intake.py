"""The first half of an event's way: read it, know its device, and know whether it was here before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone

import structlog
from msgspec import structs

from gateway import causes
from gateway.answers import Outbox
from gateway.cases import Batch, Case, DoorRules, Joiners, Reply
from gateway.clock import GatewayClock
from gateway.counters import Counters
from gateway.decision import Attempt, Decision, Door, within_hours
from gateway.devices import DeviceBook
from gateway.door_orders import DoorOrders
from gateway.drivers import Address, DeviceSign, DoorEvent, Driver, Rejected
from gateway.journal_store import Entry
from gateway.messages import FRAMES_MAX
from gateway.panels.care import SPEAKS_FOR_ANOTHER, DeviceCare
from gateway.recents import Recents, Seen
from gateway.records import SetAside, event_key, passage_key, passage_name
from gateway.roster import EstateRoster
from gateway.tracks import Tracks

CHINA = timezone(timedelta(hours=8))

log = structlog.get_logger()


class Intake:
    """Turns messages into cases to be decided; all else is dealt with here.

    An event that was made before we started may have been answered by the run before us, which was killed
    before its record reached the disk. It is treated like one that is sent again: there is never a second
    answer, and a person who is still at the door makes a new event.
    """

    def __init__(
        self,
        driver: Driver,
        rosters: Mapping[str, EstateRoster],
        devices: DeviceBook,
        recents: Recents,
        clock: GatewayClock,
        rules: DoorRules,
        out: Outbox,
        joiners: Joiners,
        counters: Counters,
        tracks: Tracks,
        orders: DoorOrders,
        monotonic: Callable[[], float],
        care: DeviceCare | None = None,
        offer: Callable[[Address, Sequence[bytes]], None] = lambda _address, _images: None,
    ) -> None:
        self._care, self._offer = care, offer
        self._tracks, self._orders, self._monotonic = tracks, orders, monotonic
        self._driver, self._rosters, self._devices, self._recents = driver, rosters, devices, recents
        self._clock, self._rules, self._out, self._counters = clock, rules, out, counters
        self._joiners = joiners
        self._started_s = clock.now_s()

    def take(self, messages: Iterable[tuple[str, bytes]], batch: Batch) -> list[Case]:
        """Read messages (topic, payload).

        Args:
            messages: all that has arrived.
            batch: gets what needs no decision: further frames, and messages set aside.
        Returns:
            The events to be decided; their keys are noted as pending.
        """
        if step_s := self._clock.step_s():
            log.warning("clock_was_set", step_s=round(step_s, 3))
            self._started_s += step_s
            self._devices.shift(step_s)
        now_s = self._clock.now_s()
        local = datetime.fromtimestamp(now_s, CHINA)
        cases: dict[int, Case] = {}  # a passage once, however many of its frames have come
        count = 0
        for topic, payload in messages:
            count += 1
            try:
                reading = self._driver.read(topic, payload)
            except Exception:
                # A driver may be somebody else's package: its fault must not cost a neighbour's event.
                log.exception("driver_failed", driver=self._driver.name, topic=topic)
                reading = Rejected(None, "driver_failed", len(payload))
            if isinstance(reading, DoorEvent):
                case = self._event(reading, now_s, local, batch)
                if case is not None:
                    cases[id(case)] = case
            elif isinstance(reading, DeviceSign):
                self._sign(reading, now_s)
            elif isinstance(reading, Rejected):
                self._set_aside(reading, now_s, batch)
            elif self._care is not None:
                self._care.take(reading, now_s)
        self._counters.messages += count
        return list(cases.values())

    def take_rules(self, rules: DoorRules) -> None:
        """Live by these times from now on."""
        self._rules = rules

    def by_order(self, address: Address, order_id: str) -> Case | None:
        """A guard's opening as a case of its own; None where it was done already, or for no door of ours."""
        now_s = self._clock.now_s()
        roster = self._rosters.get(address.estate)
        event = DoorEvent(address, f"order:{order_id}", now_s, "remote")
        keys = (event_key(address, event.event_id),)
        if roster is None or address.device not in roster.doors or self._recents.get(keys[0]) is not None:
            return None
        self._recents.set(keys, Seen.PENDING)
        attempt = Attempt(
            roster.doors[address.device], roster.policy, "remote", datetime.fromtimestamp(now_s, CHINA).date()
        )
        return Case(event, roster, attempt, passage_name(event), keys, now_s)

    def renew(self, case: Case) -> None:
        """Judge a case that has waited by what holds now: rights, doors and rules may have changed."""
        address = case.event.address
        case.judged_s = self._clock.now_s()
        case.roster = roster = self._rosters.get(address.estate, case.roster)
        door, local = roster.doors.get(address.device), datetime.fromtimestamp(case.judged_s, CHINA)
        case.attempt = structs.replace(
            case.attempt,
            door=door,
            policy=roster.policy,
            today=local.date(),
            state=self._orders.state(roster, address),
            outside_hours=door is not None and _is_outside(door, local),
        )

    def _event(self, event: DoorEvent, now_s: float, local: datetime, batch: Batch) -> Case | None:
        self._counters.events += 1
        address = event.address
        roster = self._rosters.get(address.estate)
        door = roster.doors.get(address.device) if roster is not None else None
        if roster is None or door is None:
            self._unknown_device(event, roster, now_s, batch)
            return None
        device = self._devices.device(address)
        self._devices.heard(device, now_s)
        key = event_key(address, event.event_id)
        if self._known(event, key):
            return None
        timing = device.clock.judge(event.at_s, now_s, self._rules.event_age_s_max)
        early = timing != "skewed" and device.clock.made_at_s(event.at_s) < self._started_s
        again = event.resent or early
        if event.images and timing == "fresh" and not again:
            self._offer(address, event.images)  # somebody may be being enrolled by this very camera
        if timing == "late" and not again and door.protocol == "native":
            # Not by what a broker brings after our start: that is old because we were away.
            device.clock.doubt(now_s - event.at_s, now_s)
        is_live = timing == "fresh" and not again
        passage = passage_name(event)
        keys: tuple[str, ...] = (key,)
        of_track = event.track is not None and (whole := passage_key(address, passage)) != key
        if of_track:
            if self._joins(event, keys, whole, batch):
                return self._add(event, whole) if is_live else None
            keys = (key, whole)
        self._recents.set(keys, Seen.PENDING)
        state = self._orders.state(roster, address)
        if self._care is not None and (timing != "fresh" or event.verdict is not None):
            self._care.attempt(event, roster, door, timing, now_s, state)
        attempt = Attempt(
            door,
            roster.policy,
            event.credential,
            local.date(),
            timing,
            again,
            event.liveness,
            state,
            door.hours is not None and _is_outside(door, local),
        )
        case = Case(event, roster, attempt, passage, keys, now_s)
        if of_track and is_live and not event.last and case.frames < FRAMES_MAX:
            case.until_s = self._monotonic() + self._rules.track_window_s
            self._tracks.begin(case)
        return case

    def _add(self, event: DoorEvent, whole: str) -> Case | None:
        """A further frame: it goes with the others where the passage is still undecided."""
        case = self._tracks.get(whole)
        if case is not None:
            case.add(event)
            self.renew(case)
        return case

    def _joins(self, event: DoorEvent, keys: tuple[str, ...], whole: str, batch: Batch) -> bool:
        """Whether this is a further event of a passage that has its answer: it is known then, and no more."""
        seen = self._recents.get(whole)
        if seen is None or (seen is Seen.ANSWERED and event.resent):
            return False
        if seen is not Seen.ANSWERED:  # where nothing of the passage is on the disk, it is sent again
            self._counters.joined += 1
            self._recents.set(keys, Seen.PENDING)
            reply = Reply(event.address, event.event_id, None, keys)
            if seen is Seen.RECORDED:
                batch.add(Entry(keys), reply)
            else:
                self._joiners.add(whole, reply)
        return True

    def _known(self, event: DoorEvent, key: str) -> bool:
        seen = self._recents.get(key)
        if seen is None or (seen is Seen.ANSWERED and event.resent):
            return False
        self._counters.repeats += 1
        if seen is Seen.RECORDED:
            self._out.confirm(event.address, event.event_id)
        return True

    def _unknown_device(
        self, event: DoorEvent, roster: EstateRoster | None, now_s: float, batch: Batch
    ) -> None:
        if roster is None:
            # An estate we served once: the broker has kept our subscription. Another gateway answers there.
            self._counters.set_aside["estate_not_served"] += 1
            return
        self._out.answer(event.address, event.event_id, Decision(causes.UNKNOWN_DEVICE))
        if roster.version == 0:
            # The roster has never arrived, so that nobody can say whose door this is. Not confirmed:
            # the device keeps the event and sends it again.
            self._counters.no_roster += 1
            return
        reading = Rejected(event.address, causes.UNKNOWN_DEVICE.code, 0, event.event_id)
        self._set_aside(reading, now_s, batch)

    def _set_aside(self, reading: Rejected, now_s: float, batch: Batch) -> None:
        self._counters.set_aside[reading.reason] += 1
        address = reading.address
        if address is not None and reading.reason == SPEAKS_FOR_ANOTHER and self._care is not None:
            self._care.spoke_for_another(address, now_s)
        if address is None or address.estate not in self._rosters:
            return  # nobody's topic, or not ours: counted, and nobody waits for us
        log.warning(
            "message_set_aside",
            estate=address.estate,
            device=address.device,
            event_id=reading.event_id,
            reason=reading.reason,
            size_bytes=reading.size_bytes,
        )
        note = SetAside(
            address.estate,
            address.device,
            reading.event_id,
            reading.reason,
            reading.size_bytes,
            datetime.fromtimestamp(now_s, UTC),
        )
        batch.add(Entry((), set_aside=note), Reply(address, reading.event_id, None, ()))

    def _sign(self, sign: DeviceSign, now_s: float) -> None:
        roster = self._rosters.get(sign.address.estate)
        if roster is None or sign.address.device not in roster.doors:
            self._counters.set_aside["sign_of_unknown_device"] += 1
            return
        device = self._devices.device(sign.address)
        if not sign.alive:
            self._devices.gone(device, now_s)
            return
        if device.state != "online":
            self._orders.there(sign.address)
        self._devices.heard(device, now_s)
        if sign.fire:
            self._orders.fire(sign.address, f"device {sign.address.device}", "fire input")
        if self._care is not None and (sign.contact is not None or sign.battery_percent is not None):
            self._care.sign(sign, now_s)
        if sign.at_s is not None and device.clock.learn(sign.at_s, now_s):
            self._devices.clock_moved(device)
            log.warning(
                "device_clock_learned",
                estate=sign.address.estate,
                device=sign.address.device,
                offset_s=round(device.clock.offset_s, 3),
            )


def _is_outside(door: Door, local: datetime) -> bool:
    return not within_hours(door.hours, local.isoweekday(), local.hour * 60 + local.minute)
