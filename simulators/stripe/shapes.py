"""Shapes that several resources share: addresses, billing details, what may be expanded."""

from __future__ import annotations

from typing import Any

from simulators.stripe.params import Spec, array, hash_of, string
from simulators.stripe.store import Doc
from simulators.stripe.world import text_or_none

EXPAND = {"expand": array(string(), 20)}
_LINE = string(unset=True)
ADDRESS = Spec(city=_LINE, country=_LINE, line1=_LINE, line2=_LINE, postal_code=_LINE, state=_LINE)
BILLING = Spec(address=hash_of(ADDRESS), email=_LINE, name=_LINE, phone=_LINE)


def address_or_none(given: dict[str, Any] | None) -> Doc | None:
    """An address with all its lines, absent ones null."""
    return text_or_none(given, *ADDRESS.fields) if given else None


def billing(given: dict[str, Any] | None) -> Doc:
    """Billing details with all their fields, absent ones null; the address always has its lines."""
    given = given or {}
    empty: Doc = dict.fromkeys(ADDRESS.fields)
    return {
        "address": address_or_none(given.get("address")) or empty,
        **text_or_none(given, "email", "name", "phone"),
        "tax_id": None,
    }
