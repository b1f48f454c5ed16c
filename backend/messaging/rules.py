"""When a message is tried again, and what an address looks like. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from backend.messaging.errors import AddressError
from backend.messaging.port import Channel
from backend.messaging.settings import MessageSettings

_SHAPES = {
    Channel.SMS: re.compile(r"1[0-9]{10}", re.ASCII),
    Channel.WECHAT: re.compile(r"[A-Za-z0-9_-]{6,80}", re.ASCII),
}


def read_address(channel: Channel, typed: str) -> str:
    """The address as it is kept.

    Raises:
        AddressError
    """
    text = re.sub(r"[\s-]", "", typed).removeprefix("+86") if channel is Channel.SMS else typed.strip()
    if not _SHAPES[channel].fullmatch(text):
        raise AddressError(channel)
    return text


def next_try(attempts: int, now: datetime, rules: MessageSettings) -> datetime:
    """The next attempt after that many: each wait twice the last, up to the longest."""
    wait_s = min(rules.retry_seconds * 2 ** min(attempts - 1, 20), rules.retry_seconds_max)
    return now + timedelta(seconds=wait_s)


def give_up(since: datetime, now: datetime, rules: MessageSettings) -> bool:
    """Whether a message is too old to be tried, or asked about, again."""
    return now - since >= timedelta(hours=rules.give_up_hours)
