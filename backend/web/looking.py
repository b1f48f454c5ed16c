"""Looking at a household's account: allowed to its estate's desk, and recorded each time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from backend.identity.principal import Principal, Role
from backend.identity.service import audit, check_role
from backend.payments.checkouts import estate_of


def look_at_account(
    connection: Connection,
    household_id: UUID,
    who: Principal,
    action: str,
    roles: Sequence[Role],
    page: str,
    now: datetime,
) -> str:
    """The household's estate, after the look at its account was allowed and written down.

    Raises:
        HouseholdUnknownError, NotAllowedError
    """
    estate_id = estate_of(connection, household_id)
    check_role(who, action, estate_id, *roles)
    audit(connection, who, "look_at_account", "done", "household", str(household_id), estate_id, page, now)
    return estate_id
