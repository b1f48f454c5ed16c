"""A messenger on a port, and somebody to write to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert, select

from backend.messaging.http_messenger import HttpMessenger
from backend.messaging.port import Channel
from backend.messaging.service import NewMessage, set_address, work_messages, write
from backend.messaging.settings import MessageSettings
from backend.messaging.tables import message
from backend.registry import tables as registry
from simulators.messages.core import MessagesCore
from simulators.messages.http import MessagesServer

NOW = datetime(2026, 11, 3, 2, 0, tzinfo=UTC)
TOKEN, NUMBER = "messenger-token", "13800138123"


@dataclass
class Outbox:
    """The outbox in front of the messenger, at a moment that only moves when it is told to."""

    engine: Engine
    messenger: HttpMessenger
    core: MessagesCore
    person_id: UUID
    now: datetime = NOW
    rules: MessageSettings = field(default_factory=MessageSettings)

    def write(self, key: str = "k1", text: str = "请于11月15日前交清房租。") -> int:
        new = NewMessage(key, "pengjiang-1", None, self.person_id, text)
        with self.engine.begin() as connection:
            return write(connection, new, self.now)

    def reach(self, address: str, channel: Channel = Channel.SMS) -> None:
        with self.engine.begin() as connection:
            set_address(connection, self.person_id, channel, address, self.now)

    def work(self, later_s: float = 0) -> int:
        self.now += timedelta(seconds=later_s)
        self.core.forward(later_s)
        return work_messages(self.engine, self.messenger, self.now, 20, self.rules)

    def states(self) -> list[tuple[str, str | None]]:
        with self.engine.connect() as connection:
            rows = connection.execute(
                select(message.c.state, message.c.reason).order_by(message.c.created_at)
            )
            return [(row.state, row.reason) for row in rows]


@pytest.fixture
def outbox(engine: Engine) -> Iterator[Outbox]:
    """Somebody with a telephone, and the messenger."""
    person_id = uuid4()
    with engine.begin() as connection:
        connection.execute(
            insert(registry.estate).values(
                estate_id="pengjiang-1",
                name_zh="示例小区",
                name_en="Sample",
                district="蓬江区",
                faces_enabled=False,
                fpir=0.003,
                hmac_key_sealed=b"sealed",
                created_at=NOW,
            )
        )
        connection.execute(
            insert(registry.person).values(
                person_id=person_id,
                estate_id="pengjiang-1",
                ref="p1",
                name="示例",
                born_on=date(1960, 1, 1),
                created_at=NOW,
            )
        )
    core = MessagesCore(NOW.timestamp, TOKEN)
    with MessagesServer(core) as server:
        found = Outbox(engine, HttpMessenger(server.url, TOKEN), core, person_id)
        found.reach(NUMBER)
        yield found
