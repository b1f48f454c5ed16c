"""What is known of each door device: whether it is there, since when, and what its clock says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from gateway.clock import SKEW_ALARM_S, DeviceClock
from gateway.drivers import Address

SKEW_KEPT_S = 0.5  # a clock that is off by less is as good as right
SILENT_S_MAX = 95.0  # three heartbeats missed, and a little

DeviceState: TypeAlias = Literal["online", "offline"]
Contact: TypeAlias = Literal["closed", "open", "forced", "held_open"]


class Device(Struct):
    """One device; changed only by the loop."""

    address: Address
    clock: DeviceClock
    state: DeviceState = "offline"
    since_s: float = 0.0
    last_s: float = 0.0
    contact: Contact | None = None
    battery_percent: int | None = None


class DeviceReport(Struct, frozen=True):
    """One device as the backend and the status page are told."""

    estate: str
    device: str
    state: DeviceState
    since: datetime
    clock_offset_ms: int | None
    contact: Contact | None = None
    battery_percent: int | None = None


class DeviceLife(Struct, frozen=True):
    """Where a device of the roster stands: it is provisioned until it is heard of, and retired at the end."""

    estate: str
    device: str
    protocol: str
    life: Literal["provisioned", "online", "offline", "retired"]


class DeviceBook:
    """All devices of the served estates' rosters, by address."""

    def __init__(self) -> None:
        self._devices: dict[Address, Device] = {}
        self._changed: set[Address] = set()

    def device(self, address: Address) -> Device:
        """The device; a new one is offline until it is heard of."""
        device = self._devices.get(address)
        if device is None:
            device = self._devices[address] = Device(address, DeviceClock())
        return device

    def heard(self, device: Device, now_s: float) -> None:
        """A message of its own has come from it."""
        device.last_s = now_s
        if device.state != "online":
            device.state, device.since_s = "online", now_s
            self._changed.add(device.address)

    def gone(self, device: Device, now_s: float) -> None:
        """Its last will has come, or it has been silent for too long."""
        if device.state != "offline" or not device.since_s:
            device.state, device.since_s = "offline", now_s
            self._changed.add(device.address)

    def told(self, device: Device, contact: Contact | None, battery_percent: int | None) -> None:
        """What a device says of its door leaf and its battery; None where it says nothing of it."""
        before = (device.contact, device.battery_percent)
        device.contact = contact or device.contact
        device.battery_percent = battery_percent if battery_percent is not None else device.battery_percent
        if (device.contact, device.battery_percent) != before:
            self._changed.add(device.address)

    def clock_moved(self, device: Device) -> None:
        """The offset of its clock has changed noticeably."""
        self._changed.add(device.address)

    def find_silent(self, now_s: float) -> None:
        """Count out devices that have said nothing for three heartbeats."""
        for device in self._devices.values():
            if device.state == "online" and now_s - device.last_s > SILENT_S_MAX:
                self.gone(device, now_s)

    def shift(self, step_s: float) -> None:
        """Our own clock was set: what we know of the others' moves with it."""
        for device in self._devices.values():
            device.clock.shift(step_s)
            device.last_s += step_s

    def skewed(self) -> list[Address]:
        """Devices whose clock is noticeably wrong."""
        return [
            device.address
            for device in self._devices.values()
            if abs(device.clock.offset_s) > SKEW_ALARM_S or device.clock.doubt_s is not None
        ]

    def reports(self) -> list[DeviceReport]:
        """All devices that have been heard of."""
        return [_report(device) for device in self._devices.values() if device.since_s]

    def life_of(self, address: Address, protocol: str, active: bool) -> DeviceLife:
        """Where a device of the roster stands."""
        device = self._devices.get(address)
        if not active:
            return DeviceLife(*address, protocol, "retired")
        if device is None or not device.since_s:
            return DeviceLife(*address, protocol, "provisioned")
        return DeviceLife(*address, protocol, device.state)

    def changes(self) -> list[DeviceReport]:
        """Those that have changed since this was last asked."""
        changed, self._changed = self._changed, set()
        return [_report(self._devices[address]) for address in sorted(changed)]

    def clocks(self) -> dict[str, float]:
        """Noticeable offsets in seconds, by `estate/device`: what is kept over a restart."""
        return {
            "/".join(address): device.clock.offset_s
            for address, device in self._devices.items()
            if abs(device.clock.offset_s) > SKEW_KEPT_S
        }

    def restore_clocks(self, offsets: Mapping[str, float]) -> None:
        """What `clocks` said before the restart."""
        for name, offset_s in offsets.items():
            estate, _, device = name.partition("/")
            self.device(Address(estate, device)).clock.offset_s = offset_s


def _report(device: Device) -> DeviceReport:
    return DeviceReport(
        device.address.estate,
        device.address.device,
        device.state,
        datetime.fromtimestamp(device.since_s, UTC),
        round(device.clock.offset_s * 1000),
        device.contact,
        device.battery_percent,
    )
