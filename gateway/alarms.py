"""What somebody should look at, device by device: raised, repeated, cleared; the gateway owns them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from gateway.drivers import Address

AlarmKind: TypeAlias = Literal[
    "clock_skew",
    "speaks_for_another",
    "spoken_for",
    "opening_unanswered",
    "records_not_kept",
    "opened_for_nobody",
    "opened_in_lockdown",
    "roster_differs",
    "door_forced",
    "door_held_open",
    "battery_low",
    "duress",
    "codes_guessed",
    "passback",
    "fire",
]
ALARMS_MAX = 1_000  # kept in memory, cleared ones first to go
# What happened once has no end of its own: it is over when it has not been repeated for so long.
EVENTS: frozenset[AlarmKind] = frozenset(
    {
        "speaks_for_another",
        "spoken_for",
        "opening_unanswered",
        "opened_for_nobody",
        "opened_in_lockdown",
        "door_forced",
        "duress",
        "codes_guessed",
        "passback",
    }
)
EVENT_OVER_S = 3_600.0


class Alarm(Struct, frozen=True):
    """One alarm as it stands."""

    alarm_id: str
    estate: str
    device: str
    kind: AlarmKind
    raised_at: datetime
    repeated_at: datetime
    times: int = 1
    person: str | None = None
    cleared_at: datetime | None = None


WORDS: dict[AlarmKind, tuple[str, str]] = {
    "clock_skew": ("时钟不准，已下发校时", "a wrong clock; it was told the time"),
    "speaks_for_another": ("冒用其他设备的编号，已拒收", "spoke for another device and was refused"),
    "spoken_for": ("有人在公共主题上冒充", "somebody spoke for it on a shared topic"),
    "opening_unanswered": ("下发开门后没有回应", "did not answer an order to open"),
    "records_not_kept": ("断网时不保留记录（断点续传未开）", "keeps no records while offline"),
    "opened_for_nobody": ("自行放行了无权进入的人", "let in somebody who may not enter"),
    "opened_in_lockdown": ("封锁期间自行放行", "let somebody in during a lockdown"),
    "roster_differs": ("面板名单与我们的不一致", "its list differs from ours"),
    "door_forced": ("门被强行打开", "the door was forced"),
    "door_held_open": ("门长时间未关", "the door is held open"),
    "battery_low": ("电池电量低", "its battery is low"),
    "duress": ("有人输入胁迫密码，请立即核实并报警", "a duress PIN was used: check at once, call the police"),
    "codes_guessed": ("有人反复试密码，已暂停", "somebody is guessing codes; paused for some minutes"),
    "passback": (
        "同一人连续进入而未出门，请留意共用凭证",
        "in twice without going out: a shared credential?",
    ),
    "fire": ("消防或紧急释放中，所有门常开", "fire or emergency: all doors are released"),
}

ALARMS = msgspec.json.Decoder(list[Alarm])
_Key: TypeAlias = tuple[Address, AlarmKind, str | None]


class AlarmBook:
    """The alarms of all devices; belongs to the loop.

    Args:
        new_id: names an alarm.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._raised: dict[_Key, Alarm] = {}
        self._cleared: dict[str, Alarm] = {}
        self._changed: dict[str, Alarm] = {}

    def sound(self, address: Address, kind: AlarmKind, now_s: float, person: str | None = None) -> bool:
        """Raise an alarm; whether it is a new one, and not one that stands already."""
        key, now = (address, kind, person), datetime.fromtimestamp(now_s, UTC)
        before = self._raised.get(key)
        if before is None and len(self._raised) >= ALARMS_MAX:
            return False
        alarm = (
            Alarm(self._new_id(), address.estate, address.device, kind, now, now, person=person)
            if before is None
            else msgspec.structs.replace(before, repeated_at=now, times=before.times + 1)
        )
        self._raised[key] = self._changed[alarm.alarm_id] = alarm
        return before is None

    def clear(self, address: Address, kind: AlarmKind, now_s: float, person: str | None = None) -> None:
        """It is over."""
        alarm = self._raised.pop((address, kind, person), None)
        if alarm is not None:
            over = msgspec.structs.replace(alarm, cleared_at=datetime.fromtimestamp(now_s, UTC))
            self._cleared[over.alarm_id] = self._changed[over.alarm_id] = over
            while len(self._cleared) > ALARMS_MAX:
                del self._cleared[next(iter(self._cleared))]

    def clear_all(self, estate: str, kind: AlarmKind, now_s: float) -> None:
        """It is over in the whole estate."""
        for address, one, person in list(self._raised):
            if address.estate == estate and one == kind:
                self.clear(address, one, now_s, person)

    def tick(self, now_s: float) -> None:
        """End the events that were not repeated."""
        for (address, kind, person), alarm in list(self._raised.items()):
            if kind in EVENTS and now_s - alarm.repeated_at.timestamp() > EVENT_OVER_S:
                self.clear(address, kind, now_s, person)

    def raised(self) -> list[Alarm]:
        """Those that stand."""
        return list(self._raised.values())

    def is_raised(self, address: Address, kind: AlarmKind) -> bool:
        """Whether a device has one of this kind, about nobody in particular."""
        return (address, kind, None) in self._raised

    def changes(self) -> list[Alarm]:
        """What has changed since this was last asked."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def everything(self) -> list[Alarm]:
        """All that stand, and what ended lately."""
        self._changed = {}
        return [*self._cleared.values(), *self._raised.values()]

    def restore(self, alarms: Iterable[Alarm]) -> None:
        """What stood before the restart."""
        for alarm in alarms:
            self._raised[(Address(alarm.estate, alarm.device), alarm.kind, alarm.person)] = alarm


def sentences(alarms: Iterable[Alarm]) -> list[str]:
    """One sentence for each kind that stands, with the devices that have it."""
    by_kind: dict[AlarmKind, set[str]] = {}
    for alarm in alarms:
        by_kind.setdefault(alarm.kind, set()).add(f"{alarm.estate}/{alarm.device}")
    return [
        f"设备 {names}：{WORDS[kind][0]}  |  {names}: {WORDS[kind][1]}"
        for kind, names in sorted((kind, ", ".join(sorted(found))) for kind, found in by_kind.items())
    ]
