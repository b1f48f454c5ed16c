"""The counter: a cashier finds a household, takes cash or a transfer, or shows a code to scan."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, Row, or_, select

from backend.api.errors import status_of
from backend.db.arrays import among
from backend.errors import ExplainedError
from backend.identity.principal import Principal, Role
from backend.identity.service import check_role
from backend.identity.web import required_principal, requires
from backend.payments.checkouts import CheckoutView, Wanted, checkout_state, estate_of, open_checkout
from backend.payments.counter import take_at_counter
from backend.payments.counter_adapter import CounterProvider
from backend.payments.errors import SlipUnknownError
from backend.payments.port import Method
from backend.payments.providers import current_providers
from backend.registry import tables as registry
from backend.rent.recoveries import given_up
from backend.rent.service import household_statement
from backend.services import services
from backend.web import words
from backend.web.amounts import AmountError, read_yuan
from backend.web.estates import estates_of
from backend.web.looking import look_at_account
from backend.web.payment_view import payment_page
from backend.web.qr import code_url
from backend.web.rent_view import charges_of

ROLES: tuple[Role, ...] = ("finance",)
FOUND_MAX = 30

blueprint = Blueprint("counter", __name__, url_prefix="/counter")


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """Find a household by its unit's number or its reference."""
    who, asked = required_principal(), request.args.get("find", "").strip()[:40]
    with services().engine.connect() as connection:
        found = _find(connection, who, asked) if asked else []
    return render_template("counter.html", asked=asked, found=found)


@blueprint.get("/<uuid:household_id>")
@requires(*ROLES)
def household(household_id: UUID) -> ResponseReturnValue:
    """What it owes, and the forms to take money; the look is recorded."""
    return _household(household_id, None)


@blueprint.post("/<uuid:household_id>/taken")
@requires(*ROLES)
def taken(household_id: UUID) -> ResponseReturnValue:
    """Book cash or a transfer; the same number again is the same payment."""
    who, now, parts, sent = required_principal(), datetime.now(UTC), services(), request.form
    rules = parts.settings.payment_rules
    try:
        with parts.engine.connect() as connection:
            owed_fen = household_statement(connection, household_id).total_owed_fen
        method = Method.BANK_TRANSFER if sent.get("method") == "bank_transfer" else Method.CASH
        provider = current_providers().for_method(method, "")
        if not isinstance(provider, CounterProvider):
            raise SlipUnknownError
        receipt = take_at_counter(
            parts.engine,
            provider,
            household_id,
            read_yuan(sent.get("yuan", ""), owed_fen + rules.prepay_limit_fen),
            sent.get("slip", ""),
            _moment(sent.get("day", ""), now),
            who,
            now,
            rules=rules,
        )
    except (AmountError, ExplainedError) as refused:
        return _household(household_id, refused), status_of(refused)
    flash(f"已入账，收据号 {receipt.receipt_number}。 Booked, receipt {receipt.receipt_number}.", "ok")
    return redirect(url_for("counter.household", household_id=household_id), 303)


@blueprint.post("/<uuid:household_id>/code")
@requires(*ROLES)
def code(household_id: UUID) -> ResponseReturnValue:
    """Open a checkout whose code the payer scans at the counter."""
    who, now, parts, sent = required_principal(), datetime.now(UTC), services(), request.form
    rules = parts.settings.payment_rules
    try:
        with parts.engine.connect() as connection:
            estate_id = estate_of(connection, household_id)
            check_role(who, "counter.code", estate_id, *ROLES)
            owed_fen = household_statement(connection, household_id).total_owed_fen
        method = Method.ALIPAY if sent.get("method") == "alipay" else Method.WECHAT_PAY
        started = open_checkout(
            parts.engine,
            current_providers().for_method(method, estate_id),
            Wanted(household_id, read_yuan(sent.get("yuan", ""), owed_fen + rules.prepay_limit_fen), method),
            who.principal_id,
            parts.settings.serve.public_url.rstrip("/") + "/counter/codes/{checkout_id}",
            now,
            rules=rules,
        )
    except (AmountError, ExplainedError) as refused:
        return _household(household_id, refused), status_of(refused)
    return redirect(url_for("counter.shown", checkout_id=started.checkout_id), 303)


@blueprint.get("/codes/<uuid:checkout_id>")
@requires(*ROLES)
def shown(checkout_id: UUID) -> str:
    """The code, until it is paid; it asks only our own books."""
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        view: CheckoutView = checkout_state(connection, checkout_id, who, now)
    paid = payment_page(view, None)
    scanned = code_url(view.url) if view.url and view.state == "open" else None
    return render_template("counter_code.html", paid=paid, code=scanned, household_id=view.household_id)


def _household(household_id: UUID, refused: ExplainedError | None) -> str:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.begin() as connection:
        estate_id = look_at_account(connection, household_id, who, "counter.household", ROLES, "counter", now)
        statement = household_statement(connection, household_id)
        written_off = given_up(connection, households=[household_id])
        home = _homes(connection, registry.tenancy.c.household_id == household_id)
    return render_template(
        "counter_household.html",
        household_id=household_id,
        statement=statement,
        charges=charges_of(statement, words.today(now)),
        written_off_fen=sum(one.left_fen for one in written_off),
        home=home[0] if home else None,
        today=words.today(now),
        sent=request.form,
        refused=refused,
        online=current_providers().online(estate_id),
    )


def _find(connection: Connection, who: Principal, asked: str) -> list[Row[tuple[object, ...]]]:
    mine = [one.estate_id for one in estates_of(connection, who, ROLES)]
    return _homes(
        connection,
        among(registry.unit.c.estate_id, mine)
        & or_(registry.unit.c.number == asked, registry.household.c.ref == asked),
    )


def _homes(connection: Connection, where: object) -> list[Row[tuple[object, ...]]]:
    rows = connection.execute(
        select(
            registry.household.c.household_id,
            registry.household.c.ref,
            registry.estate.c.name_zh.label("estate_zh"),
            registry.building.c.name_zh.label("building_zh"),
            registry.unit.c.number,
        )
        .select_from(registry.tenancy)
        .join(registry.household, registry.household.c.household_id == registry.tenancy.c.household_id)
        .join(registry.unit, registry.unit.c.unit_id == registry.tenancy.c.unit_id)
        .join(
            registry.building,
            (registry.building.c.estate_id == registry.unit.c.estate_id)
            & (registry.building.c.building_id == registry.unit.c.building_id),
        )
        .join(registry.estate, registry.estate.c.estate_id == registry.unit.c.estate_id)
        .where(where)  # type: ignore[arg-type]
        .order_by(registry.tenancy.c.from_on.desc())
        .limit(FOUND_MAX)
    )
    return list(rows)  # type: ignore[arg-type]


def _moment(day: str, now: datetime) -> datetime:
    """Noon of the day that was typed, or now where it is today or nothing was.

    Raises:
        SlipUnknownError: no day.
    """
    if not day or day == words.today(now).isoformat():
        return now
    try:
        return datetime.fromisoformat(f"{day}T12:00:00+08:00").astimezone(UTC)
    except ValueError:
        raise SlipUnknownError from None
