"""From which moment on a provider is asked for notices that never arrived."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import cast

from sqlalchemy import Engine

from backend.payments.missed import ASK_EVERY, LOOK_BACK, LOOK_BACK_AT_START, MissedNotices
from backend.payments.port import Provider, ProviderUnavailableError
from backend.payments.providers import Providers

START = datetime(2026, 11, 3, 2, 0, tzinfo=UTC)


class Log:
    """A provider that sent nothing, and remembers what it was asked."""

    name = "told"

    def __init__(self) -> None:
        self.is_away = False
        self.asked: list[datetime] = []

    def notices_since(self, since: datetime) -> Iterable[tuple[str, bytes]]:
        if self.is_away:
            raise ProviderUnavailableError(self.name, "away")
        self.asked.append(since)
        return []


def test_however_long_a_provider_was_away_nothing_since_its_last_answer_is_left_out() -> None:
    log = Log()
    missed = MissedNotices(cast("Engine", None), Providers({log.name: cast("Provider", log)}))
    missed(START)
    log.is_away = True
    for day in range(1, 11):
        missed(START + timedelta(days=day))
    log.is_away = False
    back = START + timedelta(days=11)
    missed(back)
    missed(back + ASK_EVERY)
    assert log.asked == [START - LOOK_BACK_AT_START, START - LOOK_BACK, back - LOOK_BACK]


def test_a_provider_is_asked_once_an_hour() -> None:
    log = Log()
    missed = MissedNotices(cast("Engine", None), Providers({log.name: cast("Provider", log)}))
    for minutes in (0, 30, 59):
        missed(START + timedelta(minutes=minutes))
    assert len(log.asked) == 1
