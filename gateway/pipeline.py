"""A door event's way through the gateway: read, known?, recognise, decide, journal, answer, confirm.

All of it runs on the loop's thread, in batches of what has arrived. Answers leave with their
confirmation when the journal has committed, or alone after `answer_wait_s`, the confirmation following.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

import numpy as np

from gateway.answers import Outbox
from gateway.cases import Batch, Case, DoorRules, Encoded, Faces, Joiners, Photographs, Reply, Writer
from gateway.counters import Counters
from gateway.decision import Door, Finding, before_recognition, decide, worth_recognising
from gateway.drivers import PanelVerdict
from gateway.intake import Intake
from gateway.journal import Group
from gateway.journal_store import Entry
from gateway.recents import Recents, Seen
from gateway.records import AccessRecord, record_id

ENCODE_WAIT_S = 5.0  # after this a person is asked for a card, whatever the encoder does
_NOBODY = Finding("unknown")


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
        card_keys: Mapping[str, bytes],
        journal: Writer,
        rules: DoorRules,
        counters: Counters,
        monotonic: Callable[[], float],
    ) -> None:
        self._intake, self._out, self._joiners, self._recents = intake, out, joiners, recents
        self._faces, self._photographs, self._card_keys = faces, photographs, card_keys
        self._journal, self._rules, self._counters = journal, rules, counters
        self._monotonic = monotonic
        self._batch = Batch()
        self._unwritten: deque[Batch] = deque()
        self._unanswered: deque[Batch] = deque()
        self._encoding: dict[int, tuple[Case, float]] = {}  # job -> its case, and how long we wait
        self._jobs = 0

    @property
    def unsettled(self) -> int:
        """Batches that are not on the disk, and events still being encoded."""
        return len(self._unwritten) + len(self._encoding)

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
            self._intake.renew(case)
            case.encoded = True
            if result.templates is not None:
                parts = [part for part in (case.track, result.templates) if part is not None]
                case.track = np.concatenate(parts)
            elif case.track is None:
                case.recognition = "unavailable" if result.crashed else "not_usable"
            cases.append(case)
        self._conclude(cases)
        self._hand_over()

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
        overdue = [job for job, (_, until_s) in self._encoding.items() if until_s <= now_s]
        if overdue:
            cases = [self._encoding.pop(job)[0] for job in overdue]
            for case in cases:
                self._intake.renew(case)
                case.recognition = "unavailable"
            self._conclude(cases)
            self._hand_over()
        self._out.flush()
        dues = [unanswered[0].due_s] if unanswered else []
        dues.extend(until_s for _, until_s in islice(self._encoding.values(), 1))
        return min(dues, default=None)

    def _conclude(self, cases: Sequence[Case]) -> None:
        """Recognise and decide what can be decided; photographs go to the encoder first."""
        unmatched: dict[str, list[Case]] = {}
        for case in cases:
            finding = self._find(case)
            if finding is not None:
                self._decide(case, finding)
            elif case.encoded:
                unmatched.setdefault(case.event.address.estate, []).append(case)
        for estate, of_estate in unmatched.items():
            tracks = [case.track for case in of_estate if case.track is not None]
            groups = [_door(case).group for case in of_estate]
            for case, (verdict, person_id) in zip(
                of_estate, self._faces.identify(estate, tracks, groups), strict=True
            ):
                if verdict == "match" and person_id is not None:
                    finding = case.roster.find_person(person_id, _door(case).group, case.judged_s)
                else:
                    finding = Finding(verdict)
                self._decide(case, finding)

    def _find(self, case: Case) -> Finding | None:
        """Whom a case is about, where no template has to be matched for it; None where one has to."""
        attempt, event = case.attempt, case.event
        if case.recognition is not None or not worth_recognising(attempt):
            return Finding(case.recognition) if case.recognition is not None else _NOBODY
        if event.credential == "card":
            key = self._card_keys.get(event.address.estate)
            return case.roster.find_card(event.card, key, _door(case).group, case.judged_s)
        if event.templates and not self._faces.takes_templates:
            return Finding("not_usable")
        if event.verdict is not None:
            return _find_by_panel(case, event.verdict)
        if not case.encoded and before_recognition(attempt) is None:
            return self._encode(case)
        # A late or repeated event opens nothing, so no encoder is kept busy with its photographs.
        case.encoded = True
        return None if case.track is not None else _NOBODY

    def _encode(self, case: Case) -> Finding | None:
        self._jobs += 1
        taken = self._photographs.submit(self._jobs, case.event.images)
        if taken:
            self._encoding[self._jobs] = (case, self._monotonic() + ENCODE_WAIT_S)
            return None
        return Finding("unavailable" if taken is None else "busy")

    def _decide(self, case: Case, finding: Finding) -> None:
        event = case.event
        decision = decide(case.attempt, finding)
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
        )
        self._batch.add(Entry(case.keys, record), Reply(address, event.event_id, decision, case.keys))

    def _hand_over(self) -> None:
        """Give the batch to the journal; where it takes no more, the doors are answered all the same."""
        batch = self._batch
        if batch.entries:
            self._batch = Batch()
            batch.due_s = self._monotonic() + self._rules.answer_wait_s
            if self._journal.submit(batch):
                self._unwritten.append(batch)
                self._unanswered.append(batch)
            else:
                self._settle(batch)
        self._out.flush()

    def _settle(self, batch: Batch) -> None:
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
            if reply.event_id is not None:
                self._out.confirm(reply.address, reply.event_id)
            for joiner in self._joiners.take(reply.keys):
                self._batch.add(Entry(joiner.keys), joiner)

    def _answer(self, batch: Batch) -> None:
        batch.answered = True
        for index, reply in enumerate(batch.replies):
            if reply.decision is not None and reply.event_id is not None and index not in batch.known:
                self._out.answer(reply.address, reply.event_id, reply.decision)


def _find_by_panel(case: Case, verdict: PanelVerdict) -> Finding:
    """The device's own match: whom it means is for our roster to say."""
    if verdict != "match":
        return Finding(verdict)
    return case.roster.find_person(case.event.person, _door(case).group, case.received_s)


def _door(case: Case) -> Door:
    door = case.attempt.door
    if door is None:
        raise RuntimeError("a case without a door is set aside before it is decided")
    return door


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
