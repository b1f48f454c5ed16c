"""The canonical text of an entry, which its seal is made of (docs/ledger.md). Pure.

PostgreSQL has the same in `0018_sealing.sql`; a test holds the two together.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from backend.ledger.chain import FIRST_BEFORE
from backend.ledger.service import EntryView


def field(value: object) -> str:
    """Its length in characters, a colon, itself, a comma; `-,` for nothing."""
    return "-," if value is None else f"{len(str(value))}:{value},"


def entry_text(entry: EntryView) -> str:
    """What is hashed of an entry."""
    head = (
        entry.book_id,
        entry.entry_id,
        entry.event_kind,
        entry.event_key,
        entry.effective_on.isoformat(),
        _moment(entry.posted_at),
        len(entry.postings),
        entry.total_fen,
        entry.summary_zh,
        entry.principal_id,
        entry.actor,
        entry.reverses_entry_id,
        entry.reason,
    )
    lines = (
        (
            number,
            line.account_code,
            line.debit_fen,
            line.credit_fen,
            line.about.estate_id,
            line.about.unit_id,
            line.about.household_id,
            line.about.channel,
        )
        for number, line in enumerate(entry.postings, start=1)
    )
    return "entry 1\n" + "".join("".join(map(field, row)) + "\n" for row in (head, *lines))


def digest(entry: EntryView) -> bytes:
    """SHA-256 of the entry's text."""
    return hashlib.sha256(entry_text(entry).encode()).digest()


def next_hash(before: bytes | None, entry_digest: bytes) -> bytes:
    """The next link of a chain; `before` is None at the beginning of a book."""
    return hashlib.sha256((before or FIRST_BEFORE) + entry_digest).digest()


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
