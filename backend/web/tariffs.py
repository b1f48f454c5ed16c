"""Finance: dated prices and relief tiers, and the proposal to add or end a version."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import msgspec
from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from backend.api.errors import status_of
from backend.documents.cells import WrongCellError, day, fen
from backend.errors import ExplainedError
from backend.identity.principal import Role
from backend.identity.web import required_principal, requires
from backend.rent.errors import PriceError
from backend.rent.pricing_tables import relief_tier, tariff
from backend.rent.tariffs import TariffVersion, TierVersion, propose_tariff
from backend.services import services
from backend.web import words

ROLES: tuple[Role, ...] = ("finance", "supervisor")
PRICE = re.compile(r"(\d{1,7})(?:\.(\d{1,4}))?", re.ASCII)
KINDS_ZH = {"rent": "租金", "property_fee": "物业费", "water": "水费", "electricity": "电费", "gas": "燃气费"}
UNITS_ZH = {
    "rent": "元/平方米·月",
    "property_fee": "元/平方米·月",
    "water": "元/吨",
    "electricity": "元/千瓦时",
    "gas": "元/立方米",
}

blueprint = Blueprint("tariffs", __name__, url_prefix="/finance/tariffs")


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """Every version, and the form for another."""
    return _page(None)


@blueprint.post("")
@requires("finance")
def propose() -> ResponseReturnValue:
    """Ask for a version; another person agrees to it under 审批."""
    sent = request.form
    try:
        version = _version()
        with services().engine.begin() as connection:
            asked = propose_tariff(
                connection, version, sent.get("reason", ""), required_principal(), datetime.now(UTC)
            )
    except (ExplainedError, WrongCellError) as refused:
        return _page(refused), status_of(refused) if isinstance(refused, ExplainedError) else 422
    return redirect(url_for("approvals.proposal", proposal_id=asked.proposal_id), 303)


def _version() -> TariffVersion | TierVersion:
    """What the form says; the file's own rules hold for it.

    Raises:
        PriceError, WrongCellError
    """
    sent = request.form
    what, plain = (
        sent.get("what", ""),
        {
            "from_on": day(sent.get("from_on", "")),
            "to_on": day(sent["to_on"]) if sent.get("to_on") else None,
            "name_zh": sent.get("name_zh", "").strip(),
            "source_zh": sent.get("source_zh", "").strip(),
        },
    )
    price, key = sent.get("price", "").strip(), sent.get("id", "").strip()
    try:
        if what == "share":
            return msgspec.convert(plain | {"tier_id": key, "share_permille": permille(price)}, TierVersion)
        if what == "monthly":
            return msgspec.convert(plain | {"tier_id": key, "monthly_fen": fen(price)}, TierVersion)
        return msgspec.convert(
            plain | {"plan_id": key, "kind": what, "price_centifen": _centifen(price)}, TariffVersion
        )
    except msgspec.ValidationError as error:
        raise PriceError("填写内容", "entry", error) from error


def _centifen(typed: str) -> int:
    """Yuan with at most four decimals as hundredths of a fen."""
    found = PRICE.fullmatch(typed)
    if found is None:
        raise PriceError("单价", "price", typed)
    return int(found[1]) * 10_000 + int((found[2] or "").ljust(4, "0"))


def permille(typed: str) -> int:
    """Per cent with at most one decimal."""
    found = re.fullmatch(r"(\d{1,3})(?:\.(\d))?%?", typed, re.ASCII)
    if found is None:
        raise PriceError("比例", "share", typed)
    return int(found[1]) * 10 + int(found[2] or 0)


def _page(refused: ExplainedError | WrongCellError | None) -> str:
    today: date = words.today(datetime.now(UTC))
    with services().engine.connect() as connection:
        prices = connection.execute(
            select(tariff).order_by(tariff.c.kind, tariff.c.plan_id, tariff.c.from_on.desc())
        ).all()
        tiers = connection.execute(
            select(relief_tier).order_by(relief_tier.c.tier_id, relief_tier.c.from_on.desc())
        ).all()
    return render_template(
        "tariffs.html",
        prices=prices,
        tiers=tiers,
        kinds=KINDS_ZH,
        units=UNITS_ZH,
        today=today,
        sent=request.form,
        refused=refused,
        may_propose=required_principal().holds("finance"),
    )
