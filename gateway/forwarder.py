"""Sends the journal's records to the backend, in order, until the backend has committed each of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import groupby

import msgspec
import structlog
from msgspec import Struct

from gateway.backend_client import BackendAwayError, BackendClient, BackendRefusedError
from gateway.journal_store import AskedReplay, Forwarded, JournalStore, Waiting
from gateway.uplink import Link

BATCH = 1_000
# After the first new record, what comes meanwhile goes along: shortly while little happens, for the live
# page; longer at rush hour, when each request would take the loop's time.
GATHER_S, GATHER_BUSY_S, BUSY_RECORDS = 0.1, 0.5, 20
PARKED_EVERY_S = 600.0
_MALFORMED = (400, 413, 422)

log = structlog.get_logger()


class _Head(Struct, frozen=True):
    record_id: str
    estate: str


_HEAD = msgspec.json.Decoder(_Head)


class Forwarder(threading.Thread):
    """One thread.

    Args:
        store: the journal, by a connection of its own.
        client: this thread's connection.
        mark: hands over what the backend has answered; written with the journal's next commit.
        link: shared state.
        monotonic: seconds.
    """

    def __init__(
        self,
        store: JournalStore,
        client: BackendClient,
        mark: Callable[[Forwarded], None],
        link: Link,
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(name="forwarder", daemon=True)
        self._store = store
        self._client, self._mark, self._link, self._monotonic = client, mark, link, monotonic
        self._position = self._store.forwarded_to()
        self._parked_at_s = monotonic()
        self._parked_after = 0  # those up to here have had their turn
        self._news = threading.Event()
        self._stopped = threading.Event()
        self._replay: AskedReplay | None = None
        self.on_replayed: Callable[[], None] = lambda: None  # all that was asked for has been answered
        self.forwarded = 0
        self.parked = 0

    def nudge(self) -> None:
        """There are new records."""
        if not self._news.is_set():
            self._news.set()

    def replay(self, asked: AskedReplay) -> None:
        """Send once more what the backend has answered for already; there it changes nothing."""
        self._replay = asked
        self.nudge()

    def stop(self) -> None:
        """Do not wait for news."""
        self._stopped.set()
        self._news.set()

    def run(self) -> None:
        """Send whatever there is, then wait for more."""
        failures = 0
        while not self._link.closed:
            try:
                before = self.forwarded
                while self.step():
                    failures = 0
                    self._link.went_well("records")
                self.retry_parked()
                self.send_again()
                self._news.wait(5.0)
                is_busy = self.forwarded - before >= BUSY_RECORDS
                self._stopped.wait(GATHER_BUSY_S if is_busy else GATHER_S)
                self._news.clear()
            except Exception as error:  # whatever it is, doors go on and the records stay where they are
                self._link.went_wrong("records", error)
                self._link.pause(failures)
                failures += 1
        self._client.close()
        self._store.close()

    def step(self) -> bool:
        """Send one batch; False when there is nothing to send.

        Raises:
            BackendAwayError: nothing is marked; the same records go again, which changes nothing there.
            BackendRefusedError: this gateway is not let in.
        """
        waiting = self._store.waiting(self._position, BATCH)
        if not waiting.seqs or self._link.closed:
            return False
        parked = self._send(waiting)
        self._position = waiting.seqs[-1]
        self.forwarded += len(waiting.seqs) - len(parked)
        self.parked += len(parked)
        for seq, reason in parked:
            log.error("record_refused", seq=seq, reason=reason)
        self._mark(Forwarded(self._position, tuple(parked)))
        return True

    def _send(self, waiting: Waiting) -> list[tuple[int, str]]:
        """Send records; those the backend will never take, with its reason."""
        heads = [_HEAD.decode(doc) for doc in waiting.docs]
        try:
            receipt = self._client.send_records(waiting.docs)
        except BackendRefusedError as error:
            if error.status == 403:
                return self._send_by_estate(waiting, heads, error)
            if error.status not in _MALFORMED:
                raise
            if len(waiting.seqs) == 1:
                return [(waiting.seqs[0], f"{error.status} {error.reason}")]
            # One of them is not of the shape the backend takes: find it, so that the others arrive.
            half = len(waiting.seqs) // 2
            return self._send(Waiting(waiting.seqs[:half], waiting.docs[:half])) + self._send(
                Waiting(waiting.seqs[half:], waiting.docs[half:])
            )
        refused = {refusal.record_id: refusal.reason for refusal in receipt.refused}
        missing = {head.record_id for head in heads} - set(receipt.committed) - refused.keys()
        if missing:
            raise BackendAwayError(f"{len(missing)} records neither committed nor refused")
        return [
            (seq, refused[head.record_id])
            for seq, head in zip(waiting.seqs, heads, strict=True)
            if head.record_id in refused
        ]

    def _send_by_estate(
        self, waiting: Waiting, heads: list[_Head], error: BackendRefusedError
    ) -> list[tuple[int, str]]:
        """One of the estates is outside our scope: its records are parked, the others' go on."""
        order = sorted(range(len(heads)), key=lambda index: heads[index].estate)
        parts = [list(part) for _, part in groupby(order, key=lambda index: heads[index].estate)]
        if len(parts) == 1:
            return [(seq, f"{error.status} {error.reason}") for seq in waiting.seqs]
        parked: list[tuple[int, str]] = []
        for part in parts:
            parked += self._send(
                Waiting([waiting.seqs[index] for index in part], [waiting.docs[index] for index in part])
            )
        return parked

    def retry_parked(self) -> None:
        """What was refused may be welcome later: when the gateway's scope or a door's entry was mended."""
        now_s = self._monotonic()
        if now_s - self._parked_at_s < PARKED_EVERY_S:
            return
        self._parked_at_s = now_s
        waiting = self._store.parked(self._parked_after, BATCH)
        if not waiting.seqs and self._parked_after:
            waiting = self._store.parked(0, BATCH)
        if waiting.seqs:
            self._parked_after = waiting.seqs[-1]
            self._again(waiting)

    def send_again(self) -> None:
        """Send what was asked for once more, however often it takes to get through all of it."""
        asked, self._replay = self._replay, None
        if asked is None:
            return
        read = self._store.parked if asked.only_refused else self._store.waiting
        after, count, refused = asked.after, 0, 0
        while (
            not self._link.closed
            and (waiting := read(after, BATCH)).seqs
            and waiting.seqs[0] <= self._position
        ):
            refused += self._again(waiting)
            after, count = waiting.seqs[-1], count + len(waiting.seqs)
        if not self._link.closed:
            log.warning("records_sent_again", after=asked.after, records=count, refused=refused)
            self.on_replayed()

    def _again(self, waiting: Waiting) -> int:
        """Send records that were answered for; how many are refused now."""
        refused = self._send(waiting)
        still = dict(refused)
        accepted = tuple(seq for seq in waiting.seqs if seq not in still)
        # Some may be new: those go by their own way as well, and are known there then.
        old = tuple((seq, reason) for seq, reason in refused if seq <= self._position)
        self._mark(Forwarded(self._position, old, accepted))
        return len(refused)
