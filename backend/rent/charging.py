"""Puts charges into the tables and the books: the charge, its lines and its entry, each once.

A batch goes in as one array a column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, text

from backend.db.arrays import array_text
from backend.ledger import books, service
from backend.ledger.chart import Chart
from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.vouchers import Occasion
from backend.rent import vouchers
from backend.rent.rules import ChargeLine
from backend.rent.tables import rent_charge

_INSERT_CHARGES = text("""
    INSERT INTO rent_charge (charge_id, household_id, tenancy_id, unit_id, month, revision, due_on,
                             amount_fen, proposal_id, estate_id, principal_id, charged_at)
    SELECT given.*, :estate_id, CAST(:principal_id AS uuid), :now
    FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[]), CAST(:c2 AS uuid[]), CAST(:c3 AS uuid[]),
                CAST(:c4 AS date[]), CAST(:c5 AS smallint[]), CAST(:c6 AS date[]),
                CAST(:c7 AS bigint[]), CAST(:c8 AS uuid[])) AS given
    ON CONFLICT (tenancy_id, month, revision) DO NOTHING RETURNING charge_id
""")
_INSERT_LINES = text("""
    INSERT INTO rent_charge_line (charge_id, line_no, kind, from_on, to_on, amount_fen, carried_fen, label_zh,
                                  corrects)
    SELECT * FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS smallint[]), CAST(:c2 AS text[]),
                         CAST(:c3 AS date[]), CAST(:c4 AS date[]), CAST(:c5 AS bigint[]),
                         CAST(:c6 AS bigint[]), CAST(:c7 AS text[]), CAST(:c8 AS boolean[]))
""")


Entries = Callable[[Chart, "Sequence[NewCharge]"], list[NewEntry]]


@dataclass(frozen=True, slots=True)
class NewCharge:
    """A charge to be made; `revision` 0 is the monthly run's."""

    charge_id: UUID
    household_id: UUID
    tenancy_id: UUID
    unit_id: UUID
    month: date
    revision: int
    due_on: date
    lines: tuple[ChargeLine, ...]
    # Of a waiver or write-off: what two people agreed on.
    proposal_id: UUID | None = None

    @property
    def amount_fen(self) -> int:
        """The sum of its lines."""
        return sum(line.amount_fen for line in self.lines)

    @property
    def key(self) -> str:
        """Its business event."""
        return f"{self.tenancy_id}:{self.month:%Y-%m}:{self.revision}"


def make_charges(
    connection: Connection,
    estate_id: str,
    charges: Sequence[NewCharge],
    occasion: Occasion,
    entries: str | Entries,
) -> list[NewCharge]:
    """Make the charges that nobody made before, all of one estate.

    Args:
        entries: the words of their entries, or what builds other entries than a charge's own.
    Returns:
        Those that this call made; the unique index on tenancy, month and revision decides.
    """
    if not charges:
        return []
    kept = set(
        connection.execute(
            _INSERT_CHARGES,
            {
                **_columns(
                    (
                        one.charge_id,
                        one.household_id,
                        one.tenancy_id,
                        one.unit_id,
                        one.month,
                        one.revision,
                        one.due_on,
                        one.amount_fen,
                        one.proposal_id,
                    )
                    for one in charges
                ),
                "estate_id": estate_id,
                "principal_id": occasion.principal_id,
                "now": occasion.now,
            },
        ).scalars()
    )
    made = [charge for charge in charges if charge.charge_id in kept]
    if made:
        connection.execute(_INSERT_LINES, _columns(_line_rows(made)))
        if isinstance(entries, str):
            entries = _own_entries(estate_id, occasion, entries)
        service.post(connection, entries(books.chart_of(connection, occasion.now), made))
    return made


def next_revision(connection: Connection, tenancy_id: UUID, month: date) -> int:
    """The number of the next charge of the month that is not the run's; under the account's lock."""
    last = connection.execute(
        select(func.max(rent_charge.c.revision)).where(
            rent_charge.c.tenancy_id == tenancy_id, rent_charge.c.month == month
        )
    ).scalar_one()
    return 1 if last is None else last + 1


def _columns(rows: Iterable[tuple[Any, ...]]) -> dict[str, str]:
    return {f"c{place}": array_text(column) for place, column in enumerate(zip(*rows, strict=True))}


def _line_rows(charges: Iterable[NewCharge]) -> Iterable[tuple[Any, ...]]:
    for charge in charges:
        for number, line in enumerate(charge.lines, start=1):
            yield (
                charge.charge_id,
                number,
                line.kind.value,
                line.from_on,
                line.to_on,
                line.amount_fen,
                line.carried_fen,
                line.label_zh,
                line.corrects,
            )


def _own_entries(estate_id: str, occasion: Occasion, summary_zh: str) -> Entries:
    def build(chart: Chart, charges: Sequence[NewCharge]) -> list[NewEntry]:
        entries = (
            vouchers.charge_entry(
                chart,
                occasion,
                charge.key,
                summary_zh,
                Dimensions(estate_id, charge.unit_id, charge.household_id, None),
                charge.lines,
            )
            for charge in charges
        )
        return [entry for entry in entries if entry is not None]

    return build
