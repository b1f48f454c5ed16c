"""The journal's tables: access records until the backend has them, and the keys of all that was seen.

One SQLite file in WAL mode with `synchronous=FULL`: a commit that has returned is on the disk. Rows are
written many at a time by single statements over a JSON array, because Python's lock is handed over at
every statement, and a row as one JSON text, because that is what the backend is sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from gateway.records import AccessRecord, SetAside

SET_ASIDE_ROWS_MAX = 10_000
RELEASE_NOTE = "release-asked"
REPLAY_NOTE = "replay-asked"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (seq INTEGER PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parked (seq INTEGER PRIMARY KEY, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS set_aside (seq INTEGER PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pass_use (
    pass_id TEXT PRIMARY KEY, uses INTEGER NOT NULL, day INTEGER NOT NULL
) WITHOUT ROWID;
INSERT OR IGNORE INTO meta VALUES ('forwarded_to', 0);
"""
_KNOWN = """
SELECT json_group_array(each.key) FROM json_each(?) AS each
WHERE EXISTS (SELECT 1 FROM seen WHERE seen.key = each.value)
"""
_SEE = "INSERT OR IGNORE INTO seen SELECT value, ?2 FROM json_each(?1)"
_RECORD = "INSERT INTO record (doc) SELECT value FROM json_each(?)"
_PUT_ASIDE = "INSERT INTO set_aside (doc) SELECT value FROM json_each(?)"


# Made here and not at their first use: msgspec crashes when two threads use a type for the first time.
_RECORDS = msgspec.json.Decoder(AccessRecord)
_NOTES = msgspec.json.Decoder(SetAside)


class Entry(Struct, frozen=True):
    """What is written of one message: its keys, and a record or a note that it was set aside."""

    keys: tuple[str, ...]
    record: AccessRecord | None = None
    set_aside: SetAside | None = None


class Forwarded(Struct, frozen=True):
    """The backend has answered for every record up to `seq`; the `parked` ones it refused."""

    seq: int
    parked: tuple[tuple[int, str], ...] = ()
    accepted_after_all: tuple[int, ...] = ()

    def then(self, later: Forwarded) -> Forwarded:
        """This mark and a later one as a single one."""
        accepted = set(later.accepted_after_all)
        parked = dict(self.parked) | dict(later.parked)
        return Forwarded(
            max(self.seq, later.seq),
            tuple(sorted((seq, reason) for seq, reason in parked.items() if seq not in accepted)),
            tuple(sorted(set(self.accepted_after_all) | accepted)),
        )


class Waiting(NamedTuple):
    """Records to be sent, as the JSON array the backend takes."""

    seqs: list[int]
    docs: list[str]


class AskedRelease(Struct, frozen=True):
    """What somebody at the box wants of the doors of an estate."""

    estate: str
    author: str
    reason: str
    cancel: bool = False


class AskedReplay(Struct, frozen=True):
    """What somebody at the box wants to be sent to the backend once more."""

    after: int = 0  # records beyond this number
    only_refused: bool = False


class _Time(Struct, frozen=True):
    time_s: float = 0.0
    seq: int = 0  # records up to here are not asked: the time was noted after them


class Fill(Struct, frozen=True):
    """How full the journal is."""

    unforwarded: int
    oldest_unforwarded_at: datetime | None
    parked: int
    set_aside: int


class JournalStore:
    """One connection to the journal's file.

    Args:
        path: the file.
        synchronous: FULL; OFF exists for the test that proves what FULL is for.
        pages_max: refuse to grow beyond so many pages, as a full disk would.
        read_only: for looking at a journal that another process writes.
    """

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Literal["FULL", "OFF"] = "FULL",
        pages_max: int | None = None,
        read_only: bool = False,
    ) -> None:
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=10,
        )
        if read_only:
            return
        self._db.executescript(
            # Checkpoints are made beside the writing (see JournalKeeper), not in the middle of it.
            f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}; PRAGMA wal_autocheckpoint=0;"
            + _SCHEMA
        )
        if pages_max is not None:
            self._db.execute(f"PRAGMA max_page_count={pages_max}")

    def write(self, entries: Sequence[Entry], day: int) -> frozenset[int]:
        """Write one group in one commit, which is on the disk when this returns.

        Args:
            entries: in their order; the first one with a key is the new one.
            day: days since 1970, for forgetting keys later.
        Returns:
            The indexes of entries whose event or passage was known already; of those only a new event's
            key was written.
        Raises:
            sqlite3.Error: nothing was written.
        """
        keys = [key for entry in entries for key in entry.keys]
        owners = [index for index, entry in enumerate(entries) for _ in entry.keys]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            known = self._write(entries, keys, owners, day)
            self._db.execute("COMMIT")
        except BaseException:
            self._undo()
            raise
        return known

    def mark(self, mark: Forwarded) -> None:
        """Note what the backend has answered."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'forwarded_to'", (mark.seq,))
            self._db.executemany("INSERT OR REPLACE INTO parked VALUES (?, ?)", mark.parked)
            self._db.executemany(
                "DELETE FROM parked WHERE seq = ?", [(seq,) for seq in mark.accepted_after_all]
            )
            self._db.execute("COMMIT")
        except BaseException:
            self._undo()
            raise

    def purge_records(self, before: datetime, rows: int) -> int:
        """Delete up to `rows` of the oldest records that are forwarded and older than `before`."""
        # Parked rows stay, so they do not count: however many lead, there is something to delete behind.
        last = self._db.execute(
            "SELECT max(seq) FROM (SELECT seq, doc FROM record WHERE seq <= ?"
            " AND NOT EXISTS (SELECT 1 FROM parked WHERE parked.seq = record.seq) ORDER BY seq LIMIT ?)"
            " WHERE doc ->> 'received_at' < ?",
            (self.forwarded_to(), rows, before.isoformat()),
        ).fetchone()[0]
        if last is None:
            return 0
        # The newest row stays, so that numbers are never given twice.
        return self._db.execute(
            "DELETE FROM record WHERE seq <= ? AND seq < (SELECT max(seq) FROM record)"
            " AND seq NOT IN (SELECT seq FROM parked)",
            (last,),
        ).rowcount

    def purge_set_aside(self, before: datetime) -> None:
        """Keep the notes of messages set aside since `before`, and of these only the newest."""
        self._db.execute(
            "DELETE FROM set_aside WHERE seq <= (SELECT max(seq) FROM set_aside) - ?"
            " OR doc ->> 'received_at' < ?",
            (SET_ASIDE_ROWS_MAX, before.isoformat()),
        )

    def purge_keys(self, after: str, before_day: int, rows: int) -> str | None:
        """Forget old keys among the next `rows` after the key `after`; the last one looked at, or None."""
        last = self._db.execute(
            "SELECT max(key) FROM (SELECT key FROM seen WHERE key > ? ORDER BY key LIMIT ?)", (after, rows)
        ).fetchone()[0]
        if last is None:
            return None
        self._db.execute("DELETE FROM pass_use WHERE day < ?", (before_day,))
        self._db.execute("DELETE FROM seen WHERE key > ? AND key <= ? AND day < ?", (after, last, before_day))
        return str(last)

    def checkpoint(self, *, restart: bool) -> None:
        """Move what the log holds into the file; `restart` also waits for the log to be free again."""
        self._db.execute(f"PRAGMA wal_checkpoint({'RESTART' if restart else 'PASSIVE'})").fetchall()

    def forwarded_to(self) -> int:
        """The backend has answered for every record up to this number."""
        return int(self._db.execute("SELECT value FROM meta WHERE name = 'forwarded_to'").fetchone()[0])

    def waiting(self, after: int, limit: int) -> Waiting:
        """The next records that the backend has not answered for."""
        rows = self._db.execute(
            "SELECT seq, doc FROM record WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        ).fetchall()
        return Waiting([row[0] for row in rows], [row[1] for row in rows])

    def parked(self, after: int, limit: int) -> Waiting:
        """The next records that the backend has refused."""
        rows = self._db.execute(
            "SELECT seq, doc FROM parked JOIN record USING (seq) WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        ).fetchall()
        return Waiting([row[0] for row in rows], [row[1] for row in rows])

    def latest(self, limit: int) -> Iterator[tuple[int, AccessRecord, str]]:
        """The newest records, newest first, each with "waiting", "forwarded" or the reason it is parked."""
        rows = self._db.execute(
            "SELECT seq, doc, coalesce((SELECT reason FROM parked WHERE parked.seq = record.seq),"
            " iif(seq > (SELECT value FROM meta WHERE name = 'forwarded_to'), 'waiting', 'forwarded'))"
            " FROM record ORDER BY seq DESC LIMIT ?",
            (limit,),
        )
        for seq, doc, state in rows:
            yield seq, _RECORDS.decode(doc), state

    def latest_set_aside(self, limit: int) -> list[SetAside]:
        """The newest messages set aside, newest first."""
        rows = self._db.execute("SELECT doc FROM set_aside ORDER BY seq DESC LIMIT ?", (limit,))
        return [_NOTES.decode(doc) for (doc,) in rows]

    def note(self, name: str) -> str | None:
        """A JSON text kept under a name."""
        row = self._db.execute("SELECT doc FROM note WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def put_note(self, name: str, doc: str) -> None:
        """Keep a JSON text under a name."""
        self._db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, doc))

    def pass_uses(self) -> dict[str, int]:
        """How often each visitor's pass has opened a door."""
        return dict(self._db.execute("SELECT pass_id, uses FROM pass_use").fetchall())

    def forget_note(self, name: str) -> None:
        """Nothing is kept under that name any more."""
        self._db.execute("DELETE FROM note WHERE name = ?", (name,))

    def ask_release(self, asked: AskedRelease) -> None:
        """Have the gateway release the doors of an estate, or end that."""
        self.put_note(RELEASE_NOTE, msgspec.json.encode(asked).decode())

    def asked_release(self) -> AskedRelease | None:
        """What was asked for, and not done yet."""
        doc = self.note(RELEASE_NOTE)
        return _RELEASE.decode(doc) if doc is not None else None

    def ask_replay(self, asked: AskedReplay) -> None:
        """Have the gateway send records once more."""
        self.put_note(REPLAY_NOTE, msgspec.json.encode(asked).decode())

    def asked_replay(self) -> AskedReplay | None:
        """What was asked for, and not done yet."""
        doc = self.note(REPLAY_NOTE)
        return _REPLAY.decode(doc) if doc is not None else None

    def replayed(self, asked: AskedReplay, rows: int) -> int:
        """How many records of those that were asked for the backend has answered for, and so get again."""
        table = "parked JOIN record USING (seq)" if asked.only_refused else "record"
        found = self._db.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE seq > ? AND seq <= ? LIMIT ?)",  # noqa: S608 (constants)
            (asked.after, self.forwarded_to(), rows),
        )
        return int(found.fetchone()[0])

    def last_before(self, moment: datetime) -> int:
        """The number of the last record that was received before a moment; 0 where there is none."""
        found = self._db.execute(
            "SELECT coalesce(max(seq), 0) FROM record WHERE doc ->> 'received_at' < ?",
            (moment.astimezone(UTC).isoformat(),),
        )
        return int(found.fetchone()[0])

    def note_time(self, time_s: float, *, reset_done: bool = False) -> None:
        """Keep what time it is, in place of what the records up to now say of it."""
        self._db.execute(
            "INSERT OR REPLACE INTO note SELECT 'clock', json_object('time_s', ?, 'seq',"
            " coalesce((SELECT max(seq) FROM record), 0))",
            (time_s,),
        )
        if reset_done:
            self._db.execute("DELETE FROM note WHERE name = 'clock-reset'")

    def noted_time_s(self) -> float:
        """The latest time this journal knows of, seconds since 1970; 0 where it knows none."""
        if self.wants_time_reset():
            return 0.0
        noted = _TIME.decode(self.note("clock") or "{}")
        newest = next(self.latest(1), None)
        newer_s = newest[1].received_at.timestamp() if newest and newest[0] > noted.seq else 0.0
        return max(noted.time_s, newer_s)

    def ask_time_reset(self) -> None:
        """Have the gateway forget the noted time and go by the machine's clock."""
        self.put_note("clock-reset", "true")

    def wants_time_reset(self) -> bool:
        """Whether that was asked for, and not done yet."""
        return self.note("clock-reset") is not None

    def fill(self) -> Fill:
        """How many records wait, and since when."""
        forwarded_to = self.forwarded_to()
        # Numbers run on without a gap above the mark, so that nothing has to be counted.
        count, oldest = self._db.execute(
            "SELECT coalesce(max(seq), ?1) - ?1,"
            " (SELECT doc ->> 'received_at' FROM record WHERE seq > ?1 ORDER BY seq LIMIT 1) FROM record",
            (forwarded_to,),
        ).fetchone()
        parked, set_aside = self._db.execute(
            "SELECT (SELECT count(*) FROM parked), (SELECT count(*) FROM set_aside)"
        ).fetchone()
        return Fill(max(0, count), datetime.fromisoformat(oldest) if oldest else None, parked, set_aside)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _write(
        self, entries: Sequence[Entry], keys: list[str], owners: list[int], day: int
    ) -> frozenset[int]:
        text = msgspec.json.encode(keys).decode()
        found = self._db.execute(_KNOWN, (text,)).fetchone()[0]
        known = frozenset(owners[place] for place in msgspec.json.decode(found)) if found != "[]" else _NONE
        if len(set(keys)) < len(keys):
            known |= _repeated(keys, owners)
        self._db.execute(_SEE, (text, day))
        records = [
            entry.record
            for index, entry in enumerate(entries)
            if entry.record is not None and index not in known
        ]
        if records:
            self._db.execute(_RECORD, (msgspec.json.encode(records).decode(),))
            self._count_uses(records, day)
        notes = [entry.set_aside for entry in entries if entry.set_aside is not None]
        if notes:
            self._db.execute(_PUT_ASIDE, (msgspec.json.encode(notes).decode(),))
        return known

    def _count_uses(self, records: Sequence[AccessRecord], day: int) -> None:
        """In the records' own commit, so that no kill gives a visitor's pass another use."""
        used = [one.pass_id for one in records if one.pass_id is not None and one.outcome == "open"]
        if used:
            self._db.executemany(
                "INSERT INTO pass_use VALUES (?1, 1, ?2) ON CONFLICT (pass_id) DO UPDATE SET uses = uses + 1",
                [(pass_id, day) for pass_id in used],
            )

    def _undo(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


_NONE: frozenset[int] = frozenset()
_RELEASE = msgspec.json.Decoder(AskedRelease)
_REPLAY = msgspec.json.Decoder(AskedReplay)
_TIME = msgspec.json.Decoder(_Time)


def _repeated(keys: list[str], owners: list[int]) -> frozenset[int]:
    """Entries with a key of an earlier entry of the same group."""
    first: dict[str, int] = {}
    for key, owner in zip(keys, owners, strict=True):
        first.setdefault(key, owner)
    return frozenset(owner for key, owner in zip(keys, owners, strict=True) if first[key] != owner)
