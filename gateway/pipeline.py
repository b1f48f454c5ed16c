"""A door event's way through the gateway: read, known?, recognise, decide, journal, answer, confirm.

All of it runs on the loop's thread, in batches of what has arrived. Answers leave with their
confirmation when the journal has committed, or alone after `answer_wait_s`, the confirmation following.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice

from gateway.answers import Outbox
from gateway.cases import (
    NOTHING_FOUND,
    Batch,
    Case,
    DoorRules,
    Encoded,
    Faces,
    Joiners,
    Photographs,
    Reply,
    Writer,
)
from gateway.counters import Counters
from gateway.decision import Finding, before_recognition, decide
from gateway.drivers import Address
from gateway.finding import Finder, door_of
from gateway.intake import Intake
from gateway.journal import Group
from gateway.journal_store import Entry
from gateway.recents import Recents, Seen
from gateway.records import AccessRecord, record_id
from gateway.tracks import UNDECIDED, Tracks

ENCODE_WAIT_S = 5.0  # after this a person is asked for a card, whatever the encoder does


class Pipeline:
    """The loop's work on messages; its parts are made by `gateway.service`."""

    def __init__(
        self,
        *,
        intake: Intake,
        out: Outbox,
        joiners: Joiners,
        recents: Recents,
        faces: Faces,
        photographs: Photographs,
        finder: Finder,
        tracks: Tracks,
        open_door: Callable[[Address, str], object],
        journal: Writer,
        rules: DoorRules,
        counters: Counters,
        monotonic: Callable[[], float],
    ) -> None:
        self._intake, self._out, self._joiners, self._recents = intake, out, joiners, recents
        self._faces, self._photographs, self._finder = faces, photographs, finder
        self._tracks, self._open = tracks, open_door
        self._journal, self._rules, self._counters = journal, rules, counters
        self._monotonic = monotonic
        self._batch = Batch()
        self._unwritten: deque[Batch] = deque()
        self._unanswered: deque[Batch] = deque()
        self._encoding: dict[int, tuple[Case, float]] = {}  # job -> its case, and how long we wait
        self._jobs = 0
        self.handed = self.settled = 0  # batches given to the journal, and those it is done with

    @property
    def unsettled(self) -> int:
        """Batches that are not on the disk, and passages still being encoded or undecided."""
        return len(self._unwritten) + len(self._encoding) + len(self._tracks)

    def take_rules(self, rules: DoorRules) -> None:
        """Live by these times from the next message on."""
        self._rules = rules
        self._intake.take_rules(rules)
        self._out.open_within_ms = rules.open_within_ms

    def take(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Work on all that has arrived (topic, payload)."""
        self._counters.batches += 1
        self._conclude(self._intake.take(messages, self._batch))
        self._hand_over()

    def encoded(self, results: Iterable[Encoded]) -> None:
        """Photographs have become templates, or have not."""
        cases: list[Case] = []
        for result in results:
            waiting = self._encoding.pop(result.job, None)
            if waiting is None:
                continue  # it took too long, and the person was asked for a card
            case = waiting[0]
            case.encoding = False
            self._intake.renew(case)
            case.see(result.templates)
            if case.track is None:
                case.recognition = "unavailable" if result.crashed else "not_usable"
            cases.append(case)
        self._conclude(cases)
        self._hand_over()

    def open_by_order(self, address: Address, order_id: str) -> None:
        """A guard opens a door, once: however often this is called, and whoever restarts."""
        case = self._intake.by_order(address, order_id)
        if case is not None:
            self._decide(case, NOTHING_FOUND)
            self._hand_over()

    def end_tracks(self) -> None:
        """No further frame will be read: decide what is undecided."""
        self._end_tracks(self._tracks.over(float("inf")))

    def written(self, groups: Sequence[Group]) -> None:
        """The journal has finished with these groups, in the order it was given them."""
        for group in groups:
            batch = self._unwritten.popleft()
            if batch is not group:
                raise RuntimeError("the journal has changed the order of its groups")
            self._settle(batch)
        self._hand_over()

    def tick(self) -> float | None:
        """Do what time asks for; when to be called again (monotonic seconds), None when nothing waits."""
        now_s = self._monotonic()
        unanswered = self._unanswered
        while unanswered and (unanswered[0].answered or unanswered[0].due_s <= now_s):
            batch = unanswered.popleft()
            if not batch.answered:
                self._counters.answered_alone += len(batch.entries)
                self._answer(batch)
        self._end_tracks(self._tracks.over(now_s))
        overdue = [job for job, (_, until_s) in self._encoding.items() if until_s <= now_s]
        if overdue:
            cases = [self._encoding.pop(job)[0] for job in overdue]
            for case in cases:
                case.encoding = False
                self._intake.renew(case)
                if case.track is None:
                    case.recognition = "unavailable"
            self._conclude(cases)
            self._hand_over()
        self._out.flush()
        dues = [unanswered[0].due_s] if unanswered else []
        dues.extend(until_s for _, until_s in islice(self._encoding.values(), 1))
        if (track_due_s := self._tracks.next_due_s) is not None:
            dues.append(track_due_s)
        return min(dues, default=None)

    def _conclude(self, cases: Iterable[Case]) -> None:
        """Recognise and decide what can be decided; photographs go to the encoder first."""
        unmatched: dict[str, list[Case]] = {}
        for case in cases:
            finding = self._finder.find(case) or self._look(case)
            if finding is not None:
                self._decide(case, finding)
            elif not case.encoding:
                unmatched.setdefault(case.event.address.estate, []).append(case)
        for estate, of_estate in unmatched.items():
            tracks = [case.track for case in of_estate if case.track is not None]
            groups = [door_of(case).group for case in of_estate]
            for case, (verdict, person_id) in zip(
                of_estate, self._faces.identify(estate, tracks, groups), strict=True
            ):
                known = verdict == "match" and person_id is not None
                self._decide(case, self._finder.person(case, person_id or "") if known else Finding(verdict))

    def _look(self, case: Case) -> Finding | None:
        """At a face: what is known without matching; None: it is with the encoder, or has templates."""
        if case.encoding:
            return None
        if case.images and before_recognition(case.attempt) is None:
            return self._encode(case)
        # A late or repeated event opens nothing, so no encoder is kept busy with its photographs.
        return None if case.track is not None else NOTHING_FOUND

    def _encode(self, case: Case) -> Finding | None:
        self._jobs += 1
        taken = self._photographs.submit(self._jobs, case.images)
        case.images = ()
        if taken:
            case.encoding = True
            self._encoding[self._jobs] = (case, self._monotonic() + ENCODE_WAIT_S)
            return None
        if case.track is not None:
            return None  # what is there already has to do
        return Finding("unavailable" if taken is None else "busy")

    def _decide(self, case: Case, finding: Finding) -> None:
        event = case.event
        decision = decide(case.attempt, finding)
        if case.until_s is not None and decision.cause in UNDECIDED:
            case.last = finding  # the next frame may know better
            return
        self._tracks.end(case)
        confirmed = self._finder.answered(case, decision)
        address = event.address
        record = AccessRecord(
            record_id(case.keys[-1]),
            address.estate,
            address.device,
            case.passage,
            (event.event_id,),
            event.credential,
            _moment(event.at_s),
            _moment(case.received_s),
            decision.cause.outcome,
            decision.cause.code,
            decision.person_id,
            event.resent,
            decision.pass_id,
            confirmed,
        )
        answer = None if case.quiet else decision
        by_order = event.credential == "remote"
        self._batch.add(
            Entry(case.keys, record), Reply(address, event.event_id, answer, case.keys, by_order=by_order)
        )
        if self._tracks and decision.cause.outcome == "open" and event.credential != "face":
            self._quieten(address)

    def _quieten(self, address: Address) -> None:
        """The person has shown something else and is in: nobody is asked for a card any more."""
        cases = self._tracks.at(address)
        for case in cases:
            self._tracks.end(case)
            case.quiet = True
        self._end_tracks(cases)

    def _end_tracks(self, cases: Sequence[Case]) -> None:
        """Decide what no frame has decided; who is with the encoder is decided when that is done."""
        ready = [case for case in cases if not case.encoding]
        for case in ready:
            self._intake.renew(case)
            self._decide(case, case.last)
        if ready:
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the batch to the journal; where it takes no more, the doors are answered all the same."""
        batch = self._batch
        if batch.entries:
            self._batch = Batch()
            self.handed += 1
            batch.due_s = self._monotonic() + self._rules.answer_wait_s
            if self._journal.submit(batch):
                self._unwritten.append(batch)
                self._unanswered.append(batch)
            else:
                self._settle(batch)
        self._out.flush()

    def _settle(self, batch: Batch) -> None:
        self.settled += 1
        if not batch.answered:
            self._answer(batch)
        keys = [key for reply in batch.replies for key in reply.keys]
        if not batch.written:
            self._counters.given_up += len(batch.entries)
            self._recents.set(keys, Seen.ANSWERED)
            for reply in batch.replies:
                for joiner in self._joiners.take(reply.keys):
                    self._recents.forget(joiner.keys)
            return
        self._counters.repeats += len(batch.known)
        self._recents.set(keys, Seen.RECORDED)
        for reply in batch.replies:
            if reply.event_id is not None and not reply.by_order:
                self._out.confirm(reply.address, reply.event_id)
            for joiner in self._joiners.take(reply.keys):
                self._batch.add(Entry(joiner.keys), joiner)

    def _answer(self, batch: Batch) -> None:
        batch.answered = True
        for index, reply in enumerate(batch.replies):
            if reply.decision is None or reply.event_id is None or index in batch.known:
                continue
            if reply.by_order:
                self._open(reply.address, reply.event_id)
            else:
                self._out.answer(reply.address, reply.event_id, reply.decision)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
