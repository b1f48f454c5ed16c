"""The journal on a real disk: what it knows, what it forgets, and what it does when the disk says no."""

from __future__ import annotations

import queue
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from estate.processes import wait_until
from gateway.drivers import Address
from gateway.journal import HELD_ENTRIES_MAX, Group, Journal
from gateway.journal_keeper import Buffer, JournalKeeper
from gateway.journal_store import Entry, Forwarded, JournalStore
from gateway.records import AccessRecord, SetAside, event_key, keys_of, passage_key, record_id
from tests.unit.gateway.stage import Disk

DOOR = Address("e", "gate")
NOON = datetime(2026, 9, 1, 4, tzinfo=UTC)
DAY = int(NOON.timestamp() // 86_400)


def record(event: str, at: datetime = NOON, track: str | None = None) -> AccessRecord:
    passage = f"track:{track}" if track else f"event:{event}"
    key = passage_key(DOOR, passage)
    return AccessRecord(
        record_id(key), "e", "gate", passage, (event,), "card", at, at, "open", "granted", None, False
    )


def entry(event: str, at: datetime = NOON, track: str | None = None) -> Entry:
    made = record(event, at, track)
    return Entry(tuple(dict.fromkeys(keys_of(made))), made)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def store(path: Path) -> Iterator[JournalStore]:
    store = JournalStore(path)
    yield store
    store.close()


Write = Callable[[Sequence[Entry]], frozenset[int]]


@pytest.fixture(params=["disk", "paper"])
def journal_of(request: pytest.FixtureRequest, store: JournalStore) -> tuple[Write, Callable[[], list[str]]]:
    """The real store and the one that unit tests use, under the same rules."""
    if request.param == "paper":
        disk = Disk()
        return disk.write, lambda: [one.passage for one in disk.records]
    return (
        lambda entries: store.write(entries, DAY),
        lambda: [one.passage for _, one, _ in reversed(list(store.latest(100)))],
    )


def test_what_is_new_is_written_and_what_is_known_is_named(
    journal_of: tuple[Write, Callable[[], list[str]]],
) -> None:
    write, passages = journal_of
    assert write([entry("a"), entry("b", track="t")]) == frozenset()
    assert write([entry("c"), entry("a"), entry("d", track="t"), Entry((event_key(DOOR, "e"),))]) == {1, 2}
    assert write([entry("d"), entry("e")]) == {0, 1}
    assert write([entry("f"), entry("f"), entry("g", track="u"), entry("h", track="u")]) == {1, 3}
    assert passages() == ["event:a", "track:t", "event:c", "event:f", "track:u"]


def test_a_name_with_any_letters_is_known_again(journal_of: tuple[Write, Callable[[], list[str]]]) -> None:
    write, passages = journal_of
    names = ["大门", "a'b\"c\\", "%_", "é", "e\u0301", " ", "{}", "🚪", "A", "a"]
    assert write([entry(name) for name in names]) == frozenset()
    assert write([entry(name) for name in names]) == frozenset(range(len(names)))
    assert passages() == [f"event:{name}" for name in names]


def test_a_record_comes_back_as_it_went_in(store: JournalStore) -> None:
    made = record("大门-1", NOON + timedelta(microseconds=1))
    store.write([Entry(("k",), made)], DAY)
    assert [one for _, one, _ in store.latest(1)] == [made]


def test_keys_outlive_their_rows_and_the_process(path: Path, store: JournalStore) -> None:
    store.write([entry("a"), entry("b")], DAY)
    store.mark(Forwarded(2))
    assert store.purge_records(NOON + timedelta(days=40), 100) == 1  # the newest row stays
    again = JournalStore(path)
    assert again.write([entry("a"), entry("b"), entry("c")], DAY + 40) == {0, 1}
    assert [seq for seq, _, _ in again.latest(5)] == [3, 2]
    again.close()


def test_keys_are_forgotten_after_their_time_in_small_steps(store: JournalStore) -> None:
    old = [entry(f"old-{number:03d}") for number in range(30)]
    store.write(old, DAY)
    store.write([entry(f"new-{number:03d}") for number in range(30)], DAY + 91)
    last: str | None = ""
    steps = 0
    while last is not None:
        last = store.purge_keys(last, DAY + 1, 10)
        steps += 1
    assert steps == 7
    assert store.write(old, DAY + 91) == frozenset()
    assert store.write([entry("new-005")], DAY + 91) == {0}


def test_only_forwarded_records_are_deleted_and_parked_ones_are_kept(store: JournalStore) -> None:
    store.write([entry(event, NOON + timedelta(hours=hour)) for hour, event in enumerate("abcdef")], DAY)
    store.mark(Forwarded(4, ((2, "unknown_door"),)))
    assert store.purge_records(NOON + timedelta(hours=2), 100) == 1
    assert store.purge_records(NOON + timedelta(days=1), 100) == 2
    assert [(one.events[0], state) for _, one, state in store.latest(9)] == [
        ("f", "waiting"),
        ("e", "waiting"),
        ("b", "unknown_door"),
    ]
    assert store.waiting(4, 9).seqs == [5, 6]
    assert store.parked(0, 9).seqs == [2]
    assert (store.fill().unforwarded, store.fill().parked) == (2, 1)
    assert store.fill().oldest_unforwarded_at == NOON + timedelta(hours=4)
    store.mark(Forwarded(0, accepted_after_all=(2,)))
    assert (store.forwarded_to(), store.fill().parked) == (4, 0)


def test_notes_of_messages_set_aside_hold_no_content_and_are_bounded(
    store: JournalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.journal_store.SET_ASIDE_ROWS_MAX", 5)
    notes = [SetAside("e", "gate", f"x{number}", "oversize", 3_000_000, NOON) for number in range(8)]
    store.write([Entry((), set_aside=note) for note in notes], DAY)
    store.purge_set_aside(NOON)
    assert store.latest_set_aside(10) == notes[:2:-1]
    store.purge_set_aside(NOON + timedelta(seconds=1))
    assert store.latest_set_aside(10) == []


def test_a_failed_group_leaves_nothing_behind(path: Path) -> None:
    store = JournalStore(path, pages_max=30)
    store.write([entry("before")], DAY)
    with pytest.raises(sqlite3.Error):
        store.write([entry(f"e{number}") for number in range(1_000)], DAY)
    assert store.fill().unforwarded == 1
    assert store.write([entry("e1"), entry("before")], DAY) == {1}
    store.close()


def test_the_time_is_the_notes_or_a_newer_records_and_can_be_set_back(store: JournalStore) -> None:
    assert store.noted_time_s() == 0
    future = NOON + timedelta(days=1_500)
    store.write([entry("a", future)], DAY)
    assert store.noted_time_s() == future.timestamp()
    store.note_time(NOON.timestamp())  # the city has told
    assert store.noted_time_s() == NOON.timestamp()
    store.write([entry("b", NOON + timedelta(hours=1))], DAY)
    assert store.noted_time_s() == (NOON + timedelta(hours=1)).timestamp()
    store.ask_time_reset()
    assert (store.noted_time_s(), store.wants_time_reset()) == (0, True)
    store.note_time(NOON.timestamp(), reset_done=True)
    assert (store.noted_time_s(), store.wants_time_reset()) == (NOON.timestamp(), False)


class Office:
    """A journal with its thread, over a disk that a test can fill."""

    def __init__(self, path: Path) -> None:
        self.path, self.full = path, False
        self.full_marks = 0
        self.done: queue.SimpleQueue[Group] = queue.SimpleQueue()
        self.journal = Journal(self._open, lambda groups: [self.done.put(group) for group in groups] and None)
        self.journal.start()

    def _open(self) -> JournalStore:
        self.full_marks += self.full  # opened again: something was refused by the full disk
        return JournalStore(self.path, pages_max=1 if self.full else None)

    def fill_up(self) -> None:
        self.full = True
        is_full = threading.Event()

        def fill(store: JournalStore) -> None:
            store._db.execute("PRAGMA max_page_count=1")
            is_full.set()

        self.journal.do(fill)
        assert is_full.wait(10)

    def submit(self, *events: str) -> Group:
        group = Group([entry(event) for event in events])
        assert self.journal.submit(group)
        return group


@pytest.fixture
def office(path: Path) -> Iterator[Office]:
    office = Office(path)
    yield office
    office.journal.close()


def test_groups_come_back_in_order_each_with_what_was_known_in_it(office: Office) -> None:
    groups = [office.submit("a", "b"), office.submit("c"), office.submit("b", "d")]
    done = [office.done.get(timeout=10) for _ in groups]
    assert done == groups
    assert [group.known for group in done] == [frozenset(), frozenset(), {0}]
    assert all(group.written for group in done)


def test_a_full_disk_is_shown_and_what_is_held_is_written_when_there_is_room(office: Office) -> None:
    office.submit("a")
    assert office.done.get(timeout=10).written
    office.fill_up()
    held = [office.submit(*(f"{letter}{number}" for number in range(200))) for letter in "bc"]
    wait_until(lambda: not office.journal.state.ok, 10, "the journal should be stalled")
    assert "full" in office.journal.state.reason
    assert office.done.empty()
    assert office.journal.held_entries == 400
    office.full = False
    assert [office.done.get(timeout=10) for _ in held] == held
    assert all(group.written for group in held)
    assert office.journal.state.ok
    assert office.journal.held_entries == 0


def test_what_is_held_is_bounded_however_long_the_disk_is_full(office: Office) -> None:
    office.fill_up()
    many = HELD_ENTRIES_MAX // 2
    for letter in "ab":
        office.submit(*(f"{letter}{number}" for number in range(many)))
    assert not office.journal.submit(Group([entry("one too many")]))
    office.full = False
    assert office.done.get(timeout=20).written
    assert office.done.get(timeout=20).written
    wait_until(lambda: office.journal.submit(Group([entry("one more")])), 10, "room again")


def test_a_mark_that_a_full_disk_refused_comes_with_the_next_so_that_a_refused_record_stays(
    path: Path, office: Office
) -> None:
    office.submit("a", "b", "c", "d")
    office.done.get(timeout=10)
    office.fill_up()
    office.journal.mark(Forwarded(2, ((2, "unknown_door " * 3_000),)))
    wait_until(lambda: office.full_marks > 0, 10, "the mark was tried on the full disk")
    office.full = False
    office.journal.mark(Forwarded(4, ((3, "unknown_door"),)))
    reader = JournalStore(path, read_only=True)
    wait_until(lambda: reader.forwarded_to() == 4, 10, "both marks")
    assert reader.parked(0, 9).seqs == [2, 3]
    reader.close()


def test_two_marks_as_one_say_what_both_said() -> None:
    first = Forwarded(5, ((2, "x"), (3, "y")), accepted_after_all=(1,))
    later = Forwarded(4, ((4, "z"),), accepted_after_all=(2,))
    assert first.then(later) == Forwarded(5, ((3, "y"), (4, "z")), (1, 2))


def test_refused_records_at_the_head_neither_stop_the_purge_nor_starve_the_retry(store: JournalStore) -> None:
    store.write([entry(f"e{number}") for number in range(60)], DAY)
    store.mark(Forwarded(60, tuple((seq, "unknown_door") for seq in range(1, 31))))
    assert store.purge_records(NOON + timedelta(days=1), 10) == 10
    assert store.purge_records(NOON + timedelta(days=1), 100) == 19  # the newest row stays
    assert store.parked(0, 20).seqs == list(range(1, 21))
    assert store.parked(20, 20).seqs == list(range(21, 31))


def test_closing_writes_what_was_handed_over(path: Path) -> None:
    office = Office(path)
    for number in range(50):
        office.submit(f"e{number}")
    office.journal.close()
    store = JournalStore(path, read_only=True)
    assert store.fill().unforwarded == 50
    store.close()


def test_closing_with_a_full_disk_gives_up_and_says_so(path: Path) -> None:
    office = Office(path)
    office.fill_up()
    group = office.submit(*(f"e{number}" for number in range(500)))
    office.journal.close()
    assert office.done.get(timeout=10) is group
    assert not group.written


def test_the_keeper_says_how_full_the_buffer_is_and_deletes_what_is_old(path: Path, office: Office) -> None:
    now = [NOON + timedelta(hours=9)]
    keeper = JournalKeeper(path, 10, office.journal, lambda: now[0])
    office.submit("a", "b")
    office.done.get(timeout=10)
    keeper.step()
    assert keeper.buffer.fill == 0.9
    assert keeper.buffer.nearly_full
    assert keeper.buffer.rows.unforwarded == 2
    office.journal.mark(Forwarded(2))
    wait_until(lambda: _fill(keeper).rows.unforwarded == 0, 10, "the mark")
    assert not keeper.buffer.nearly_full
    now[0] += timedelta(hours=2)
    keeper.step()
    store = JournalStore(path, read_only=True)
    wait_until(lambda: len(list(store.latest(9))) == 1, 10, "the old row is gone")
    store.close()
    keeper.close()


def test_on_a_nearly_full_disk_the_oldest_forwarded_records_go_before_their_time(
    path: Path, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = JournalKeeper(path, 720, office.journal, lambda: NOON + timedelta(minutes=5))
    office.submit("a", "b", "c", "d")
    office.done.get(timeout=10)
    office.journal.mark(Forwarded(2, ((1, "unknown_door"),)))
    wait_until(lambda: _fill(keeper).rows.unforwarded == 2, 10, "the mark")
    assert not keeper.buffer.nearly_full
    total = 100 << 30
    nearly = shutil._ntuple_diskusage(total, total - (4 << 30), 4 << 30)
    monkeypatch.setattr("gateway.journal_keeper.shutil.disk_usage", lambda _folder: nearly)
    keeper.step()
    assert keeper.buffer.nearly_full
    store = JournalStore(path, read_only=True)
    # The refused one and those that wait stay, however full it is.
    wait_until(lambda: [seq for seq, _, _ in store.latest(9)] == [4, 3, 1], 10, "the forwarded one is gone")
    store.close()
    keeper.close()


def test_the_log_is_folded_into_the_file_while_the_journal_goes_on(
    path: Path, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.journal_keeper.LOG_BYTES_CHECKPOINT", 1 << 16)
    monkeypatch.setattr("gateway.journal_keeper.LOG_BYTES_RESTART", 1 << 17)
    keeper = JournalKeeper(path, 10, office.journal, lambda: NOON)
    log = path.with_name(path.name + "-wal")
    for number in range(60):
        office.submit(*(f"{number}-{place}" for place in range(50)))
        keeper.step()
        office.done.get(timeout=10)
    assert log.stat().st_size < 1 << 20
    keeper.close()
    store = JournalStore(path, read_only=True)
    assert store.fill().unforwarded == 3000
    store.close()


def _fill(keeper: JournalKeeper) -> Buffer:
    keeper.step()
    return keeper.buffer


def test_a_reader_of_another_process_changes_nothing(path: Path, store: JournalStore) -> None:
    store.write([entry("a")], DAY)
    reader = JournalStore(path, read_only=True)
    assert [one.events for _, one, _ in reader.latest(5)] == [("a",)]
    with pytest.raises(sqlite3.OperationalError):
        reader.mark(Forwarded(1))
    reader.close()


def test_a_journal_that_is_not_one_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        JournalStore(path)
