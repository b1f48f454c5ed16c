"""Looks after devices that take commands: their clocks, their presence, and whether they did as told.

A panel speaks of its life on topics that any panel may write. So what is said there is a hint: it has us
set the clock of the device that it is said of, on that device's own topic. The device's acknowledgement,
on its own topic, then proves that it is there and that its clock is right; nothing else does. Another
panel that speaks for it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import structlog
from msgspec import Struct

from gateway.alarms import AlarmBook, AlarmKind
from gateway.clock import SKEW_ALARM_S
from gateway.counters import Counters
from gateway.decision import Door, DoorState, Timing, right_at
from gateway.devices import DeviceBook
from gateway.drivers import Address, DeviceHint, DeviceReply, DeviceSign, DoorEvent
from gateway.drivers.commands import Command, GreetBack, ResumeOn, SetTime
from gateway.panels.lease import our_reference
from gateway.roster import EstateRoster

SPEAKS_FOR_ANOTHER = "speaks_for_another"
UNLOCK_WAIT_S = 15.0
ACK_WAIT_S = 5.0  # a clock that was set later than this after we said so was set to an old time
ASK_AGAIN_S = 5.0  # a device is asked at most so often
OWN_SILENCE_S = 60.0  # without a word on its own topics, a device is asked whether it is there
LATE_WILL_S = 90.0  # a will within this of an "online" may be the earlier connection's
HELD_OPEN_S = 60.0
BATTERY_LOW_PERCENT = 15

log = structlog.get_logger()


class Desk(Protocol):
    """Where panels' rosters are kept."""

    def online(self, address: Address) -> None:
        """A panel is there, and may have missed commands."""

    def reply(self, reply: DeviceReply) -> None:
        """An acknowledgement of a roster command."""

    def repair(self, address: Address, person: str) -> None:
        """A panel has let in somebody whom it should not know."""


class _Ward(Struct):
    """What is awaited of one device."""

    time_sent_s: float = -1e9
    time_message: str = ""
    gone_if_silent_s: float | None = None  # somebody said that it is gone: known by then
    online_said_s: float = -1e9
    resume_asked: bool = False
    open_since_s: float | None = None
    openings: dict[str, float] = {}


class DeviceCare:
    """Belongs to the loop.

    Args:
        send: gives a command to a device; False where its protocol has none such, or no connection.
        devices, rosters, alarms, counters: the loop's.
        desk: of the panels that match by themselves, if there is one.
    """

    def __init__(
        self,
        send: Callable[[Address, Command], bool],
        devices: DeviceBook,
        rosters: Mapping[str, EstateRoster],
        alarms: AlarmBook,
        counters: Counters,
        desk: Desk | None = None,
    ) -> None:
        self._send, self._devices, self._rosters, self._alarms = send, devices, rosters, alarms
        self._counters, self._desk = counters, desk
        self._wards: dict[Address, _Ward] = {}
        self._messages = 0

    # -- what devices say -----------------------------------------------------------------------

    def take(self, reading: DeviceHint | DeviceReply, now_s: float) -> None:
        """A hint, or a device's own acknowledgement."""
        if isinstance(reading, DeviceHint):
            self._counters.hints += 1
            self._hint(reading, now_s)
        else:
            self._counters.replies += 1
            self._reply(reading, now_s)

    def sign(self, sign: DeviceSign, now_s: float) -> None:
        """What a device says of its door leaf and its battery."""
        address, ward = sign.address, self._ward(sign.address)
        self._devices.told(self._devices.device(address), sign.contact, sign.battery_percent)
        if sign.contact == "forced":
            self._sound(address, "door_forced", now_s)
        if sign.contact == "held_open":
            self._sound(address, "door_held_open", now_s)
        if sign.contact == "open":
            ward.open_since_s = ward.open_since_s if ward.open_since_s is not None else now_s
        if sign.contact == "closed":
            ward.open_since_s = None
            self._alarms.clear(address, "door_held_open", now_s)
        if sign.battery_percent is not None:
            if sign.battery_percent <= BATTERY_LOW_PERCENT:
                self._sound(address, "battery_low", now_s)
            else:
                self._alarms.clear(address, "battery_low", now_s)

    def attempt(
        self,
        event: DoorEvent,
        roster: EstateRoster,
        door: Door,
        timing: Timing,
        now_s: float,
        state: DoorState = "normal",
    ) -> None:
        """Somebody's attempt that came late, or that the device has judged by itself."""
        if timing != "fresh" and not event.resent:
            # Sent at once by its own account, and old by its clock: the clock is wrong, or the network slow.
            self._set_time(event.address, now_s, skewed=True)
        if event.opened and state == "locked" and door.way == "in" and not event.resent:
            self._sound(event.address, "opened_in_lockdown", now_s, our_reference(event.person))
        if event.opened and not _may_enter(event, roster, door, self._made_at_s(event), now_s):
            self._sound(event.address, "opened_for_nobody", now_s, our_reference(event.person))
            if self._desk is not None and event.person:
                self._desk.repair(event.address, event.person)

    def opened(self, address: Address, message_id: str, now_s: float) -> None:
        """An opening was sent, whose acknowledgement is awaited."""
        self._ward(address).openings[message_id] = now_s + UNLOCK_WAIT_S

    def spoke_for_another(self, address: Address, now_s: float) -> None:
        """A device named another one on its own topic; the message was refused."""
        self._sound(address, "speaks_for_another", now_s)

    def tick(self, now_s: float) -> None:
        """Once a second: what was awaited and has not come."""
        for address, ward in self._wards.items():
            for message_id in [one for one, due_s in ward.openings.items() if due_s <= now_s]:
                del ward.openings[message_id]
                self._sound(address, "opening_unanswered", now_s)
            if ward.gone_if_silent_s is not None and ward.gone_if_silent_s <= now_s:
                ward.gone_if_silent_s = None
                self._devices.gone(self._devices.device(address), now_s)
            if ward.open_since_s is not None and now_s - ward.open_since_s > HELD_OPEN_S:
                ward.open_since_s = now_s
                self._sound(address, "door_held_open", now_s)
        for address in self._silent(now_s):
            self._set_time(address, now_s)
        self._alarms.tick(now_s)

    # -- inside ---------------------------------------------------------------------------------

    def _hint(self, hint: DeviceHint, now_s: float) -> None:
        address, ward = hint.address, self._ward(hint.address)
        if hint.kind == "online":
            ward.online_said_s, ward.resume_asked = now_s, False
            self._send(address, GreetBack(hint.message_id or self._name("greet")))
        elif hint.kind == "offline":
            # A will, of this connection or of an earlier one; or a lie. An answer tells.
            ward.gone_if_silent_s = now_s + ACK_WAIT_S
            self._set_time(address, now_s, force=True)
            return
        if hint.at_s is not None and abs(now_s - hint.at_s) > SKEW_ALARM_S:
            self._set_time(address, now_s, skewed=True)
        elif self._devices.device(address).state != "online":
            self._set_time(address, now_s)

    def _reply(self, reply: DeviceReply, now_s: float) -> None:
        address, ward = reply.address, self._ward(reply.address)
        device = self._devices.device(address)
        was_online = device.state == "online"
        self._devices.heard(device, now_s)
        if ward.gone_if_silent_s is not None:
            ward.gone_if_silent_s = None
            if now_s - ward.online_said_s > LATE_WILL_S:
                self._sound(address, "spoken_for", now_s)
        if not was_online and self._desk is not None:
            self._desk.online(address)
        if reply.operator == "SetSysTime":
            self._clock_set(reply, ward, now_s)
        elif reply.operator == "Unlock":
            self._unlocked(reply, ward, now_s)
        elif reply.operator == "UpMQTTconfig":
            self._resume_set(reply, now_s)
        elif self._desk is not None and reply.operator != "PushAck":
            self._desk.reply(reply)
        if not ward.resume_asked:
            ward.resume_asked = self._send(address, ResumeOn(self._name("resume"), now_s))

    def _clock_set(self, reply: DeviceReply, ward: _Ward, now_s: float) -> None:
        if not reply.ok or reply.message_id != ward.time_message:
            return
        if now_s - ward.time_sent_s > ACK_WAIT_S:
            self._set_time(reply.address, now_s, force=True)
            return
        device = self._devices.device(reply.address)
        if device.clock.was_set():
            self._devices.clock_moved(device)
        self._alarms.clear(reply.address, "clock_skew", now_s)

    def _unlocked(self, reply: DeviceReply, ward: _Ward, now_s: float) -> None:
        ward.openings.pop(reply.message_id, None)
        if not reply.ok:
            self._sound(reply.address, "opening_unanswered", now_s)

    def _resume_set(self, reply: DeviceReply, now_s: float) -> None:
        if reply.ok:
            self._alarms.clear(reply.address, "records_not_kept", now_s)
        else:
            self._sound(reply.address, "records_not_kept", now_s)

    def _set_time(self, address: Address, now_s: float, *, skewed: bool = False, force: bool = False) -> None:
        ward = self._ward(address)
        if not force and now_s - ward.time_sent_s < ASK_AGAIN_S:
            return
        message_id = self._name("time")
        if self._send(address, SetTime(message_id, now_s)):
            ward.time_sent_s, ward.time_message = now_s, message_id
            if skewed:
                self._sound(address, "clock_skew", now_s)

    def _silent(self, now_s: float) -> Iterator[Address]:
        for address in self._wards:
            device = self._devices.device(address)
            if device.state == "online" and now_s - device.last_s > OWN_SILENCE_S:
                yield address

    def _made_at_s(self, event: DoorEvent) -> float:
        return self._devices.device(event.address).clock.made_at_s(event.at_s)

    def _ward(self, address: Address) -> _Ward:
        ward = self._wards.get(address)
        if ward is None:
            ward = self._wards[address] = _Ward(openings={})
        return ward

    def _sound(self, address: Address, kind: AlarmKind, now_s: float, person: str | None = None) -> None:
        if self._alarms.sound(address, kind, now_s, person):
            log.warning("device_alarm", estate=address.estate, device=address.device, alarm=kind)

    def _name(self, what: str) -> str:
        self._messages += 1
        return f"{what}-{self._messages}"


def _may_enter(event: DoorEvent, roster: EstateRoster, door: Door, made_at_s: float, now_s: float) -> bool:
    """Whether a panel was right to open; the right is judged at the time of the passage.

    Consent has no history here, so an old record is not held against a consent that was withdrawn since.
    """
    person = roster.people.get(event.person)
    if person is None or not roster.policy.faces or not roster.policy.panels_match:
        return False
    consents = person.face_consent and person.panel_consent
    return right_at(person, door.group, min(made_at_s, now_s)) == "live" and (consents or event.resent)
