"""What the gateway says of itself: one value for the health page, the metrics page and `gateway status`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.devices import DeviceLife, DeviceReport
from gateway.journal import JournalState
from gateway.journal_keeper import Buffer
from gateway.uplink import LinkState


class BrokerHealth(Struct, frozen=True):
    """The connection to the broker."""

    connected: bool
    since: datetime | None
    reason: str


class EstateHealth(Struct, frozen=True):
    """One estate's roster and faces."""

    estate: str
    roster_version: int
    doors: int
    people: int
    has_card_key: bool
    faces: bool
    liveness_waiver_until: str | None
    enrolled: int | None  # people in the gallery; None: faces cannot be compared now
    face_only_doors: list[str]
    unreadable: int


class Counts(Struct, frozen=True):
    """Numbers since the start."""

    messages: int
    events: int
    answers: dict[str, int]
    answered_alone: int
    confirmed: int
    repeats: int
    joined: int
    given_up: int
    no_roster: int
    unsent: int
    set_aside: dict[str, int]
    hints: int
    replies: int
    batches: int
    commits: int
    rows: int
    forwarded: int
    photographs: int
    photographs_refused: int


class Health(Struct, frozen=True):
    """All of it at one moment."""

    gateway: str
    state: Literal["ok", "impaired"]
    started_at: datetime
    now: datetime
    alarms: list[str]
    broker: BrokerHealth
    journal: JournalState
    buffer: Buffer
    held_entries: int
    last_commit_ms: float
    backend: dict[str, LinkState]
    estates: list[EstateHealth]
    devices: list[DeviceReport]
    lives: list[DeviceLife]
    encoder: bool
    clock_behind_s: float
    city_ahead_s: float
    counts: Counts


HEALTH = msgspec.json.Decoder(Health)


def find_alarms(
    *,
    broker: BrokerHealth,
    journal: JournalState,
    buffer: Buffer,
    backend: dict[str, LinkState],
    estates: list[EstateHealth],
    skewed: list[str],
    clock_behind_s: float,
    city_ahead_s: float,
    more: Iterable[str] = (),
    syncs: bool = True,
) -> list[str]:
    """What somebody should look at, each as one sentence in Chinese and English."""
    found: list[str] = list(more)

    def alarm(zh: str, en: str) -> None:
        found.append(f"{zh}  |  {en}")

    if not broker.connected:
        alarm(f"未连上消息代理：{broker.reason}", f"not connected to the broker: {broker.reason}")
    if not journal.ok:
        alarm(
            f"记录写不进磁盘，门照常应答但不确认：{journal.reason}",
            f"the disk takes no records; doors are answered, nothing is confirmed: {journal.reason}",
        )
    if not syncs:
        alarm(
            "记录不同步到磁盘（journal.sync = false，仅供测试），断电会丢记录",
            "records are not synced (journal.sync = false, for tests only): a power cut loses them",
        )
    if buffer.nearly_full:
        alarm(
            f"记录缓冲将满（{buffer.fill:.0%}，磁盘剩余 {buffer.free_bytes >> 20} MiB）",
            f"the journal is nearly full ({buffer.fill:.0%}, {buffer.free_bytes >> 20} MiB of disk left)",
        )
    if buffer.rows.parked:
        alarm(
            f"后端拒收 {buffer.rows.parked} 条记录，见 estate gateway journal list",
            f"the backend refuses {buffer.rows.parked} records, see estate gateway journal list",
        )
    if clock_behind_s > 1:
        alarm(
            f"本机时钟比已记录的时间落后 {clock_behind_s:.0f} 秒，限期权限按已记录的时间判断；"
            "若本机时钟才是对的，请运行 estate gateway reset-clock",
            f"this machine's clock is {clock_behind_s:.0f} s behind the time that was noted; dated rights "
            "are judged by the noted time; if the machine is right: estate gateway reset-clock",
        )
    if city_ahead_s:
        alarm(
            f"本机时钟与城市端相差 {-city_ahead_s:.0f} 秒，以城市端为准，请校时",
            f"this machine's clock is {-city_ahead_s:.0f} s ahead of the city's, which is used; set it",
        )
    for conversation, state in sorted(backend.items()):
        if not state.ok:
            alarm(
                f"与后端通信失败（{conversation}）：{state.reason}",
                f"no success with the backend ({conversation}): {state.reason}",
            )
    for estate in estates:
        _estate_alarms(estate, alarm)
    for device in skewed:
        alarm(f"设备 {device} 的时钟不准", f"the clock of device {device} is wrong")
    return found


def _estate_alarms(estate: EstateHealth, alarm: Callable[[str, str], None]) -> None:
    for door in estate.face_only_doors:
        alarm(
            f"{estate.estate} 的门 {door} 只设了人脸，已停用其人脸",
            f"door {door} of {estate.estate} takes only faces, which is refused: faces are off there",
        )
    if estate.roster_version == 0:
        alarm(f"{estate.estate} 还没有名单", f"{estate.estate} has no roster yet")
    if estate.liveness_waiver_until is not None:
        alarm(
            f"{estate.estate} 在 {estate.liveness_waiver_until} 前接受没有活体结果的人脸",
            f"{estate.estate} takes faces without liveness until {estate.liveness_waiver_until}",
        )
    if estate.unreadable:
        alarm(
            f"{estate.estate} 有 {estate.unreadable} 条名单读不懂，已不采用",
            f"{estate.unreadable} roster entries of {estate.estate} cannot be read and are not used",
        )
