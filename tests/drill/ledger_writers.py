"""What the drill of the ledger kills: writers and sealers, in processes that are quick to start."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from backend.db.engine import connect, make_single_engine
from backend.ledger.books import CITY_BOOK
from backend.ledger.rules import NewEntry, credit, debit
from backend.ledger.sealing import Sealer
from backend.ledger.service import post

NOW, DAY = datetime(2026, 11, 3, tzinfo=UTC), date(2026, 11, 3)
BATCH = 5


def write(url: str, writer: str, confirmed: Path) -> None:
    """Post until killed, alone and in batches; what is committed is noted after its commit."""
    engine = make_single_engine(url)
    number = 0
    with engine.connect() as connection, confirmed.open("a", encoding="utf-8") as notes:
        while True:
            keys = [f"{writer}:{number + step}" for step in range(BATCH if number % 3 == 0 else 1)]
            post(connection, [entry(key) for key in keys])
            connection.commit()
            notes.writelines(f"{key}\n" for key in keys)
            notes.flush()
            number += len(keys)


def entry(key: str) -> NewEntry:
    fen = 1 + sum(key.encode()) % 1000
    lines = (debit("1001", fen), credit("1002", fen))
    return NewEntry(CITY_BOOK, "drill", key, DAY, NOW, "演练", lines, "drill")


def seal(url: str) -> None:
    """Seal until killed."""
    Sealer(lambda: connect(url, autocommit=True), look_every_s=0.01, at_once=200).run()
