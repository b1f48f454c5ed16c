"""The monthly run: one charge and one entry for each tenancy and month, however often it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Row, TextClause, text

from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.ledger import books, service
from backend.ledger.rules import Dimensions
from backend.ledger.vouchers import Occasion
from backend.registry.rules import local_day
from backend.rent import vouchers
from backend.rent.receipts import lock_accounts, use_prepaid
from backend.rent.rules import ChargeLine, Term, TermKind, charge_lines
from backend.rent.settings import RentSettings
from backend.rent.tenancies import carried_of, charged_count, estate_ids, next_tenancies, terms_of

_INSERT_CHARGES = text("""
    INSERT INTO rent_charge (charge_id, household_id, tenancy_id, unit_id, amount_fen, estate_id, month,
                             revision, due_on, principal_id, charged_at)
    SELECT given.*, :estate_id, :month, 0, :due_on, CAST(:principal_id AS uuid), :now
    FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[]), CAST(:c2 AS uuid[]), CAST(:c3 AS uuid[]),
                CAST(:c4 AS bigint[])) AS given
    ON CONFLICT (tenancy_id, month, revision) DO NOTHING RETURNING charge_id
""")
_INSERT_LINES = text("""
    INSERT INTO rent_charge_line (charge_id, line_no, kind, from_on, to_on, amount_fen, carried_fen, label_zh)
    SELECT * FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS smallint[]), CAST(:c2 AS text[]),
                         CAST(:c3 AS date[]), CAST(:c4 AS date[]), CAST(:c5 AS bigint[]),
                         CAST(:c6 AS bigint[]), CAST(:c7 AS text[]))
    RETURNING charge_id
""")

ACTOR = "月度计租"
SIGNED_RENT = "合同租金"
DEFAULTS = RentSettings()


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a monthly run did.

    Attributes:
        charged: charges made by this run.
        already: tenancies of the month that were charged before it.
        nothing_due: tenancies without anything to charge.
        amount_fen: the sum of the charges made.
        prepaid_used_fen: what of it was paid at once with prepaid rent.
    """

    month: date
    charged: int
    already: int
    nothing_due: int
    amount_fen: int
    prepaid_used_fen: int


def run_month(
    where: Engine | Connection,
    estate_id: str | None,
    month: date,
    principal: Principal | None,
    now: datetime,
    rules: RentSettings = DEFAULTS,
) -> RunResult:
    """Charge a month's rent in one estate, or in all.

    With an engine, each batch of tenancies is a transaction of its own: a run that was interrupted is
    simply run again. With a connection, everything belongs to the caller's transaction. Two runs at the
    same time charge nobody twice: a tenancy and month are unique in the database.

    Args:
        month: its first day.
        principal: who runs it; None for the server's own command line.
    Raises:
        UnknownThingError: no such estate.
        NotAllowedError: the principal is not of the estate's finance staff.
    """
    with _begin(where) as connection:
        estates = estate_ids(connection, estate_id)
        for one in estates:
            if principal is not None:
                check_role(principal, "rent.charge", one, "finance", "admin")
        books.open_books(connection, now)
        already = charged_count(connection, estates, month)
    charged = nothing_due = amount_fen = prepaid_fen = 0
    for one in estates:
        after: UUID | None = None
        while True:
            with _begin(where) as connection:
                tenancies = next_tenancies(connection, one, month, after, rules.batch_size)
                if not tenancies:
                    break
                batch = _Batch(
                    connection, one, month, principal.principal_id if principal else None, now, rules
                )
                made = batch.charge(tenancies)
            after = tenancies[-1].tenancy_id
            charged += len(made)
            amount_fen += sum(charge.amount_fen for charge in made)
            nothing_due += batch.nothing_due
            prepaid_fen += batch.prepaid_used_fen
    return RunResult(month, charged, already, nothing_due, amount_fen, prepaid_fen)


@dataclass(frozen=True, slots=True)
class _Charge:
    charge_id: UUID
    tenancy: Row[Any]
    lines: tuple[ChargeLine, ...]

    @property
    def amount_fen(self) -> int:
        return sum(line.amount_fen for line in self.lines)


class _Batch:
    """The tenancies of one transaction."""

    def __init__(
        self,
        connection: Connection,
        estate_id: str,
        month: date,
        principal_id: UUID | None,
        now: datetime,
        rules: RentSettings,
    ) -> None:
        self._connection, self._estate_id, self._month = connection, estate_id, month
        self._principal_id, self._now, self._rules = principal_id, now, rules
        self.nothing_due = self.prepaid_used_fen = 0

    def charge(self, tenancies: Sequence[Row[Any]]) -> list[_Charge]:
        """Make the charges that nobody made before, with their lines and entries."""
        # A payment that is being booked either sees these charges or is seen by `use_prepaid` below.
        lock_accounts(self._connection, [row.household_id for row in tenancies])
        planned = self._plan(tenancies)
        self.nothing_due = len(tenancies) - len(planned)
        made = self._keep(planned)
        if made:
            self._post(made)
            households = sorted({charge.tenancy.household_id for charge in made})
            self.prepaid_used_fen = use_prepaid(
                self._connection, households, actor=ACTOR, principal_id=self._principal_id, now=self._now
            )
        return made

    def _plan(self, tenancies: Sequence[Row[Any]]) -> list[_Charge]:
        ids = [row.tenancy_id for row in tenancies]
        terms, carried = terms_of(self._connection, ids), carried_of(self._connection, ids, self._month)
        planned = []
        for row in tenancies:
            signed = Term(TermKind.RENT, row.from_on, None, row.monthly_rent_fen, None, SIGNED_RENT)
            lines = charge_lines(
                self._month,
                row.from_on,
                row.to_on,
                [signed, *terms.get(row.tenancy_id, [])],
                carried.get(row.tenancy_id, 0),
            )
            if lines:
                planned.append(_Charge(uuid4(), row, lines))
        return planned

    def _keep(self, planned: Sequence[_Charge]) -> list[_Charge]:
        if not planned:
            return []
        kept = self._insert(
            _INSERT_CHARGES,
            [
                (
                    charge.charge_id,
                    charge.tenancy.household_id,
                    charge.tenancy.tenancy_id,
                    charge.tenancy.unit_id,
                    charge.amount_fen,
                )
                for charge in planned
            ],
            estate_id=self._estate_id,
            month=self._month,
            due_on=self._month.replace(day=self._rules.due_day),
            principal_id=self._principal_id,
            now=self._now,
        )
        made = [charge for charge in planned if charge.charge_id in kept]
        self._insert(
            _INSERT_LINES,
            [
                (
                    charge.charge_id,
                    number,
                    line.kind.value,
                    line.from_on,
                    line.to_on,
                    line.amount_fen,
                    line.carried_fen,
                    line.label_zh,
                )
                for charge in made
                for number, line in enumerate(charge.lines, start=1)
            ],
        )
        return made

    def _insert(self, statement: TextClause, rows: Sequence[tuple[Any, ...]], **common: Any) -> set[UUID]:
        """Insert rows as one array a column, which is several times as fast as one parameter a value."""
        columns = {f"c{place}": list(column) for place, column in enumerate(zip(*rows, strict=True))}
        if not columns:
            return set()
        return set(self._connection.execute(statement, {**columns, **common}).scalars())

    def _post(self, made: Sequence[_Charge]) -> None:
        chart = books.chart_of(self._connection, self._now)
        book_id = books.book_of(self._connection, self._estate_id, self._now)
        occasion = Occasion(book_id, self._now, local_day(self._now), ACTOR, self._principal_id)
        entries = [
            vouchers.charge_entry(
                chart,
                occasion,
                f"{charge.tenancy.tenancy_id}:{self._month:%Y-%m}:0",
                self._month,
                Dimensions(self._estate_id, charge.tenancy.unit_id, charge.tenancy.household_id, None),
                charge.lines,
            )
            for charge in made
        ]
        service.post(self._connection, [entry for entry in entries if entry is not None])


@contextmanager
def _begin(where: Engine | Connection) -> Iterator[Connection]:
    if isinstance(where, Connection):
        yield where
    else:
        with where.begin() as connection:
            yield connection
