"""Finance: one household's terms, what was charged by mistake, and what it is let off."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, Row, select
from werkzeug.exceptions import NotFound

from backend.api.errors import status_of
from backend.documents.cells import WrongCellError, day
from backend.errors import ExplainedError
from backend.identity.principal import Principal, Role
from backend.identity.web import required_principal, requires
from backend.registry import tables as registry
from backend.registry.homes import latest_home
from backend.rent.allocation import Due
from backend.rent.charging import NewCharge
from backend.rent.errors import ChargeUnknownError, TermPriceError, TermUnknownError
from backend.rent.let_off import propose_let_off
from backend.rent.pricing_tables import relief_tier, tariff
from backend.rent.rules import TermKind, read_month
from backend.rent.service import Agreed, add_term, end_term, reassess
from backend.rent.statement import open_charges
from backend.rent.tables import rent_charge, rent_term
from backend.services import services
from backend.web import words
from backend.web.amounts import AmountError, read_yuan
from backend.web.looking import look_at_account
from backend.web.tariffs import permille

ROLES: tuple[Role, ...] = ("finance",)
AMOUNT_FEN_MAX = 10**9
TERMS_ZH = {"rent": "租金", "relief": "减免", "subsidy": "补贴", "property_fee": "物业费"}
REFUSALS = (ExplainedError, WrongCellError)

blueprint = Blueprint("terms", __name__, url_prefix="/finance/homes")


@blueprint.get("/<uuid:household_id>")
@requires(*ROLES)
def home(household_id: UUID) -> str:
    """The terms of its tenancies, what is still open, and the forms; the look is recorded."""
    return _page(household_id)


@blueprint.post("/<uuid:household_id>")
@requires(*ROLES)
def change(household_id: UUID) -> ResponseReturnValue:
    """Add or end a term, or ask for a waiver."""
    act = ACTS.get(request.form.get("act", ""))
    if act is None:
        raise NotFound
    try:
        with services().engine.begin() as connection:
            said = act(connection, household_id, required_principal(), datetime.now(UTC))
    except REFUSALS as refused:
        return _page(household_id, refused), _status(refused)
    flash(said, "ok")
    return redirect(url_for("terms.home", household_id=household_id), 303)


@blueprint.post("/<uuid:household_id>/assessment")
@requires(*ROLES)
def assess_again(household_id: UUID) -> ResponseReturnValue:
    """Compute charged months again: shown first, and charged when it is sent once more."""
    for_good = request.form.get("step") == "charge"
    try:
        month = read_month(request.form.get("month", ""))
        with services().engine.connect() as connection, connection.begin() as everything:
            tenancy_id = _tenancy(connection, household_id)
            rules, who = services().settings.rent, required_principal()
            made = reassess(connection, tenancy_id, month, who, datetime.now(UTC), rules)
            if not for_good:
                everything.rollback()
    except REFUSALS as refused:
        return _page(household_id, refused), _status(refused)
    if not for_good:
        return _page(household_id, seen=made, month=month)
    flash(_charged_zh(made), "ok")
    return redirect(url_for("terms.home", household_id=household_id), 303)


def _add(connection: Connection, household_id: UUID, who: Principal, now: datetime) -> str:
    given = _agreed(request.form)
    add_term(connection, _tenancy(connection, household_id), given, who, now)
    return f"{given.label_zh}自 {given.from_on} 起生效。已计收的月份请在下面重新计算。 The term is kept."


def _end(connection: Connection, household_id: UUID, who: Principal, now: datetime) -> str:
    term_id, to_on = _uuid("term", TermUnknownError), day(request.form.get("to_on", ""))
    if term_id not in {row.term_id for row in _terms(connection, household_id)}:
        raise TermUnknownError
    made = end_term(connection, term_id, to_on, who, now, services().settings.rent)
    return f"已截止到 {to_on}。{_charged_zh(made)}"


def _waive(connection: Connection, household_id: UUID, who: Principal, now: datetime) -> str:
    charge_id, sent = _uuid("charge", ChargeUnknownError), request.form
    if sent.get("due") not in {one.value for one in Due} or not _is_of(connection, charge_id, household_id):
        raise ChargeUnknownError
    asked = propose_let_off(
        connection,
        "waiver",
        charge_id,
        Due(sent["due"]),
        read_yuan(sent.get("yuan", ""), AMOUNT_FEN_MAX),
        sent.get("reason", ""),
        who,
        now,
    )
    return f"{asked.summary_zh}：已申请，等另一人审批。 Proposed; another person has to approve it."


ACTS: Mapping[str, Callable[[Connection, UUID, Principal, datetime], str]] = {
    "add": _add,
    "end": _end,
    "waive": _waive,
}


def _agreed(sent: Mapping[str, str]) -> Agreed:
    """The form's term: exactly one price, of the way that was chosen."""
    try:
        kind = TermKind(sent.get("kind", ""))
    except ValueError:
        raise TermPriceError from None
    way, price = sent.get("way", ""), sent.get("price", "").strip()
    prices: dict[str, Any] = {}
    if way == "monthly":
        # Nothing a month is a term as well: it ends what an older one gave.
        prices["monthly_fen"] = 0 if price in {"0", "0.00"} else read_yuan(price, AMOUNT_FEN_MAX)
    elif way == "share":
        prices["share_permille"] = permille(price)
    elif way.startswith("plan:"):
        prices["plan_id"] = way.removeprefix("plan:")
    elif way.startswith("tier:"):
        prices["tier_id"] = way.removeprefix("tier:")
    to_on = day(sent["to_on"]) if sent.get("to_on") else None
    label_zh = sent.get("label_zh", "").strip()[:60] or TERMS_ZH[kind.value]
    return Agreed(kind, day(sent.get("from_on", "")), to_on, label_zh, **prices)


def _page(
    household_id: UUID,
    refused: ExplainedError | WrongCellError | None = None,
    seen: Sequence[NewCharge] | None = None,
    month: date | None = None,
) -> str:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.begin() as connection:
        look_at_account(connection, household_id, who, "rent.terms", ROLES, "terms", now)
        tariffs = connection.execute(
            select(tariff.c.plan_id, tariff.c.name_zh)
            .where(tariff.c.kind.in_(("rent", "property_fee")), tariff.c.to_on.is_(None))
            .distinct()
            .order_by(tariff.c.plan_id)
        ).all()
        tiers = connection.execute(
            select(relief_tier.c.tier_id, relief_tier.c.name_zh)
            .where(relief_tier.c.to_on.is_(None))
            .distinct()
        ).all()
        terms = _terms(connection, household_id)
        charges = open_charges(connection, [household_id]).get(household_id, [])
        home = latest_home(connection, household_id)
    return render_template(
        "terms.html",
        household_id=household_id,
        home=home,
        terms=terms,
        tariffs=tariffs,
        tiers=tiers,
        charges=charges,
        dues=words.DUES,
        kinds=TERMS_ZH,
        seen=seen,
        month=f"{month or words.today(now):%Y-%m}",
        today=words.today(now),
        sent=request.form if refused else {},
        refused=refused,
    )


def _terms(connection: Connection, household_id: UUID) -> list[Row[Any]]:
    """Every term of the household's tenancies, the latest first."""
    return list(
        connection.execute(
            select(rent_term)
            .join(registry.tenancy, registry.tenancy.c.tenancy_id == rent_term.c.tenancy_id)
            .where(registry.tenancy.c.household_id == household_id)
            .order_by(rent_term.c.kind, rent_term.c.from_on.desc())
        )
    )


def _tenancy(connection: Connection, household_id: UUID) -> UUID:
    """The household's latest tenancy.

    Raises:
        NotFound: it has none.
    """
    found: UUID | None = connection.execute(
        select(registry.tenancy.c.tenancy_id)
        .where(registry.tenancy.c.household_id == household_id)
        .order_by(registry.tenancy.c.from_on.desc())
        .limit(1)
    ).scalar_one_or_none()
    if found is None:
        raise NotFound
    return found


def _is_of(connection: Connection, charge_id: UUID, household_id: UUID) -> bool:
    mine = (rent_charge.c.charge_id == charge_id) & (rent_charge.c.household_id == household_id)
    return connection.execute(select(rent_charge.c.charge_id).where(mine)).first() is not None


def _uuid(name: str, unknown: type[ExplainedError]) -> UUID:
    try:
        return UUID(request.form.get(name, ""))
    except ValueError:
        raise unknown from None


def _charged_zh(made: Sequence[NewCharge]) -> str:
    if not made:
        return "已计收的月份没有差额。 Nothing differs."
    return f"更正了 {len(made)} 笔，合计 {words.yuan(sum(one.amount_fen for one in made))}。 Corrected."


def _status(refused: Exception) -> int:
    return (
        status_of(refused)
        if isinstance(refused, ExplainedError) and not isinstance(refused, AmountError)
        else 422
    )
