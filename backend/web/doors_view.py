"""The doors and their last passages as the operator's page shows them. Pure; no names of people in here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from backend.access.service import AccessRecordView, DoorStateView
from backend.identity.principal import Scope
from backend.web import words
from backend.web.causes import cause_words

PASSAGES_SHOWN = 3
NOWHERE: Scope = frozenset()

# Outcome: words for the guard, and how the tag is coloured.
OUTCOMES: Mapping[str, tuple[str, str, str]] = {
    "open": ("放行", "opened", "ok"),
    "deny": ("拒绝", "refused", "stop"),
    "ask": ("请刷卡", "asked for a card", "warn"),
    "none": ("未作答", "no answer", ""),
}
# Why a guard may ask who it was; anything else is no purpose that door data was collected for.
PURPOSES: Mapping[str, tuple[str, str]] = {
    "help": ("住户求助，进不了门", "A resident cannot get in"),
    "safety": ("安全事件", "A safety incident"),
    "fault": ("查门的故障", "Finding a fault of the door"),
}
CREDENTIALS: Mapping[str, str] = {
    "face": "刷脸",
    "card": "刷卡",
    "panel": "面板识别",
    "pin": "密码",
    "qr": "二维码",
    "visitor": "访客码",
    "remote": "远程开门",
}
CLOCK_OFF_S_MAX = 60


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage in the guard's words.

    Attributes:
        named: somebody was recognised, so that there is a name to ask for, and the viewer may ask.
        late: it came only after the link was back; it happened earlier than it was received.
    """

    record_id: UUID
    door_zh: str
    at: datetime
    when: str
    outcome_zh: str
    outcome_en: str
    tag: str
    credential_zh: str
    cause_zh: str
    cause_en: str
    named: bool
    late: bool


@dataclass(frozen=True, slots=True)
class Link:
    """Whether a door is connected, since when, and what to do about it; `key` is also the CSS class."""

    key: Literal["online", "offline", "unheard"]
    zh: str
    tag: str
    since_zh: str
    since_en: str
    advice_zh: str = ""
    advice_en: str = ""


@dataclass(frozen=True, slots=True)
class DoorCard:
    """One door: is it connected, and who passed last."""

    device_id: str
    estate_id: str
    name_zh: str
    name_en: str
    link: Link
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many doors are in which state."""

    online: int
    offline: int
    unheard: int


def passage_of(record: AccessRecordView, now: datetime, may_ask: Scope) -> Passage:
    """A record in words.

    Args:
        may_ask: the estates where the viewer may ask who it was.
    """
    outcome_zh, outcome_en, tag = OUTCOMES.get(record.outcome, (record.outcome, record.outcome, ""))
    cause_zh, cause_en = ("", "") if record.cause == "granted" else cause_words(record.cause)
    at = words.beijing(record.received_at)
    return Passage(
        record_id=record.record_id,
        door_zh=record.door_name_zh or record.device_id,
        at=record.received_at,
        when=words.clock(at) if at.date() == words.today(now) else words.since_zh(at, now),
        outcome_zh=outcome_zh,
        outcome_en=outcome_en,
        tag=tag,
        credential_zh=CREDENTIALS.get(record.credential, record.credential),
        cause_zh=cause_zh,
        cause_en=cause_en,
        named=record.person_id is not None and record.estate_id in may_ask,
        late=record.resent,
    )


def door_cards(
    doors: Sequence[DoorStateView], records: Sequence[AccessRecordView], now: datetime, may_ask: Scope
) -> list[DoorCard]:
    """The doors in use, each with its newest passages; `records` come newest first."""
    by_door: defaultdict[str, list[Passage]] = defaultdict(list)
    for record in records:
        if len(by_door[record.device_id]) < PASSAGES_SHOWN:
            by_door[record.device_id].append(passage_of(record, now, may_ask))
    return [_card(door, tuple(by_door[door.device_id]), now) for door in doors if door.active]


def tally(cards: Sequence[DoorCard]) -> Tally:
    """Count the states."""
    states = [card.link.key for card in cards]
    return Tally(states.count("online"), states.count("offline"), states.count("unheard"))


def announcement(records: Sequence[AccessRecordView], now: datetime) -> str:
    """The newest passage that was not simply let in, in one sentence for a screen reader."""
    for record in records:
        if record.outcome != "open":
            passage = passage_of(record, now, NOWHERE)
            return f"{passage.door_zh} {passage.when} {passage.outcome_zh}：{passage.cause_zh}"
    return ""


def _card(door: DoorStateView, passages: tuple[Passage, ...], now: datetime) -> DoorCard:
    return DoorCard(
        device_id=door.device_id,
        estate_id=door.estate_id,
        name_zh=door.name_zh,
        name_en=door.name_en,
        link=_link(door, now),
        passages=passages,
    )


def _link(door: DoorStateView, now: datetime) -> Link:
    if door.state is None or door.since is None:
        return Link(
            "unheard",
            "没有消息",
            "",
            "还没有收到过这个门的消息",
            "not heard from yet",
            "新装的门？请检查设备是否已通电联网",
            "A new door? Check its power and network.",
        )
    since_zh, since_en = words.since_zh(door.since, now), words.since_en(door.since, now)
    if door.state == "offline":
        return Link(
            "offline",
            "离线",
            "stop",
            f"{since_zh} 起离线",
            f"offline since {since_en}",
            "请检查电源和网线，必要时派人值守此门",
            "Check power and cable; post somebody there if needed.",
        )
    connected = Link("online", "在线", "ok", f"{since_zh} 起在线", f"online since {since_en}")
    off_s = abs(door.clock_offset_ms or 0) // 1000
    if off_s <= CLOCK_OFF_S_MAX:
        return connected
    return replace(
        connected,
        advice_zh=f"设备时钟差 {off_s} 秒，请校时；不影响开门",
        advice_en=f"Its clock is {off_s} s off, please set it; the door still opens.",
    )
