"""Statutory bases of second purposes: why door data may be read without asking each household."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert

from backend.identity.accounts import check_estates
from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry.people_tables import purpose_basis
from backend.retention.errors import BasisFormError


def record_basis(
    connection: Connection,
    estate_id: str,
    purpose: str,
    basis: str,
    from_on: date,
    to_on: date | None,
    *,
    actor: Principal,
    now: datetime,
) -> UUID:
    """Record a rule that allows a purpose in an estate, and from when to when.

    Raises:
        UnknownEstateError, NotAllowedError.
        BasisFormError: no rule is named, or it ends before it begins.
    """
    check_estates(connection, [estate_id])
    check_role(actor, "record_basis", estate_id, "admin")
    if not basis.strip() or (to_on is not None and to_on < from_on):
        raise BasisFormError
    basis_id = uuid4()
    connection.execute(
        insert(purpose_basis).values(
            basis_id=basis_id,
            estate_id=estate_id,
            purpose=purpose,
            basis=basis.strip(),
            from_on=from_on,
            to_on=to_on,
            recorded_by=actor.principal_id,
            recorded_at=now,
        )
    )
    audit(connection, actor, "record_basis", "done", "basis", str(basis_id), estate_id, purpose, now)
    return basis_id
