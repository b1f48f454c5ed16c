"""Which estates a page is about: those of the principal, narrowed by the page's filter."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from werkzeug.exceptions import NotFound

from backend.identity.principal import AllEstates, Principal, Role, Scope
from backend.identity.service import check_role
from backend.registry.estates import EstateView, estates


def scope_of(who: Principal, roles: Sequence[Role]) -> Scope:
    """Where at least one of the roles is held."""
    found: frozenset[str] = frozenset()
    for role in roles:
        held = who.estates(role)
        if isinstance(held, AllEstates):
            return held
        found |= held
    return found


def estates_of(connection: Connection, who: Principal, roles: Sequence[Role]) -> list[EstateView]:
    """The estates where the principal holds one of the roles."""
    scope = scope_of(who, roles)
    return [one for one in estates(connection) if one.estate_id in scope]


def chosen(
    known: Sequence[EstateView], who: Principal, action: str, wanted: str, roles: Sequence[Role]
) -> list[EstateView]:
    """What the filter asks for: one estate, or all that are known when it asks for none.

    Raises:
        NotAllowedError: the estate is not the principal's; audited where it is caught.
        NotFound: there is no such estate, and the principal may look at all of them.
    """
    if not wanted:
        return list(known)
    check_role(who, action, wanted, *roles)
    found = [one for one in known if one.estate_id == wanted]
    if not found:
        raise NotFound
    return found
