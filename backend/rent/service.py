"""The use cases of rent: terms, the monthly run, a household's account."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, or_, select
from sqlalchemy.dialects.postgresql import insert

from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry import tables as registry
from backend.rent.errors import HouseholdUnknownError, TenancyUnknownError, TermExistsError
from backend.rent.monthly import RunResult, run_month
from backend.rent.receipts import NewPayment, PaymentTaken, take_payment, take_payments
from backend.rent.rules import Term, read_month
from backend.rent.statement import LineView, PaymentView, Statement, UnpaidCharge, read_statement
from backend.rent.tables import rent_term

__all__ = [
    "LineView",
    "NewPayment",
    "PaymentTaken",
    "PaymentView",
    "RunResult",
    "Statement",
    "UnpaidCharge",
    "add_term",
    "household_of",
    "household_statement",
    "read_month",
    "run_month",
    "take_payment",
    "take_payments",
]


def household_of(connection: Connection, person_id: UUID, on: date) -> UUID | None:
    """The household in which the person lives on that day; the latest one, should there be several."""
    member = registry.household_member
    return connection.execute(
        select(member.c.household_id)
        .where(
            member.c.person_id == person_id,
            member.c.from_on <= on,
            or_(member.c.to_on.is_(None), member.c.to_on > on),
        )
        .order_by(member.c.from_on.desc(), member.c.household_id)
        .limit(1)
    ).scalar_one_or_none()


def household_statement(connection: Connection, household_id: UUID) -> Statement:
    """What the household owes and why, oldest first, what it paid in advance, and its latest payments.

    Raises:
        HouseholdUnknownError
    """
    known = select(registry.household.c.household_id).where(registry.household.c.household_id == household_id)
    if connection.execute(known).scalar_one_or_none() is None:
        raise HouseholdUnknownError
    return read_statement(connection, household_id)


def add_term(
    connection: Connection, tenancy_id: UUID, term: Term, principal: Principal, now: datetime
) -> UUID:
    """Change a tenancy's terms from a day on; charges that were made stay as they are.

    Raises:
        TenancyUnknownError: no such tenancy.
        NotAllowedError: the principal is not of the estate's finance staff.
        TermExistsError: a term of that kind begins on that day already.
    """
    estate_id = connection.execute(
        select(registry.unit.c.estate_id)
        .join(registry.tenancy, registry.tenancy.c.unit_id == registry.unit.c.unit_id)
        .where(registry.tenancy.c.tenancy_id == tenancy_id)
    ).scalar_one_or_none()
    if estate_id is None:
        raise TenancyUnknownError
    check_role(principal, "rent.add_term", estate_id, "finance")
    term_id: UUID | None = connection.execute(
        insert(rent_term)
        .values(
            term_id=uuid4(),
            tenancy_id=tenancy_id,
            kind=term.kind.value,
            from_on=term.from_on,
            to_on=term.to_on,
            monthly_fen=term.monthly_fen,
            share_permille=term.share_permille,
            label_zh=term.label_zh,
            principal_id=principal.principal_id,
            created_at=now,
        )
        .on_conflict_do_nothing(constraint="rent_term_tenancy_id_kind_from_on_key")
        .returning(rent_term.c.term_id)
    ).scalar_one_or_none()
    if term_id is None:
        raise TermExistsError(term.kind, term.from_on.isoformat())
    return term_id
