"""amqtt's plug-in for our users: who may log in, and what each may read and write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
from amqtt.broker import BrokerContext
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from estate.embedded.broker_users import covers, is_password


class UserEntry(msgspec.Struct, frozen=True):
    """One user as the users' file keeps it; `password` is its hash."""

    password: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


class Rights(BaseAuthPlugin, BaseTopicPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Asks the users' file about every log-in, subscription, publication and delivery."""

    @dataclass
    class Config:
        """The plug-in's options."""

        users_file: str = ""

    def __init__(self, context: BrokerContext) -> None:
        super().__init__(context)
        self.users: dict[str, UserEntry] = {}
        self.reload()

    def reload(self) -> set[str]:
        """Read the users' file again; returns the users who are gone or have a new password."""
        before = self.users
        content = Path(self.config.users_file).read_bytes()
        self.users = msgspec.json.decode(content, type=dict[str, UserEntry])
        return {
            name
            for name, entry in before.items()
            if name not in self.users or self.users[name].password != entry.password
        }

    def knows(self, name: str | None, password: str | None) -> bool:
        """Whether that is a user's name and password."""
        entry = self.users.get(name or "")
        return entry is not None and is_password(password or "", entry.password)

    def may_write(self, name: str | None, topic: str) -> bool:
        """Whether that user may publish to `topic`."""
        entry = self.users.get(name or "")
        return entry is not None and any(covers(allowed, topic) for allowed in entry.writes)

    def may_read(self, name: str | None, topic: str) -> bool:
        """Whether that user may receive what the filter or topic `topic` matches."""
        entry = self.users.get(name or "")
        return entry is not None and any(covers(allowed, topic) for allowed in entry.reads)

    async def authenticate(self, *, session: Session) -> bool:
        """Called by amqtt for every connection."""
        return self.knows(session.username, session.password)

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Called by amqtt for every subscription, publication and delivery."""
        if session is None or topic is None:
            return False
        if action == Action.PUBLISH:
            return self.may_write(session.username, topic)
        return self.may_read(session.username, topic)
