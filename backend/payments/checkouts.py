"""Starting a checkout, and asking where it stands."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Row, case, select, update
from sqlalchemy.dialects.postgresql import insert

from backend.identity.principal import Principal
from backend.payments.errors import (
    AmountOutOfRangeError,
    CheckoutClosedError,
    CheckoutUnknownError,
    ForeignHouseholdError,
    OnlineClosedError,
)
from backend.payments.port import (
    ONLINE,
    CheckoutOrder,
    CheckoutState,
    Method,
    Provider,
    ProviderCheckout,
    ProviderRefusedError,
    Shown,
)
from backend.payments.settings import PaymentRules
from backend.payments.tables import checkout, pay_link
from backend.payments.windows import closure_at
from backend.registry.rules import local_day
from backend.registry.tables import household
from backend.rent.errors import HouseholdUnknownError
from backend.rent.service import household_of, household_statement
from backend.rent.tables import payment

DEFAULTS = PaymentRules()
# When the sweeper first looks: a checkout without an answer, and an open one without a notice.
ASK_AGAIN_AFTER = timedelta(seconds=30)
FIRST_CHECK_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class CheckoutStarted:
    """Where the payer goes now, or what is shown to be scanned; empty at the counter."""

    checkout_id: UUID
    url: str
    shown: Shown = Shown.PAGE


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a payer asks for.

    Attributes:
        charge_ids: what is to be paid first; empty for the oldest first.
        keep_card: later charges are to be taken from the same card.
        autopay_id, link_id: where the wish comes from, if not from the household itself.
    """

    household_id: UUID
    amount_fen: int
    method: Method
    charge_ids: tuple[UUID, ...] = ()
    keep_card: bool = False
    autopay_id: UUID | None = None
    link_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class CheckoutView:
    """Where a checkout stands; the receipt's number once it is paid."""

    checkout_id: UUID
    household_id: UUID
    state: CheckoutState
    method: Method
    amount_fen: int
    url: str | None
    receipt_number: str | None
    shown: Shown = Shown.PAGE


def start_checkout(
    engine: Engine,
    provider: Provider,
    household_id: UUID,
    amount_fen: int,
    method: Method,
    principal: Principal,
    return_url: str,
    now: datetime,
    *,
    attempt_id: UUID | None = None,
    rules: PaymentRules = DEFAULTS,
    charge_ids: Sequence[UUID] = (),
) -> CheckoutStarted:
    """Ask the provider for a page on which this amount is paid for a household, by somebody logged in.

    The checkout and its idempotency key are committed before the provider hears of them. Whatever breaks
    afterwards, the same key is sent again: by the payer's second try with the same form, or by the sweeper.

    Args:
        return_url: where the payer comes back to; `{checkout_id}` in it becomes the checkout's id.
        attempt_id: the form's own random id and then the checkout's; the same one again is the same
            checkout. None for a new one.
        charge_ids: what is to be paid first; empty for the oldest first.
    Raises:
        HouseholdUnknownError, ForeignHouseholdError: not a household that the principal may pay for.
        AmountOutOfRangeError: nothing, or more than is owed and may be paid in advance.
        OnlineClosedError: the estate takes nothing online now.
        CheckoutClosedError: that attempt has ended, or was about something else.
        ProviderUnavailableError, ProviderRefusedError
    """
    with engine.connect() as connection:
        check_payer(connection, household_id, principal, "payments.start_checkout", now)
    wanted = Wanted(household_id, amount_fen, Method(method), tuple(charge_ids))
    return open_checkout(
        engine, provider, wanted, principal.principal_id, return_url, now, attempt_id=attempt_id, rules=rules
    )


def open_checkout(
    engine: Engine,
    provider: Provider,
    wanted: Wanted,
    principal_id: UUID,
    return_url: str,
    now: datetime,
    *,
    attempt_id: UUID | None = None,
    rules: PaymentRules = DEFAULTS,
) -> CheckoutStarted:
    """The same for a payer whose right was looked at; `principal_id` is who is answerable for it."""
    with engine.begin() as connection:
        estate_id = estate_of(connection, wanted.household_id)
        checkout_id = attempt_id or uuid4()
        known = connection.execute(
            select(checkout.c.checkout_id).where(checkout.c.checkout_id == checkout_id)
        ).scalar_one_or_none()
        if known is None:
            _check_open(estate_id, wanted.method, rules, now)
            _check_amount(connection, wanted.household_id, wanted.amount_fen, rules)
        write_down(
            connection,
            provider.name,
            wanted,
            principal_id,
            return_url,
            now,
            checkout_id,
            rules,
            now + ASK_AGAIN_AFTER,
        )
        row = connection.execute(select(checkout).where(checkout.c.checkout_id == checkout_id)).one()
    same = (wanted.household_id, principal_id, wanted.method.value, wanted.amount_fen)
    if (row.household_id, row.principal_id, row.method, row.amount_fen) != same:
        raise CheckoutClosedError(row.state)
    if row.state == CheckoutState.OPEN and row.url is not None:
        return CheckoutStarted(checkout_id, row.url, Shown(row.shown))
    if row.state != CheckoutState.ASKED:
        raise CheckoutClosedError(row.state)
    opened = ask_provider(engine, provider, row, now)
    return CheckoutStarted(checkout_id, opened.url, opened.shown)


def write_down(
    connection: Connection,
    provider: str,
    wanted: Wanted,
    principal_id: UUID,
    return_url: str,
    now: datetime,
    checkout_id: UUID,
    rules: PaymentRules,
    next_check_at: datetime | None,
) -> None:
    """A checkout and its idempotency key, before the provider hears of them; the same id again is nothing.

    Args:
        next_check_at: when the sweeper asks the provider; None where somebody else does.
    """
    connection.execute(
        insert(checkout)
        .values(
            checkout_id=checkout_id,
            estate_id=estate_of(connection, wanted.household_id),
            household_id=wanted.household_id,
            principal_id=principal_id,
            provider=provider,
            method=wanted.method.value,
            amount_fen=wanted.amount_fen,
            charge_ids=list(wanted.charge_ids),
            link_id=wanted.link_id,
            autopay_id=wanted.autopay_id,
            keep_card=wanted.keep_card,
            return_url=return_url.replace("{checkout_id}", str(checkout_id)),
            idempotency_key=f"checkout-{checkout_id}",
            state=CheckoutState.ASKED.value,
            created_at=now,
            expires_at=now + timedelta(minutes=rules.checkout_minutes),
            next_check_at=next_check_at,
            checks=0,
        )
        .on_conflict_do_nothing(index_elements=[checkout.c.checkout_id])
    )


def order_of(row: Row[tuple[object, ...]]) -> CheckoutOrder:
    """What the provider is told of a checkout; the same each time."""
    return CheckoutOrder(
        checkout_id=row.checkout_id,
        idempotency_key=row.idempotency_key,
        book_id=row.estate_id,
        amount_fen=row.amount_fen,
        method=Method(row.method),
        return_url=row.return_url,
        expires_at=row.expires_at,
        keep_card=row.keep_card,
    )


def ask_provider(
    engine: Engine, provider: Provider, row: Row[tuple[object, ...]], now: datetime
) -> ProviderCheckout:
    """Open a written-down checkout at the provider, for the first time or once more.

    Raises:
        ProviderUnavailableError: nothing is known yet; the sweeper asks again.
        ProviderRefusedError: the checkout is closed as failed.
    """
    mine = checkout.c.checkout_id == row.checkout_id
    try:
        opened = provider.start_checkout(order_of(row))
    except ProviderRefusedError as error:
        with engine.begin() as connection:
            connection.execute(
                update(checkout)
                .where(mine, checkout.c.state == CheckoutState.ASKED.value)
                .values(state=CheckoutState.FAILED.value, reason=error.reason, next_check_at=None)
            )
        raise
    with engine.begin() as connection:
        # A notice may have been faster: it has the last word on the state.
        still_asked = checkout.c.state == CheckoutState.ASKED.value
        connection.execute(
            update(checkout)
            .where(mine)
            .values(
                provider_ref=opened.provider_ref,
                url=opened.url,
                shown=opened.shown.value,
                state=case((still_asked, CheckoutState.OPEN.value), else_=checkout.c.state),
                next_check_at=case((still_asked, now + FIRST_CHECK_AFTER), else_=checkout.c.next_check_at),
            )
        )
    return opened


def checkout_state(
    connection: Connection, checkout_id: UUID, principal: Principal, now: datetime
) -> CheckoutView:
    """Where a checkout stands in our own books; the provider is not asked.

    Raises:
        CheckoutUnknownError: no such checkout.
        ForeignHouseholdError: another household's.
    """
    row = connection.execute(
        select(checkout, payment.c.receipt_number)
        .outerjoin(payment, payment.c.payment_id == checkout.c.payment_id)
        .where(checkout.c.checkout_id == checkout_id)
    ).one_or_none()
    if row is None:
        raise CheckoutUnknownError
    if row.principal_id != principal.principal_id:
        check_payer(connection, row.household_id, principal, "payments.checkout_state", now)
    return _view(row)


def checkout_of_link(connection: Connection, word: str, checkout_id: UUID) -> CheckoutView:
    """The same for whoever holds the link that it was made with.

    Raises:
        CheckoutUnknownError: no such checkout, or not of that link.
    """
    row = connection.execute(
        select(checkout, payment.c.receipt_number)
        .join(pay_link, pay_link.c.link_id == checkout.c.link_id)
        .outerjoin(payment, payment.c.payment_id == checkout.c.payment_id)
        .where(
            checkout.c.checkout_id == checkout_id,
            pay_link.c.token_hash == hashlib.sha256(word.encode()).digest(),
        )
    ).one_or_none()
    if row is None:
        raise CheckoutUnknownError
    return _view(row)


def _view(row: Row[tuple[object, ...]]) -> CheckoutView:
    return CheckoutView(
        checkout_id=row.checkout_id,
        household_id=row.household_id,
        state=CheckoutState(row.state),
        method=Method(row.method),
        amount_fen=row.amount_fen,
        url=row.url,
        receipt_number=row.receipt_number,
        shown=Shown(row.shown),
    )


def estate_of(connection: Connection, household_id: UUID) -> str:
    """The household's estate.

    Raises:
        HouseholdUnknownError
    """
    estate_id = connection.execute(
        select(household.c.estate_id).where(household.c.household_id == household_id)
    ).scalar_one_or_none()
    if estate_id is None:
        raise HouseholdUnknownError
    return str(estate_id)


def check_payer(
    connection: Connection, household_id: UUID, principal: Principal, action: str, now: datetime
) -> str:
    """The household's estate, if the principal belongs to the household or to its finance staff.

    Raises:
        HouseholdUnknownError, ForeignHouseholdError
    """
    estate_id = estate_of(connection, household_id)
    lives_there = (
        principal.person_id is not None
        and household_of(connection, principal.person_id, local_day(now)) == household_id
    )
    if not lives_there and not principal.may("finance", estate_id):
        raise ForeignHouseholdError(principal, action, str(household_id), estate_id)
    return estate_id


def _check_open(estate_id: str, method: Method, rules: PaymentRules, now: datetime) -> None:
    closure = closure_at(rules, estate_id, now) if method in ONLINE else None
    if closure is not None:
        raise OnlineClosedError(closure.reason, closure.opens_on)


def _check_amount(connection: Connection, household_id: UUID, amount_fen: int, rules: PaymentRules) -> None:
    limit_fen = household_statement(connection, household_id).total_owed_fen + rules.prepay_limit_fen
    if not 1 <= amount_fen <= limit_fen:
        raise AmountOutOfRangeError(amount_fen, limit_fen)
