"""The use cases of rent: terms, the monthly run, a household's account."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, or_, select
from sqlalchemy.dialects.postgresql import insert

from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry import tables as registry
from backend.rent.corrections import charge_once, end_term, reassess
from backend.rent.errors import (
    DatesReversedError,
    HouseholdUnknownError,
    PriceError,
    TenancyUnknownError,
    TermExistsError,
    TermPriceError,
)
from backend.rent.monthly import RunResult, run_month
from backend.rent.pricing import Agreed
from backend.rent.receipts import NewPayment, PaymentTaken, take_payment, take_payments
from backend.rent.rules import TermKind, read_month
from backend.rent.statement import LineView, PaymentView, Statement, UnpaidCharge, read_statement
from backend.rent.tables import rent_term
from backend.rent.tenancies import tenancy_of

__all__ = [
    "Agreed",
    "LineView",
    "NewPayment",
    "PaymentTaken",
    "PaymentView",
    "RunResult",
    "Statement",
    "UnpaidCharge",
    "add_term",
    "charge_once",
    "end_term",
    "household_of",
    "household_statement",
    "read_month",
    "reassess",
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
    connection: Connection, tenancy_id: UUID, given: Agreed, principal: Principal, now: datetime
) -> UUID:
    """Change a tenancy's terms from a day on.

    Charges that were made stay as they are; where the term begins before them, `reassess` charges the
    difference.

    Raises:
        TenancyUnknownError: no such tenancy.
        NotAllowedError: the principal is not of the estate's finance staff.
        DatesReversedError, TermPriceError, PriceError: it is no term.
        TermExistsError: a term of that kind begins on that day already.
    """
    found = tenancy_of(connection, tenancy_id)
    if found is None:
        raise TenancyUnknownError
    check_role(principal, "rent.add_term", found[0], "finance")
    _check_term(given)
    term_id: UUID | None = connection.execute(
        insert(rent_term)
        .values(
            term_id=uuid4(),
            tenancy_id=tenancy_id,
            kind=given.kind.value,
            from_on=given.from_on,
            to_on=given.to_on,
            monthly_fen=given.monthly_fen,
            share_permille=given.share_permille,
            plan_id=given.plan_id,
            tier_id=given.tier_id,
            label_zh=given.label_zh,
            principal_id=principal.principal_id,
            created_at=now,
        )
        .on_conflict_do_nothing(constraint="rent_term_tenancy_id_kind_from_on_key")
        .returning(rent_term.c.term_id)
    ).scalar_one_or_none()
    if term_id is None:
        raise TermExistsError(given.kind, given.from_on.isoformat())
    return term_id


def _check_term(given: Agreed) -> None:
    prices = (given.monthly_fen, given.share_permille, given.plan_id, given.tier_id)
    relief = given.kind is TermKind.RELIEF
    by_area = given.kind in {TermKind.RENT, TermKind.PROPERTY_FEE}
    if sum(price is not None for price in prices) != 1:
        raise TermPriceError
    if (given.share_permille is not None or given.tier_id is not None) and not relief:
        raise TermPriceError
    if given.plan_id is not None and not by_area:
        raise TermPriceError
    if given.to_on is not None and given.to_on <= given.from_on:
        raise DatesReversedError(given.from_on, given.to_on)
    if given.monthly_fen is not None and given.monthly_fen < 0:
        raise PriceError("金额", "amount", given.monthly_fen)
    if given.share_permille is not None and not 1 <= given.share_permille <= 1000:
        raise PriceError("比例", "share", given.share_permille)
