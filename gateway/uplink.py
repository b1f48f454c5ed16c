"""The link to the city: changes of the roster come down, access records and device states go up.

Each thread has its own connection, waits longer after each failure, and tries at once when another
thread has found the backend there again. None of them is ever waited for by a door.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from msgspec import Struct

from gateway.backend_client import BackendAwayError, BackendClient, BackendRefusedError, Status
from gateway.roster import Item
from gateway.roster_store import RosterStore

PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 15.0
POLL_WAIT_S = 20
GATHER_S = 0.03

log = structlog.get_logger()


class LinkState(Struct, frozen=True):
    """How one conversation with the backend goes."""

    ok: bool
    since: datetime
    reason: str = ""


class Link:
    """What all threads know of the backend."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._states: dict[str, LinkState] = {}
        self._turned = threading.Condition()
        self._closed = False
        self._successes = 0

    @property
    def closed(self) -> bool:
        """Whether the threads are to end."""
        return self._closed

    def states(self) -> dict[str, LinkState]:
        """By conversation: "roster:<estate>", "records", "status"."""
        return dict(self._states)

    def went_well(self, conversation: str) -> None:
        """Note it, and wake those who wait for the backend."""
        before = self._states.get(conversation)
        if before is None or not before.ok:
            self._states[conversation] = LinkState(True, datetime.now(UTC))
            log.info("backend_reached", conversation=conversation)
            with self._turned:
                self._successes += 1
                self._turned.notify_all()

    def went_wrong(self, conversation: str, error: Exception) -> None:
        """Note it; logged when it is news."""
        before = self._states.get(conversation)
        reason = str(error)
        if before is None or before.ok or before.reason != reason:
            since = before.since if before is not None and not before.ok else datetime.now(UTC)
            self._states[conversation] = LinkState(False, since, reason)
            expected = isinstance(error, (BackendAwayError, BackendRefusedError))
            log.warning("backend_failed", conversation=conversation, reason=reason, exc_info=not expected)

    def pause(self, failures: int) -> None:
        """Wait after the given number of failures in a row, or until somebody reaches the backend."""
        longest = min(PAUSE_S_MAX, PAUSE_S_MIN * 2 ** min(failures, 10))
        with self._turned:
            before = self._successes
            self._turned.wait_for(
                lambda: self._closed or self._successes != before, longest * (0.5 + self._draw() / 2)
            )

    def close(self) -> None:
        """Have the threads end."""
        with self._turned:
            self._closed = True
            self._turned.notify_all()


class RosterFeed(threading.Thread):
    """Keeps one estate's roster up to date by a long poll.

    Args:
        estate: whose.
        client: this thread's connection.
        store: the copy on disk.
        apply: hands changes (items, version, anew) to the loop; called before they are on disk, so that
            a right that was taken away is gone even when the disk is full.
        take_key: hands over the estate's key for cards.
        link: shared state.
    """

    def __init__(
        self,
        estate: str,
        client: BackendClient,
        store: RosterStore,
        apply: Callable[[list[Item], int, bool], None],
        take_key: Callable[[bytes], None],
        link: Link,
    ) -> None:
        super().__init__(name=f"roster-{estate}", daemon=True)
        self._estate, self._client, self._store = estate, client, store
        self._apply, self._take_key, self._link = apply, take_key, link
        self._version = store.version(estate)
        self._unsaved: list[Item] = []
        self._anew = False
        self._have_key = False

    def run(self) -> None:
        """Ask, apply, ask again."""
        failures = 0
        while not self._link.closed:
            try:
                self.step()
                failures = 0
                self._link.went_well(f"roster:{self._estate}")
            except Exception as error:  # whatever it is, doors go on and the next question may do better
                self._link.went_wrong(f"roster:{self._estate}", error)
                self._link.pause(failures)
                failures += 1
        self._client.close()

    def step(self, wait_s: int = POLL_WAIT_S) -> None:
        """One question to the backend.

        Raises:
            BackendAwayError, BackendRefusedError: nothing has changed.
        """
        if not self._have_key:
            self._take_key(self._client.card_key(self._estate))
            self._have_key = True
        page = self._client.roster(self._estate, self._version, wait_s if self._version else 0)
        if page.version < self._version:
            # The backend was restored from an earlier state: what we have may never have been there.
            log.warning("roster_starts_anew", estate=self._estate, ours=self._version, theirs=page.version)
            self._version, self._unsaved, self._anew = 0, [], True
            items: list[Item] = []
            page = self._client.roster(self._estate, 0, 0)
            while True:
                items += page.items
                if not page.more:
                    break
                page = self._client.roster(self._estate, page.version, 0)
            self._take(items, page.version, anew=True)
        elif page.items or page.version != self._version:
            self._take(page.items, page.version, anew=False)
            if page.items and not page.more:
                # A change is seldom alone. The first one is in force by now; those right behind it are asked
                # for together, so that a busy desk costs the city a few questions a second and not hundreds.
                time.sleep(GATHER_S)

    def _take(self, items: list[Item], version: int, *, anew: bool) -> None:
        self._apply(items, version, anew)
        self._version = version
        self._unsaved += items
        try:
            self._store.save(self._estate, self._unsaved, version, anew=self._anew)
        except sqlite3.Error as error:
            # Kept for the next time; after a restart before that, the backend is asked from the old cursor.
            log.error("roster_not_saved", estate=self._estate, reason=str(error))
            return
        self._unsaved, self._anew = [], False


class StatusReporter(threading.Thread):
    """Tells the backend which devices are there: changes within a second, all of them now and then.

    Args:
        client: this thread's connection.
        changes: what has changed since it was last asked.
        everything: all of it.
        told: is given each status that the backend has taken.
        link: shared state.
    """

    EVERY_S = 1.0
    ALL_EVERY = 60  # rounds

    def __init__(
        self,
        client: BackendClient,
        changes: Callable[[], Status],
        everything: Callable[[], Status],
        told: Callable[[Status], None],
        link: Link,
    ) -> None:
        super().__init__(name="status", daemon=True)
        self._client, self._changes, self._everything, self._link = client, changes, everything, link
        self._told = told
        self._stopped = threading.Event()

    def run(self) -> None:
        """A round a second."""
        failures = rounds = 0
        while not self._link.closed:
            try:
                status = self._changes() if rounds % self.ALL_EVERY else self._everything()
                if status != Status():
                    self._client.send_status(status)
                    self._told(status)
                    self._link.went_well("status")
                failures, rounds = 0, rounds + 1
                self._stopped.wait(self.EVERY_S)
            except Exception as error:  # as above
                self._link.went_wrong("status", error)
                self._link.pause(failures)
                failures, rounds = failures + 1, 0  # what was missed is told with everything
        self._client.close()

    def stop(self) -> None:
        """Do not wait for the end of the round."""
        self._stopped.set()
