"""The link to the city: what it takes over, what it sends, and what a refusal does to the rest."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway.backend_client import BackendAwayError, BackendRefusedError, Receipt, Refusal, RosterPage
from gateway.forwarder import Forwarder
from gateway.journal_store import AskedReplay, Forwarded, Waiting
from gateway.roster import Item
from gateway.uplink import Link, RosterFeed
from tests.unit.gateway.stage import item


class Backend:
    """Answers from a list; takes records by a rule."""

    def __init__(self) -> None:
        self.pages: list[RosterPage] = []
        self.asked: list[tuple[int, int]] = []
        self.bodies: list[list[str]] = []
        self.judge: Callable[[dict[str, Any]], str | None] = lambda _record: None
        self.refuse_body: Callable[[list[dict[str, Any]]], int | None] = lambda _records: None
        self.committed: list[str] = []

    def card_key(self, estate: str) -> bytes:
        return estate.encode()

    def roster(self, estate: str, since: int, wait_s: int) -> RosterPage:
        assert estate == "e"
        self.asked.append((since, wait_s))
        return self.pages.pop(0)

    def send_records(self, docs: Sequence[str]) -> Receipt:
        records = [json.loads(doc) for doc in docs]
        self.bodies.append([record["record_id"] for record in records])
        if status := self.refuse_body(records):
            raise BackendRefusedError(status, "wrong_shape")
        refused = [
            Refusal(record["record_id"], reason) for record in records if (reason := self.judge(record))
        ]
        kept = {refusal.record_id for refusal in refused}
        receipt = [record["record_id"] for record in records if record["record_id"] not in kept]
        self.committed += receipt
        return Receipt(receipt, refused)

    def close(self) -> None:
        pass


class Shelf:
    """The store of a roster copy; can be full."""

    def __init__(self) -> None:
        self.saved: list[tuple[list[Item], int, bool]] = []
        self.full = False

    def version(self, estate: str) -> int:
        return 0 if estate == "e" else -1

    def save(self, estate: str, items: Sequence[Item], version: int, *, anew: bool = False) -> None:
        assert estate == "e"
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        self.saved.append((list(items), version, anew))


class Feed:
    def __init__(self) -> None:
        self.backend, self.shelf = Backend(), Shelf()
        self.applied: list[tuple[list[Item], int, bool]] = []
        self.keys: list[bytes] = []
        self.feed = RosterFeed(
            "e",
            self.backend,  # type: ignore[arg-type]
            self.shelf,  # type: ignore[arg-type]
            lambda items, version, anew: self.applied.append((items, version, anew)),
            self.keys.append,
            Link(),
        )

    def answer(self, version: int, *items: Item, more: bool = False) -> None:
        self.backend.pages.append(RosterPage(version, more, list(items)))


ANN, BEN = item("person", "ann", {}), item("person", "ben", {})


def test_the_first_questions_do_not_wait_and_the_later_ones_do() -> None:
    feed = Feed()
    feed.answer(1, ANN, more=True)
    feed.answer(2, BEN)
    feed.answer(2)
    for _ in range(3):
        feed.feed.step()
    assert feed.backend.asked == [(0, 0), (1, 20), (2, 20)]
    assert feed.applied == [([ANN], 1, False), ([BEN], 2, False)] == feed.shelf.saved
    assert feed.keys == [b"e"]


def test_a_change_that_the_disk_will_not_take_counts_at_once_and_is_saved_with_the_next() -> None:
    feed = Feed()
    feed.answer(1, ANN)
    feed.answer(2, BEN)
    feed.shelf.full = True
    feed.feed.step()
    feed.shelf.full = False
    feed.feed.step()
    assert [version for _, version, _ in feed.applied] == [1, 2]
    assert feed.shelf.saved == [([ANN, BEN], 2, False)]


def test_a_backend_that_went_back_in_time_is_asked_for_everything_and_replaces_it() -> None:
    feed = Feed()
    feed.answer(9, ANN)
    feed.answer(3)
    feed.answer(2, BEN, more=True)
    feed.answer(3, ANN)
    feed.feed.step()
    feed.feed.step()
    assert feed.backend.asked[1:] == [(9, 20), (0, 0), (2, 0)]
    assert feed.applied[-1] == ([BEN, ANN], 3, True)
    assert feed.shelf.saved[-1] == ([BEN, ANN], 3, True)


class Journal:
    """What the forwarder reads and marks."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.docs = [
            json.dumps({"record_id": f"r{seq}", "estate": "e", **one}) for seq, one in enumerate(records, 1)
        ]
        self.marks: list[Forwarded] = []
        self.parked_seqs: list[int] = []

    def forwarded_to(self) -> int:
        return 0

    def waiting(self, after: int, limit: int) -> Waiting:
        seqs = list(range(after + 1, min(len(self.docs), after + limit) + 1))
        return Waiting(seqs, [self.docs[seq - 1] for seq in seqs])

    def parked(self, after: int, limit: int) -> Waiting:
        seqs = [seq for seq in self.parked_seqs if seq > after][:limit]
        return Waiting(seqs, [self.docs[seq - 1] for seq in seqs])

    def close(self) -> None:
        pass


class Office:
    def __init__(self, *records: dict[str, Any]) -> None:
        self.backend, self.journal, self.now_s = Backend(), Journal(*records), 0.0
        self.forwarder = Forwarder(
            self.journal,  # type: ignore[arg-type]
            self.backend,  # type: ignore[arg-type]
            self.journal.marks.append,
            Link(),
            lambda: self.now_s,
        )


def test_records_go_in_order_and_are_marked_once_the_backend_has_committed_them() -> None:
    office = Office({}, {}, {})
    assert office.forwarder.step()
    assert not office.forwarder.step()
    assert office.backend.committed == ["r1", "r2", "r3"]
    assert office.journal.marks == [Forwarded(3)]
    assert office.forwarder.forwarded == 3


def test_a_refused_record_is_parked_with_its_reason() -> None:
    office = Office({}, {"cause": "odd"}, {})
    office.backend.judge = lambda record: "unknown_door" if record.get("cause") else None
    office.forwarder.step()
    assert office.journal.marks == [Forwarded(3, ((2, "unknown_door"),))]


def test_one_record_of_a_wrong_shape_is_found_and_the_others_arrive() -> None:
    office = Office(*({"bad": number == 5} for number in range(8)))
    office.backend.refuse_body = lambda records: 422 if any(one["bad"] for one in records) else None
    office.forwarder.step()
    assert sorted(office.backend.committed) == ["r1", "r2", "r3", "r4", "r5", "r7", "r8"]
    assert office.journal.marks == [Forwarded(8, ((6, "422 wrong_shape"),))]


def test_an_estate_outside_our_scope_is_parked_and_the_others_go_on() -> None:
    office = Office({"estate": "a"}, {"estate": "b"}, {"estate": "a"}, {"estate": "c"})
    office.backend.refuse_body = lambda records: 403 if any(one["estate"] == "a" for one in records) else None
    office.forwarder.step()
    assert office.backend.committed == ["r2", "r4"]
    [mark] = office.journal.marks
    assert (mark.seq, [seq for seq, _ in mark.parked]) == (4, [1, 3])


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_of_the_gateway_itself_marks_nothing(status: int) -> None:
    office = Office({}, {})
    office.backend.refuse_body = lambda _records: status
    with pytest.raises(BackendRefusedError):
        office.forwarder.step()
    assert office.journal.marks == []


def test_an_answer_that_leaves_records_out_marks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office({}, {})
    monkeypatch.setattr(office.backend, "send_records", lambda _docs: Receipt(["r1"], []))
    with pytest.raises(BackendAwayError):
        office.forwarder.step()
    assert office.journal.marks == []


def test_parked_records_are_tried_again_after_a_while() -> None:
    office = Office({}, {})
    office.journal.parked_seqs = [1, 2]
    office.backend.judge = lambda record: "unknown_door" if record["record_id"] == "r2" else None
    office.forwarder.retry_parked()
    assert office.backend.bodies == []
    office.now_s = 601.0
    office.forwarder.retry_parked()
    assert office.journal.marks == [Forwarded(0, accepted_after_all=(1,))]


def test_however_many_are_parked_each_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.forwarder.BATCH", 2)
    office = Office({}, {}, {}, {}, {})
    office.journal.parked_seqs = [1, 2, 3, 4, 5]
    office.backend.judge = lambda _record: "unknown_door"
    for _ in range(4):
        office.now_s += 601.0
        office.forwarder.retry_parked()
    assert office.backend.bodies == [["r1", "r2"], ["r3", "r4"], ["r5"], ["r1", "r2"]]


def test_what_is_asked_for_is_sent_once_more_and_nothing_that_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.forwarder.BATCH", 2)
    office = Office({}, {}, {}, {}, {})
    while office.forwarder.step():
        pass
    office.backend.committed.clear()
    office.journal.marks.clear()
    done: list[bool] = []
    office.forwarder.on_replayed = lambda: done.append(True)
    office.backend.judge = lambda record: "unknown_door" if record["record_id"] == "r4" else None
    office.forwarder.replay(AskedReplay(after=1))
    office.forwarder.send_again()
    assert office.backend.committed == ["r2", "r3", "r5"]
    assert [mark.parked for mark in office.journal.marks] == [(), ((4, "unknown_door"),)]
    office.journal.parked_seqs = [4]
    office.forwarder.replay(AskedReplay(only_refused=True))
    office.backend.judge = lambda _record: None
    office.forwarder.send_again()
    assert office.journal.marks[-1] == Forwarded(5, accepted_after_all=(4,))
    office.forwarder.send_again()
    assert done == [True, True]


def test_the_pause_after_failures_grows_and_ends_when_somebody_gets_through() -> None:
    waited: list[float] = []

    class Quick(Link):
        def __init__(self) -> None:
            super().__init__(lambda: 1.0)
            self._turned.wait_for = lambda _done, seconds: bool(waited.append(seconds))

    link = Quick()
    for failures in range(8):
        link.pause(failures)
    assert waited == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]
    link.went_wrong("records", BackendAwayError("no route"))
    link.went_wrong("records", BackendAwayError("no route"))
    state = link.states()["records"]
    assert (state.ok, state.reason) == (False, "no route")
    link.went_well("records")
    assert link.states()["records"].ok
