"""One face under two names: cases that a human settles, since no machine may.

The vault keeps them, by opaque ids; they go with either of the two people.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.vault_store import VaultStore

# "different": two people who look alike, such as twins, both may be enrolled. "same": one person under two
# names; the register is to be put right, and nothing is enrolled until then.
Finding = Literal["different", "same"]

_COLUMNS = "case_id, estate, person, resembles, found_at, operator, settled_at, decision, settled_by, reason"


class NoSuchCaseError(Exception):
    """There is no open case of this number."""

    def __init__(self, case_id: str) -> None:
        self.case_id = case_id
        super().__init__(
            f"没有编号为 {case_id} 的待核实案件；用 `estate gateway vault cases` 查看  |  "
            f"No open case {case_id}: see `estate gateway vault cases`"
        )


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Somebody whose face was found to be enrolled as somebody else.

    Attributes:
        person_id: who was to be enrolled.
        resembles: as whom the face is enrolled already.
        operator: who was enrolling.
        decision: what a human found; None while the case is open.
    """

    case_id: str
    estate_id: str
    person_id: str
    resembles: str
    found_at: datetime
    operator: str
    settled_at: datetime | None
    decision: str | None
    settled_by: str | None
    reason: str | None


class Duplicates:
    """The cases of one vault."""

    def __init__(self, store: VaultStore) -> None:
        self._store = store

    def open(self, estate_id: str, person_id: str, resembles: str, operator: str, now: datetime) -> str:
        """The number of the case of these two; a new one unless it stands already.

        A case that was settled as "same" is opened again: the register was not put right.
        """
        with self._store.writing() as connection:
            connection.execute(
                "INSERT INTO duplicate VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL) "
                "ON CONFLICT (estate, person, resembles) DO UPDATE SET found_at = excluded.found_at, "
                "operator = excluded.operator, settled_at = NULL, decision = NULL, "
                "settled_by = NULL, reason = NULL",
                (uuid.uuid4().hex[:8], estate_id, person_id, resembles, now.isoformat(), operator),
            )
            row = connection.execute(
                "SELECT case_id FROM duplicate WHERE (estate, person, resembles) = (?, ?, ?)",
                (estate_id, person_id, resembles),
            ).fetchone()
        return str(row[0])

    def settle(self, case_id: str, decision: Finding, by: str, reason: str, now: datetime) -> None:
        """Write down what a human found.

        Raises:
            NoSuchCaseError: no open case has this number.
        """
        with self._store.writing() as connection:
            done = connection.execute(
                "UPDATE duplicate SET settled_at = ?, decision = ?, settled_by = ?, reason = ? "
                "WHERE case_id = ? AND decision IS NULL",
                (now.isoformat(), decision, by, reason, case_id),
            ).rowcount
            if not done:
                raise NoSuchCaseError(case_id)

    def all(self) -> list[Duplicate]:
        """Every case, open ones first, the oldest first."""
        with self._store.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM duplicate ORDER BY decision NOTNULL, found_at"  # noqa: S608 (a constant)
            ).fetchall()
        return [
            Duplicate(
                case_id=row[0],
                estate_id=row[1],
                person_id=row[2],
                resembles=row[3],
                found_at=datetime.fromisoformat(row[4]),
                operator=row[5],
                settled_at=datetime.fromisoformat(row[6]) if row[6] else None,
                decision=row[7],
                settled_by=row[8],
                reason=row[9],
            )
            for row in rows
        ]

    def apart(self, estate_id: str, person_id: str) -> frozenset[str]:
        """Who was found to be somebody else than this person, in either order."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT person, resembles FROM duplicate WHERE estate = ? AND decision = 'different' "
                "AND ? IN (person, resembles)",
                (estate_id, person_id),
            ).fetchall()
        return frozenset(other for pair in rows for other in pair if other != person_id)
