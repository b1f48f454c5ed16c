"""The monthly run: one charge and one entry for each tenancy and month, however often it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from backend.errors import ExplainedError
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.ledger import books
from backend.ledger.vouchers import Occasion
from backend.registry.rules import local_day
from backend.rent import vouchers
from backend.rent.assessment import Facts, Tenancy, assess
from backend.rent.charging import NewCharge, make_charges
from backend.rent.errors import AreaUnknownError, TariffMissingError
from backend.rent.pricing import PriceBook
from backend.rent.receipts import lock_accounts, use_prepaid
from backend.rent.settings import RentSettings
from backend.rent.tenancies import (
    carried_of,
    charged_count,
    estate_ids,
    next_tenancies,
    read_facts,
    read_prices,
)

ACTOR = "月度计租"
DEFAULTS = RentSettings()
# What keeps one tenancy from being charged, and nobody else.
UNPRICED = (TariffMissingError, AreaUnknownError)


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A tenancy that could not be charged, and why."""

    tenancy: Tenancy
    why: ExplainedError


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a monthly run did.

    Attributes:
        charged: charges made by this run.
        already: tenancies of the month that were charged before it.
        nothing_due: tenancies without anything to charge.
        unpriced: tenancies that something has no price for; they are charged by a later run.
        amount_fen: the sum of the charges made.
        prepaid_used_fen: what of it was paid at once with prepaid rent.
    """

    month: date
    charged: int
    already: int
    nothing_due: int
    unpriced: int
    amount_fen: int
    prepaid_used_fen: int


def run_month(
    where: Engine | Connection,
    estate_id: str | None,
    month: date,
    principal: Principal | None,
    now: datetime,
    rules: RentSettings = DEFAULTS,
    *,
    progress: Callable[[int], None] = lambda _done: None,
) -> RunResult:
    """Charge a month's rent in one estate, or in all.

    With an engine, each batch of tenancies is a transaction of its own: a run that was interrupted is
    simply run again. With a connection, everything belongs to the caller's transaction. Two runs at the
    same time charge nobody twice: a tenancy and month are unique in the database.

    Args:
        month: its first day.
        principal: who runs it; None for the server's own command line.
        progress: told how many tenancies are done, after each batch.
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
        prices = read_prices(connection)
    principal_id = principal.principal_id if principal else None
    result = RunResult(month, 0, already, 0, 0, 0, 0)

    def charge(one: str, tenancies: Sequence[Tenancy]) -> tuple[Batch, list[NewCharge]]:
        with _begin(where) as connection:
            batch = Batch(connection, one, month, principal_id, now, rules, prices)
            return batch, batch.charge(tenancies)

    # The server works on one batch while the next one is computed here.
    side_by_side = 1 if isinstance(where, Connection) else rules.connections
    with ThreadPoolExecutor(side_by_side, thread_name_prefix="rent-run") as pool:
        waiting: deque[Future[tuple[Batch, list[NewCharge]]]] = deque()
        try:
            for one, tenancies in _batches(where, estates, month, rules.batch_size):
                waiting.append(pool.submit(charge, one, tenancies))
                if len(waiting) > side_by_side or isinstance(where, Connection):
                    result = _add(result, *waiting.popleft().result(), progress)
            while waiting:
                result = _add(result, *waiting.popleft().result(), progress)
        finally:
            for one_waiting in waiting:
                one_waiting.cancel()
    return result


def _batches(
    where: Engine | Connection, estates: Sequence[str], month: date, size: int
) -> Iterator[tuple[str, list[Tenancy]]]:
    """Estate by estate, the tenancies that are to be charged, in the order of their ids."""
    for one in estates:
        after: UUID | None = None
        while True:
            with _begin(where) as connection:
                tenancies = next_tenancies(connection, one, month, after, size)
            if not tenancies:
                break
            after = tenancies[-1].tenancy_id
            yield one, tenancies


def _add(
    result: RunResult, batch: Batch, made: Sequence[NewCharge], progress: Callable[[int], None]
) -> RunResult:
    progress(len(made) + batch.nothing_due + batch.unpriced)
    return replace(
        result,
        charged=result.charged + len(made),
        nothing_due=result.nothing_due + batch.nothing_due,
        unpriced=result.unpriced + batch.unpriced,
        amount_fen=result.amount_fen + sum(charge.amount_fen for charge in made),
        prepaid_used_fen=result.prepaid_used_fen + batch.prepaid_used_fen,
    )


def plan_charges(
    connection: Connection,
    tenancies: Sequence[Tenancy],
    month: date,
    rules: RentSettings,
    prices: PriceBook,
) -> tuple[list[NewCharge], list[Unpriced]]:
    """The charges that the run would make for these tenancies, and those that have no price."""
    late_fee = rules.late_fee if rules.late_fee.daily_ppm else None
    facts = read_facts(connection, tenancies, prices, month if late_fee else None)
    carried = carried_of(connection, [one.tenancy_id for one in tenancies], month)
    planned: list[NewCharge] = []
    unpriced: list[Unpriced] = []
    for tenancy in tenancies:
        try:
            charge = _planned(tenancy, month, facts, carried.get(tenancy.tenancy_id, 0), rules)
        except UNPRICED as error:
            unpriced.append(Unpriced(tenancy, error))
        else:
            if charge.lines:
                planned.append(charge)
    return planned, unpriced


def _planned(tenancy: Tenancy, month: date, facts: Facts, carried_fen: int, rules: RentSettings) -> NewCharge:
    late_fee = rules.late_fee if rules.late_fee.daily_ppm else None
    return NewCharge(
        uuid4(),
        tenancy.household_id,
        tenancy.tenancy_id,
        tenancy.unit_id,
        month,
        0,
        month.replace(day=rules.due_day),
        assess(tenancy, month, facts, carried_fen, late_fee),
    )


class Batch:
    """The tenancies of one transaction.

    Attributes:
        nothing_due, unpriced, prepaid_used_fen: as in `RunResult`, of this batch.
    """

    def __init__(
        self,
        connection: Connection,
        estate_id: str,
        month: date,
        principal_id: UUID | None,
        now: datetime,
        rules: RentSettings,
        prices: PriceBook,
    ) -> None:
        self._connection, self._estate_id, self._month = connection, estate_id, month
        self._principal_id, self._now, self._rules, self._prices = principal_id, now, rules, prices
        self.nothing_due = self.unpriced = self.prepaid_used_fen = 0

    def charge(self, tenancies: Sequence[Tenancy]) -> list[NewCharge]:
        """Make the charges that nobody made before, with their lines and entries."""
        # A payment that is being booked either sees these charges or is seen by `use_prepaid` below.
        lock_accounts(self._connection, [one.household_id for one in tenancies])
        planned, unpriced = plan_charges(self._connection, tenancies, self._month, self._rules, self._prices)
        self.unpriced = len(unpriced)
        self.nothing_due = len(tenancies) - len(planned) - len(unpriced)
        book_id = books.book_of(self._connection, self._estate_id, self._now)
        occasion = Occasion(book_id, self._now, local_day(self._now), ACTOR, self._principal_id)
        summary = vouchers.charge_summary(self._month)
        made = make_charges(self._connection, self._estate_id, planned, occasion, summary)
        if made:
            self.prepaid_used_fen = use_prepaid(
                self._connection,
                sorted({charge.household_id for charge in made}),
                actor=ACTOR,
                principal_id=self._principal_id,
                now=self._now,
            )
        return made


@contextmanager
def _begin(where: Engine | Connection) -> Iterator[Connection]:
    if isinstance(where, Connection):
        yield where
    else:
        with where.begin() as connection:
            yield connection
