"""What was charged before, put right: by lines that are added, never by lines that are changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, select, update

from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.ledger import books
from backend.ledger.vouchers import Occasion
from backend.registry.rules import local_day
from backend.rent import vouchers
from backend.rent.allocation import DUE_OF
from backend.rent.assessment import Tenancy, assess, differences
from backend.rent.charging import NewCharge, make_charges, next_revision
from backend.rent.errors import (
    AmountNotPositiveError,
    DatesReversedError,
    OnceKindError,
    TenancyUnknownError,
    TermUnknownError,
)
from backend.rent.receipts import lock_accounts, use_prepaid
from backend.rent.rules import ChargeLine, LineKind, carried_out_fen
from backend.rent.settings import RentSettings
from backend.rent.tables import rent_charge, rent_term
from backend.rent.tenancies import carried_of, lines_charged, read_facts, read_prices, tenancy_of

ACTOR = "租金更正"
# What is asked for once; everything else follows from terms and readings.
ONCE = frozenset({LineKind.DEPOSIT, LineKind.DAMAGE})


def reassess(
    connection: Connection,
    tenancy_id: UUID,
    from_month: date,
    principal: Principal | None,
    now: datetime,
    rules: RentSettings,
) -> list[NewCharge]:
    """Compute the months that were charged again, from `from_month` on, and charge the differences.

    Each month depends on the one before, by what subsidies carried, so they are computed in order; the
    result depends only on what stands in the tables now, and not on earlier corrections. Late fees and what
    was asked for once stay as they are.

    Args:
        principal: who corrects; None for the software, where something it relies on was changed.
    Returns:
        The corrections made, oldest first; none where nothing differs.
    Raises:
        TenancyUnknownError, NotAllowedError
        TariffMissingError, AreaUnknownError: something has no price; nothing is corrected then.
    """
    estate_id, tenancy = _tenancy(connection, tenancy_id)
    if principal is not None:
        check_role(principal, "rent.reassess", estate_id, "finance")
    lock_accounts(connection, [tenancy.household_id])
    charges = _corrections(connection, tenancy, from_month.replace(day=1), now, rules)
    return _make(connection, estate_id, tenancy, charges, principal, now)


def charge_once(
    connection: Connection,
    tenancy_id: UUID,
    kind: LineKind,
    amount_fen: int,
    label_zh: str,
    principal: Principal | None,
    now: datetime,
    rules: RentSettings,
    *,
    charge_id: UUID | None = None,
    due_on: date | None = None,
) -> UUID:
    """Ask for something once: a deposit, damage found at hand-over, a lost key.

    Args:
        charge_id: the caller's; asked for again with the same, it is charged once.
    Raises:
        TenancyUnknownError, NotAllowedError, AmountNotPositiveError, OnceKindError
    """
    if kind not in ONCE:
        raise OnceKindError(kind)
    if amount_fen <= 0:
        raise AmountNotPositiveError(amount_fen)
    estate_id, tenancy = _tenancy(connection, tenancy_id)
    if principal is not None:
        check_role(principal, "rent.charge_once", estate_id, "finance")
    lock_accounts(connection, [tenancy.household_id])
    charge_id = charge_id or uuid4()
    known = select(rent_charge.c.charge_id).where(rent_charge.c.charge_id == charge_id)
    if connection.execute(known).scalar_one_or_none() is not None:
        return charge_id
    today = local_day(now)
    line = ChargeLine(kind, today, today + timedelta(days=1), amount_fen, 0, label_zh)
    month = today.replace(day=1)
    charge = NewCharge(
        charge_id,
        tenancy.household_id,
        tenancy_id,
        tenancy.unit_id,
        month,
        next_revision(connection, tenancy_id, month),
        due_on or today + timedelta(days=rules.due_days),
        (line,),
    )
    _make(connection, estate_id, tenancy, [charge], principal, now, f"应收{label_zh}")
    return charge_id


def end_term(
    connection: Connection,
    term_id: UUID,
    to_on: date,
    principal: Principal,
    now: datetime,
    rules: RentSettings,
) -> list[NewCharge]:
    """End a term, also in the past: what it gave for the days behind its end is charged back.

    Raises:
        TermUnknownError, NotAllowedError
        DatesReversedError: it would end before it began.
    """
    row = connection.execute(
        select(rent_term).where(rent_term.c.term_id == term_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise TermUnknownError
    estate_id, _ = _tenancy(connection, row.tenancy_id)
    check_role(principal, "rent.end_term", estate_id, "finance")
    if to_on < row.from_on:
        raise DatesReversedError(row.from_on, to_on)
    connection.execute(
        update(rent_term)
        .where(rent_term.c.term_id == term_id)
        .values(to_on=to_on, ended_by=principal.principal_id)
    )
    return reassess(connection, row.tenancy_id, to_on, principal, now, rules)


def _corrections(
    connection: Connection, tenancy: Tenancy, from_month: date, now: datetime, rules: RentSettings
) -> list[NewCharge]:
    charged = lines_charged(connection, tenancy.tenancy_id, from_month)
    facts = read_facts(connection, [tenancy], read_prices(connection), None)
    carried = carried_of(connection, [tenancy.tenancy_id], from_month).get(tenancy.tenancy_id, 0)
    due_on = local_day(now) + timedelta(days=rules.due_days)
    found: list[NewCharge] = []
    for month, lines in charged.items():
        target = assess(tenancy, month, facts, carried)
        carried = carried_out_fen(target)
        revision = next_revision(connection, tenancy.tenancy_id, month)
        for part in _up_and_down(differences(target, [line for _, line in lines], month)):
            found.append(
                NewCharge(
                    uuid4(),
                    tenancy.household_id,
                    tenancy.tenancy_id,
                    tenancy.unit_id,
                    month,
                    revision,
                    due_on,
                    part,
                )
            )
            revision += 1
    return found


def _up_and_down(lines: Sequence[ChargeLine]) -> list[tuple[ChargeLine, ...]]:
    """Dues that grow and dues that shrink as two charges: one is paid, the other takes off."""
    by_due: dict[str, list[ChargeLine]] = {}
    for line in lines:
        by_due.setdefault(DUE_OF[line.kind], []).append(line)
    up: list[ChargeLine] = []
    down: list[ChargeLine] = []
    for mine in by_due.values():
        (up if sum(line.amount_fen for line in mine) >= 0 else down).extend(mine)
    return [tuple(part) for part in (up, down) if part]


def _make(
    connection: Connection,
    estate_id: str,
    tenancy: Tenancy,
    charges: Sequence[NewCharge],
    principal: Principal | None,
    now: datetime,
    summary_zh: str | None = None,
) -> list[NewCharge]:
    principal_id = principal.principal_id if principal is not None else None
    book_id = books.book_of(connection, estate_id, now)
    occasion = Occasion(book_id, now, local_day(now), ACTOR, principal_id)
    made: list[NewCharge] = []
    for charge in charges:
        words = summary_zh or vouchers.correction_summary(charge.month)
        made += make_charges(connection, estate_id, [charge], occasion, words)
    if made:
        use_prepaid(connection, [tenancy.household_id], actor=ACTOR, principal_id=principal_id, now=now)
    return made


def _tenancy(connection: Connection, tenancy_id: UUID) -> tuple[str, Tenancy]:
    found = tenancy_of(connection, tenancy_id)
    if found is None:
        raise TenancyUnknownError
    return found
