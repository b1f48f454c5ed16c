"""All that goes to and comes from the city, started and ended together; the doors do without it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from gateway.backend_client import BackendClient
from gateway.device_status import DeviceStatus
from gateway.eraser import Eraser, ErasingVault, open_tasks
from gateway.forwarder import Forwarder
from gateway.journal import Journal
from gateway.journal_store import REPLAY_NOTE, AskedReplay, JournalStore
from gateway.loop import Loop
from gateway.roster import Item, RosterBook
from gateway.roster_store import RosterStore
from gateway.settings import Settings, backend_credential
from gateway.uplink import Link, LinkState, RosterFeed, StatusReporter

END_S = 0.2  # a thread in the middle of a long poll is not waited for

log = structlog.get_logger()


class SecretStore(Protocol):
    """Keeps small secrets encrypted; the vault."""

    def secret(self, name: str) -> bytes | None:
        """The secret of that name."""

    def put_secret(self, name: str, value: bytes) -> None:
        """Keep it."""


class CityVault(SecretStore, ErasingVault, Protocol):
    """What the vault does for the city."""


class City:
    """The threads of the uplink; nothing at all where no backend is configured."""

    def __init__(
        self,
        settings: Settings,
        journal_path: Path,
        journal: Journal,
        store: RosterStore,
        secrets: CityVault | None,
        status: DeviceStatus,
        loop: Loop,
        rosters: RosterBook,
        hear_time: Callable[[float, float], None],
    ) -> None:
        self._link = Link()
        self._forwarder: Forwarder | None = None
        self._reporter: StatusReporter | None = None
        self._eraser: Eraser | None = None
        self._feeds: list[RosterFeed] = []
        self._secrets = secrets
        self._loop, self._rosters = loop, rosters
        if not settings.backend.url:
            return
        credential = backend_credential(settings)
        authority = Path(settings.backend.tls_ca_file) if settings.backend.tls_ca_file else None
        client = partial(BackendClient, settings.backend.url, credential, authority, hear_time)
        reader = JournalStore(journal_path, read_only=True)
        self._forwarder = Forwarder(reader, client(), journal.mark, self._link, time.monotonic)
        journal.on_commit = self._forwarder.nudge
        self._forwarder.on_replayed = lambda: journal.do(lambda store: store.forget_note(REPLAY_NOTE))
        self._reporter = StatusReporter(client(), status.changes, status.everything, status.told, self._link)
        if secrets is not None:
            ask = partial(loop.ask, partial(open_tasks, rosters.estates))
            self._eraser = Eraser(secrets, ask, client(), self._link)
        self._feeds = [
            RosterFeed(
                estate,
                client(),
                store,
                self._on_loop(estate),
                partial(self._take_key, estate),
                self._link,
            )
            for estate in settings.gateway.estates
        ]

    @property
    def forwarded(self) -> int:
        """Records the backend has committed since the start."""
        return self._forwarder.forwarded if self._forwarder is not None else 0

    def replay(self, asked: AskedReplay) -> None:
        """Send records once more."""
        if self._forwarder is not None:
            self._forwarder.replay(asked)

    def states(self) -> dict[str, LinkState]:
        """How each conversation with the backend goes."""
        return self._link.states()

    def start(self) -> None:
        """Begin to talk."""
        for thread in self._threads():
            thread.start()

    def close(self) -> None:
        """End; what was not sent waits in the journal."""
        self._link.close()
        if self._forwarder is not None:
            self._forwarder.stop()
        if self._reporter is not None:
            self._reporter.stop()
        if self._eraser is not None:
            self._eraser.stop()
        for thread in self._threads():
            if thread.is_alive():
                thread.join(END_S)

    def _threads(self) -> list[threading.Thread]:
        single = (self._forwarder, self._reporter, self._eraser)
        return [*(thread for thread in single if thread is not None), *self._feeds]

    def _on_loop(self, estate: str) -> Callable[[list[Item], int, bool], None]:
        def apply(items: list[Item], version: int, anew: bool) -> None:
            self._loop.post(partial(self._rosters.apply, estate, items, version, anew))

        return apply

    def _take_key(self, estate: str, key: bytes) -> None:
        self._loop.post(partial(self._rosters.take_card_key, estate, key))
        if self._secrets is None or self._secrets.secret(card_key_name(estate)) == key:
            return
        try:
            self._secrets.put_secret(card_key_name(estate), key)
        except (OSError, sqlite3.Error) as error:
            log.error("card_key_not_kept", estate=estate, reason=str(error))


def card_key_name(estate: str) -> str:
    """What the estate's key for card references is called in the vault."""
    return f"card key/{estate}"
