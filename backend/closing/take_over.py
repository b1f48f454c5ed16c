"""Taking over an estate's old books: tried, asked for by one, approved by another, posted once.

What two people agree on is the file itself, by its hash. It is read again when it is posted, and if anything
of it is wrong by then, nothing is posted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, exists, select
from sqlalchemy.dialects.postgresql import insert as upsert

from backend.approvals import service as approvals
from backend.approvals.service import Proposal
from backend.closing.errors import BookUnknownError
from backend.closing.service import estate_of
from backend.closing.take_over_errors import (
    EstateInUseError,
    TakeOverChangedError,
    TakeOverDoneError,
    TakeOverFaultsError,
    TakeOverMonthError,
)
from backend.closing.take_over_file import ITEMS, Fault, read_old_books
from backend.closing.take_over_rules import Arrear, HomeFact, Plan, plan_of, unit_name
from backend.closing.take_over_vouchers import opening_arrears_entry, opening_balance_entry
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.ledger import books, service
from backend.ledger.chart import Chart
from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.vouchers import Occasion
from backend.registry import tables as registry
from backend.registry.rules import local_day, start_of_day
from backend.rent.charging import NewCharge, make_charges
from backend.rent.opening import TAKEN_OVER, PaidBefore, keep_paid_before
from backend.rent.receipts import lock_accounts
from backend.rent.rules import ChargeLine, LineKind, next_month, read_month
from backend.rent.settings import RentSettings
from backend.rent.tables import payment, rent_charge, take_over, take_over_file

KIND = "take_over"
# 0 is the run's, and what is assessed again; a deposit stands beside the arrears of its month.
ARREARS_REVISION, DEPOSIT_REVISION = 1, 2
NAME_MAX = 120


@dataclass(frozen=True, slots=True)
class Trial:
    """A dry run: what would be posted, or everything that is wrong."""

    plan: Plan
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A take-over as it stands.

    Attributes:
        is_new: this call asked for it; otherwise the same file was there before.
    """

    proposal: Proposal
    is_new: bool


def try_out(
    connection: Connection, estate_id: str, month: date, body: bytes, now: datetime, rules: RentSettings
) -> Trial:
    """Read a file against the estate's households; nothing is written.

    Raises:
        TakeOverMonthError: the month is not begun yet.
    """
    if month > local_day(now):
        raise TakeOverMonthError(month)
    plan, faults = plan_of(read_old_books(body), _homes(connection, estate_id), month, rules.due_day)
    return Trial(plan, tuple(faults))


def propose_take_over(
    connection: Connection,
    book_id: str,
    month: date,
    name_zh: str,
    body: bytes,
    reason: str,
    principal: Principal,
    now: datetime,
    rules: RentSettings,
) -> Asked:
    """Ask for a take-over; the same file again is nothing new.

    Raises:
        BookUnknownError: no estate's book.
        NotAllowedError: the principal is not of the estate's finance staff.
        TakeOverDoneError, EstateInUseError: it was taken over from another file, or is charged here already.
        TakeOverMonthError
        TakeOverFaultsError: anything is wrong; the file is refused whole.
        NoRightError, ReasonMissingError: of the proposal.
    """
    estate_id = estate_of_book(connection, book_id)
    check_role(principal, "closing.take_over", estate_id, "finance")
    digest = sha256(body).hexdigest()
    known = _known(connection, estate_id, month, digest)
    if known is not None:
        return Asked(known, is_new=False)
    _check_first(connection, estate_id)
    trial = try_out(connection, estate_id, month, body, now, rules)
    if trial.faults:
        raise TakeOverFaultsError(trial.faults)
    _keep_file(connection, estate_id, month, name_zh, body, principal, now)
    figures = trial.plan.figures
    total = figures["arrears_fen"]
    asked = approvals.propose(
        connection,
        KIND,
        estate_id,
        _subject(estate_id, month, digest),
        f"期初接管：{month:%Y年%m月} 起由本系统计租，欠费 {total // 100:,}.{total % 100:02d} 元",
        {
            "month": f"{month:%Y-%m}",
            "file": name_zh[:NAME_MAX],
            "sha256": digest,
            "due_day": rules.due_day,
            **figures,
        },
        reason,
        principal,
        now,
    )
    return Asked(asked, is_new=True)


def post_agreed(connection: Connection, proposal_id: UUID, principal: Principal, now: datetime) -> Plan:
    """Post what two people agreed on, once, in the caller's transaction.

    Raises:
        ApprovalMissingError, ApprovalUsedError, ProposalUnknownError
        TakeOverDoneError, EstateInUseError: something else came first.
        TakeOverFaultsError, TakeOverChangedError: what the file says does not fit the estate any more.
        PeriodLockedError: the month is closed.
    """
    agreed = approvals.use(connection, proposal_id, KIND, now)
    estate_id, month = str(agreed.estate_id), read_month(agreed.payload["month"])
    file = _file(connection, estate_id, month, bytes.fromhex(agreed.payload["sha256"]))
    homes = _homes(connection, estate_id)
    lock_accounts(connection, sorted({one.household_id for mine in homes.values() for one in mine}))
    _check_first(connection, estate_id)
    plan, faults = plan_of(read_old_books(bytes(file.body)), homes, month, int(agreed.payload["due_day"]))
    if faults:
        raise TakeOverFaultsError(faults)
    if any(agreed.payload.get(word) != figure for word, figure in plan.figures.items()):
        raise TakeOverChangedError
    taken = connection.execute(
        upsert(take_over)
        .values(
            estate_id=estate_id, file_id=file.file_id, month=month, proposal_id=proposal_id, posted_at=now
        )
        .on_conflict_do_nothing(index_elements=[take_over.c.estate_id])
        .returning(take_over.c.file_id)
    ).one_or_none()
    if taken is None:
        raise TakeOverDoneError(estate_id)
    book_id = books.book_of(connection, estate_id, now)
    occasion = Occasion(book_id, now, month, principal.actor, principal.principal_id)
    _Posting(connection, estate_id, file.file_id, occasion, plan).post()
    return plan


class _Posting:
    """Writes a plan: charges, payments and entries."""

    def __init__(
        self, connection: Connection, estate_id: str, file_id: UUID, occasion: Occasion, plan: Plan
    ) -> None:
        self._connection, self._estate_id, self._file_id = connection, estate_id, file_id
        self._occasion, self._plan = occasion, plan
        self._chart = books.chart_of(connection, occasion.now)

    def post(self) -> None:
        """Everything; nothing is posted where nothing is owed."""
        self._arrears()
        paid = [*self._prepaid(), *self._deposits()]
        money = opening_balance_entry(
            self._chart,
            self._occasion,
            f"{self._file_id}:0",
            "期初余额：资金和待缴待付款",
            Dimensions(self._estate_id),
            self._plan.money,
        )
        entries = [entry for entry, _ in paid]
        posted = service.post(self._connection, [*entries, *([money] if money.lines else [])])
        keep_paid_before(
            self._connection,
            self._estate_id,
            [
                PaidBefore(one.household_id, one.ref, entry.entry_id, one.amount_fen, one.deposit_charge_id)
                for (_, one), entry in zip(paid, posted, strict=False)
            ],
            start_of_day(self._occasion.on),
            self._occasion.now,
        )

    def _arrears(self) -> None:
        def entries(chart: Chart, made: Sequence[NewCharge]) -> list[NewEntry]:
            return [
                opening_arrears_entry(
                    chart,
                    self._occasion,
                    charge.tenancy_id,
                    charge.month,
                    Dimensions(self._estate_id, charge.unit_id, charge.household_id),
                    [(line.kind, line.amount_fen) for line in charge.lines],
                )
                for charge in made
            ]

        charges = [_arrear_charge(one) for one in self._plan.arrears]
        make_charges(self._connection, self._estate_id, charges, self._occasion, entries)

    def _prepaid(self) -> list[tuple[NewEntry, PaidBefore]]:
        found = []
        for household_id, fen in self._plan.prepaid:
            about = Dimensions(self._estate_id, None, household_id, TAKEN_OVER)
            found.append(self._paid(f"prepaid:{household_id}", "期初预收租金", about, {"prepaid": fen}, None))
        return found

    def _deposits(self) -> list[tuple[NewEntry, PaidBefore]]:
        charges = [_deposit_charge(home, fen, self._plan.month) for home, fen in self._plan.deposits]
        # What was asked for and paid stands in no receivable any more: only the deposit itself is posted.
        make_charges(self._connection, self._estate_id, charges, self._occasion, lambda _chart, _made: [])
        return [
            self._paid(
                f"deposit:{charge.tenancy_id}",
                "期初押金",
                Dimensions(self._estate_id, charge.unit_id, charge.household_id, TAKEN_OVER),
                {"deposit": charge.amount_fen},
                charge.charge_id,
            )
            for charge in charges
        ]

    def _paid(
        self,
        what: str,
        summary_zh: str,
        about: Dimensions,
        amounts: dict[str, int],
        deposit_charge_id: UUID | None,
    ) -> tuple[NewEntry, PaidBefore]:
        ref = f"{self._file_id}:{what}"
        entry = opening_balance_entry(self._chart, self._occasion, ref, summary_zh, about, amounts)
        household_id = about.household_id
        assert household_id is not None  # noqa: S101 (both callers name one)
        return entry, PaidBefore(household_id, ref, 0, sum(amounts.values()), deposit_charge_id)


def _arrear_charge(one: Arrear) -> NewCharge:
    lines = tuple(
        ChargeLine(item, one.month, next_month(one.month), fen, 0, f"期初欠费：{_word(item)}")
        for item, fen in one.items
    )
    return _charge(one.home, one.month, ARREARS_REVISION, one.due_on, lines)


def _deposit_charge(home: HomeFact, fen: int, month: date) -> NewCharge:
    # In the month before, so that it does not stand in the place of a charge of the first month.
    before = (month - timedelta(days=1)).replace(day=1)
    lines = (ChargeLine(LineKind.DEPOSIT, before, month, fen, 0, "期初押金（已收）"),)
    return _charge(home, before, DEPOSIT_REVISION, before, lines)


def _charge(
    home: HomeFact, month: date, revision: int, due_on: date, lines: tuple[ChargeLine, ...]
) -> NewCharge:
    return NewCharge(
        uuid4(), home.household_id, home.tenancy_id, home.unit_id, month, revision, due_on, lines
    )


def _word(item: LineKind) -> str:
    return next(word for word, kind in ITEMS.items() if kind is item)


def taken_over(connection: Connection, estate_id: str) -> Row[Any] | None:
    """The estate's take-over; None while there was none."""
    return connection.execute(select(take_over).where(take_over.c.estate_id == estate_id)).one_or_none()


def estate_of_book(connection: Connection, book_id: str) -> str:
    """The estate of a book that can be taken over; the city's cannot.

    Raises:
        BookUnknownError
    """
    estate_id = estate_of(connection, book_id)
    if estate_id is None:
        raise BookUnknownError(book_id)
    return estate_id


def _check_first(connection: Connection, estate_id: str) -> None:
    if taken_over(connection, estate_id) is not None:
        raise TakeOverDoneError(estate_id)
    used = select(
        exists().where(rent_charge.c.estate_id == estate_id)
        | exists().where(payment.c.estate_id == estate_id)
    )
    if connection.execute(used).scalar_one():
        raise EstateInUseError(estate_id)


def _subject(estate_id: str, month: date, digest: str) -> str:
    return f"take_over:{estate_id}:{month:%Y-%m}:{digest}"


def _known(connection: Connection, estate_id: str, month: date, digest: str) -> Proposal | None:
    """What became of the same file before, unless it was turned down."""
    for one in approvals.about(connection, _subject(estate_id, month, digest)):
        if one.state in ("open", "approved", "used"):
            return one
    return None


def _keep_file(
    connection: Connection,
    estate_id: str,
    month: date,
    name_zh: str,
    body: bytes,
    principal: Principal,
    now: datetime,
) -> None:
    connection.execute(
        upsert(take_over_file)
        .values(
            file_id=uuid4(),
            estate_id=estate_id,
            month=month,
            name_zh=name_zh[:NAME_MAX] or "file",
            sha256=sha256(body).digest(),
            body=body,
            principal_id=principal.principal_id,
            kept_at=now,
        )
        .on_conflict_do_nothing(index_elements=["estate_id", "month", "sha256"])
    )


def _file(connection: Connection, estate_id: str, month: date, digest: bytes) -> Row[Any]:
    return connection.execute(
        select(take_over_file).where(
            take_over_file.c.estate_id == estate_id,
            take_over_file.c.month == month,
            take_over_file.c.sha256 == digest,
        )
    ).one()


def _homes(connection: Connection, estate_id: str) -> dict[str, list[HomeFact]]:
    tenancy, unit, household = registry.tenancy, registry.unit, registry.household
    building = registry.building
    rows = connection.execute(
        select(tenancy, unit.c.building_id, unit.c.number, building.c.name_zh, household.c.ref)
        .join(unit, unit.c.unit_id == tenancy.c.unit_id)
        .join(
            building,
            (building.c.estate_id == unit.c.estate_id) & (building.c.building_id == unit.c.building_id),
        )
        .join(household, household.c.household_id == tenancy.c.household_id)
        .where(unit.c.estate_id == estate_id)
        .order_by(tenancy.c.from_on, tenancy.c.tenancy_id)
    )
    found: dict[str, list[HomeFact]] = {}
    for row in rows:
        names = {row.number, f"{row.building_id}{row.number}", f"{row.name_zh}{row.number}"}
        found.setdefault(row.ref, []).append(
            HomeFact(
                row.household_id,
                row.tenancy_id,
                row.unit_id,
                frozenset(map(unit_name, names)),
                row.from_on,
                row.to_on,
            )
        )
    return found
