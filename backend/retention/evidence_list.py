"""What the evidence store holds, for those whose desk it is; without any content."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, exists, false, or_, select

from backend.db.arrays import among
from backend.identity.principal import AllEstates, Principal
from backend.identity.tables import principal
from backend.registry.tables import person
from backend.retention.evidence import DESKS, Kind
from backend.retention.tables import evidence, legal_hold

LISTED_MAX = 200


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """A file of the store; `held` where a legal hold stops its clock."""

    evidence_id: UUID
    estate_id: str
    kind: Kind
    person_id: UUID | None
    person_ref: str | None
    media_type: str
    size_bytes: int
    added_at: datetime
    added_by: str | None
    erased_at: datetime | None
    held: bool


def list_evidence(connection: Connection, who: Principal, kind: Kind | None = None) -> list[EvidenceView]:
    """The newest files of the desks and estates that are this principal's."""
    found = evidence.c
    held = exists().where(legal_hold.c.person_id == found.person_id, legal_hold.c.released_at.is_(None))
    query = (
        select(
            found.evidence_id, found.estate_id, found.kind, found.person_id, person.c.ref, found.media_type,
            found.size_bytes, found.added_at, principal.c.display_name, found.erased_at, held,
        )
        .outerjoin(person, person.c.person_id == found.person_id)
        .outerjoin(principal, principal.c.principal_id == found.added_by)
        .where(or_(false(), *(_desk(who, one) for one in DESKS if kind in (None, one))))
        .order_by(found.added_at.desc(), found.evidence_id)
        .limit(LISTED_MAX)
    )  # fmt: skip
    return [EvidenceView(*row) for row in connection.execute(query)]


def _desk(who: Principal, kind: Kind) -> ColumnElement[bool]:
    """Rows of a kind in the estates where the principal sits at its desk."""
    scopes = [who.estates(role) for role in DESKS[kind]]
    if any(isinstance(one, AllEstates) for one in scopes):
        return evidence.c.kind == kind
    estates = {one for scope in scopes if not isinstance(scope, AllEstates) for one in scope}
    return and_(evidence.c.kind == kind, among(evidence.c.estate_id, estates))
