"""Devices, their alarms and what panels hold, in an operator's words. Pure; no names of people in here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from backend.access.devices import AlarmView, DeviceView, LeavingView, PanelView
from backend.access.erasures import ErasureState
from backend.web import words

Said = tuple[str, str, str, str]  # what, in Chinese and English; what to do, in both
ALARMS: Mapping[str, Said] = {
    "clock_skew": (
        "时钟不准，已下发校时",
        "Its clock is wrong; it was told the time.",
        "一分钟后仍在，请在设备上核对时间",
        "Still here after a minute? Check the time on the device.",
    ),
    "speaks_for_another": (
        "冒用其他设备的编号，消息已拒收",
        "It spoke under another device's number; the message was refused.",
        "请到现场检查设备编号是否设错，或设备被调换",
        "Check on site whether its number is set wrongly, or the device was swapped.",
    ),
    "spoken_for": (
        "有人在公共主题上冒充此设备",
        "Somebody spoke for this device on the shared topic.",
        "请检查同一网络中的其他设备",
        "Check the other devices on the same network.",
    ),
    "opening_unanswered": (
        "下发开门后没有回应",
        "It did not answer an order to open.",
        "请到门口试一次，并检查继电器接线",
        "Try the door, and check the relay's wiring.",
    ),
    "records_not_kept": (
        "断网时不保留记录（断点续传未开）",
        "It keeps no records while offline (resume is off).",
        "请升级固件或更换设备；断网期间的记录会缺失",
        "Update or replace it; records of an outage will be missing.",
    ),
    "opened_for_nobody": (
        "自行放行了无权进入的人，名单正在修正",
        "It let in somebody who may not enter; its list is being mended.",
        "请查看门口录像；名单不再修正成功时停用此面板",
        "Look at the door's camera; take the panel out of use if its list stays wrong.",
    ),
    "opened_in_lockdown": (
        "封锁期间自行放行了人，名单正在撤回",
        "It let somebody in during a lockdown; its list is being withdrawn.",
        "请派人到门口；名单撤回前此面板仍可能开门",
        "Send somebody to the door; until its list is withdrawn it may open again.",
    ),
    "roster_differs": (
        "面板上的名单与我们的不一致，正在修正",
        "Its list differs from ours, and is being mended.",
        "若有面板自行登记的人员，请在面板上删除",
        "Delete on the panel whoever was enrolled there by hand.",
    ),
    "door_forced": (
        "门被强行打开",
        "The door was forced.",
        "请立即派人查看",
        "Send somebody at once.",
    ),
    "door_held_open": (
        "门长时间未关",
        "The door is held open.",
        "请派人关门，检查闭门器",
        "Have it closed, and check the closer.",
    ),
    "battery_low": (
        "电池电量低",
        "Its battery is low.",
        "请在本周内更换电池",
        "Change the battery this week.",
    ),
    "duress": (
        "有人输入了胁迫密码",
        "A duress PIN was used: somebody may be under threat.",
        "请悄悄核实，必要时报警；不要在门口声张",
        "Check quietly, call the police if need be; say nothing at the door.",
    ),
    "codes_guessed": (
        "有人反复输错密码，已暂停几分钟",
        "Too many wrong codes: paused for some minutes.",
        "请到门口看看；住户可刷卡",
        "Have a look at the door; residents can use their cards.",
    ),
    "passback": (
        "同一人连续进入而没有出门",
        "Somebody came in twice without going out.",
        "请留意是否有人共用卡或密码",
        "A card or PIN may be shared.",
    ),
    "fire": (
        "消防或紧急释放，所有门常开",
        "Fire or emergency: all doors are released.",
        "险情解除后，请在“开门和封闭”里解除",
        "When it is over, end it under “Open, lock, release”.",
    ),
}
URGENT = frozenset({"duress", "fire", "door_forced", "opened_for_nobody", "speaks_for_another"})
LIVES: Mapping[str, tuple[str, str, str]] = {
    "online": ("在线", "online", "ok"),
    "offline": ("离线", "offline", "stop"),
    "provisioned": ("已登记，未上线", "provisioned, not heard from yet", ""),
    "retired": ("已停用", "retired", ""),
}
CONTACTS: Mapping[str, tuple[str, str]] = {
    "closed": ("门已关", "closed"),
    "open": ("门开着", "open"),
    "forced": ("被强开", "forced"),
    "held_open": ("长时间未关", "held open"),
}
CLOCK_OFF_S = 5


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm in words; `urgent` ones stand out, `over` ones are for reading only."""

    alarm_id: UUID
    device_id: str
    door_zh: str
    zh: str
    en: str
    do_zh: str
    do_en: str
    since_zh: str
    since_en: str
    at: datetime
    times: int
    urgent: bool
    over: bool
    seen: bool
    person_ref: str | None


@dataclass(frozen=True, slots=True)
class Panel:
    """What a panel that matches by itself holds."""

    people: int
    refused: int
    differences: int
    compared_zh: str
    compared_en: str


@dataclass(frozen=True, slots=True)
class Device:
    """One device."""

    device_id: str
    name_zh: str
    name_en: str
    protocol: str
    life: str
    life_zh: str
    life_en: str
    tag: str
    since_zh: str
    since_en: str
    clock_off_s: int
    contact_zh: str
    contact_en: str
    battery_percent: int | None
    panel: Panel | None


@dataclass(frozen=True, slots=True)
class Leaving:
    """Somebody whom a panel may still let in; "" as `until` where nobody knows the end."""

    door_zh: str
    device_id: str
    person_ref: str
    since_zh: str
    until_zh: str
    until_en: str
    over: bool


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that is not complete: what it waits for."""

    estate_id: str
    person: str
    since_zh: str
    since_en: str
    certified: bool
    devices: tuple[str, ...]


def life_of(device: DeviceView) -> str:
    """Provisioned, online, offline or retired."""
    if not device.active:
        return "retired"
    return device.state or "provisioned"


def device_rows(
    devices: Sequence[DeviceView], panels: Sequence[PanelView], now: datetime
) -> dict[str, list[Device]]:
    """By estate."""
    held = {panel.device_id: panel for panel in panels}
    rows: defaultdict[str, list[Device]] = defaultdict(list)
    for device in devices:
        rows[device.estate_id].append(_device(device, held.get(device.device_id), now))
    return dict(rows)


def alarm_rows(alarms: Sequence[AlarmView], devices: Sequence[DeviceView], now: datetime) -> list[Alarm]:
    """Urgent ones first; one of a kind that we do not know is shown under its own name."""
    names = {device.device_id: device.name_zh for device in devices}
    rows = [_alarm(one, names.get(one.device_id, one.device_id), now) for one in alarms]
    return sorted(rows, key=lambda row: (row.over, not row.urgent, row.seen))


def leaving_rows(
    leaving: Sequence[LeavingView], devices: Sequence[DeviceView], now: datetime
) -> list[Leaving]:
    """Those whose lease still runs first."""
    names = {device.device_id: device.name_zh for device in devices}
    rows = [
        Leaving(
            door_zh=names.get(one.device_id, one.device_id),
            device_id=one.device_id,
            person_ref=one.person_ref or words.short_id(one.person_id),
            since_zh=words.since_zh(one.since, now),
            until_zh=words.since_zh(one.until, now) if one.until else "",
            until_en=words.since_en(one.until, now) if one.until else "",
            over=one.until is not None and one.until <= now,
        )
        for one in leaving
    ]
    return sorted(rows, key=lambda row: row.over)


def erasure_rows(states: Sequence[ErasureState], now: datetime) -> list[Erasure]:
    """Those that are not complete, in their order."""
    return [
        Erasure(
            estate_id=one.order.estate_id,
            person=words.short_id(one.order.person_id),
            since_zh=words.since_zh(one.order.ordered_at, now),
            since_en=words.since_en(one.order.ordered_at, now),
            certified=one.order.certified_at is not None,
            devices=one.waits_for,
        )
        for one in states
        if not one.is_complete
    ]


def _device(device: DeviceView, panel: PanelView | None, now: datetime) -> Device:
    life = life_of(device)
    life_zh, life_en, tag = LIVES.get(life, (life, life, ""))
    contact_zh, contact_en = CONTACTS.get(device.contact or "", ("", ""))
    off_s = abs(device.clock_offset_ms or 0) // 1000
    return Device(
        device_id=device.device_id,
        name_zh=device.name_zh,
        name_en=device.name_en,
        protocol=device.protocol,
        life=life,
        life_zh=life_zh,
        life_en=life_en,
        tag=tag,
        since_zh=words.since_zh(device.since, now) if device.since and device.active else "",
        since_en=words.since_en(device.since, now) if device.since and device.active else "",
        clock_off_s=off_s if off_s > CLOCK_OFF_S else 0,
        contact_zh=contact_zh,
        contact_en=contact_en,
        battery_percent=device.battery_percent,
        panel=_panel(panel, now) if panel is not None else None,
    )


def _panel(panel: PanelView, now: datetime) -> Panel:
    at = panel.reconciled_at
    return Panel(
        people=panel.people,
        refused=panel.refused,
        differences=panel.missing + panel.extra + panel.nameless,
        compared_zh=words.since_zh(at, now) if at else "",
        compared_en=words.since_en(at, now) if at else "",
    )


def _alarm(one: AlarmView, door_zh: str, now: datetime) -> Alarm:
    zh, en, do_zh, do_en = ALARMS.get(one.kind, (one.kind, one.kind, "", ""))
    return Alarm(
        alarm_id=one.alarm_id,
        device_id=one.device_id,
        door_zh=door_zh,
        zh=zh,
        en=en,
        do_zh=do_zh,
        do_en=do_en,
        since_zh=words.since_zh(one.raised_at, now),
        since_en=words.since_en(one.raised_at, now),
        at=one.raised_at,
        times=one.times,
        urgent=one.kind in URGENT and one.cleared_at is None,
        over=one.cleared_at is not None,
        seen=one.seen_at is not None,
        person_ref=one.person_ref,
    )
