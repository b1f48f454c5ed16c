"""Tickets that let a clerk enrol one person's face at the estate's own box, for a few minutes.

No photograph comes to the city. The ticket is signed with the estate's key, which the box holds as well, so
the box believes it without asking. `tests/contracts/enrolment_tickets.json` holds both sides to its form.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Connection, select

from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry.errors import FaceNotAllowedError, UnknownThingError
from backend.registry.estates import estate_key
from backend.registry.facts import consenting_persons
from backend.registry.keys import MasterKey
from backend.registry.rights import REGISTRARS
from backend.registry.tables import estate, person

VALID = timedelta(minutes=20)


class _Ticket(msgspec.Struct, frozen=True):
    v: int
    estate: str
    person: str
    operator: str
    label: str
    expires_at: int
    nonce: str


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """A ticket, and whom it is for."""

    text: str
    estate_id: str
    person_name: str
    expires_at: datetime


def issue_ticket(
    connection: Connection,
    actor: Principal,
    master_key: MasterKey,
    person_id: UUID,
    nonce: str,
    now: datetime,
) -> IssuedTicket:
    """Let a clerk enrol a person's face.

    Raises:
        UnknownThingError: nobody of this id.
        NotAllowedError: not a registrar of the person's estate.
        FaceNotAllowedError: no consent in date, or the estate has not switched faces on.
    """
    row = connection.execute(
        select(person.c.estate_id, person.c.name, estate.c.faces_enabled)
        .join(estate, estate.c.estate_id == person.c.estate_id)
        .where(person.c.person_id == person_id)
    ).one_or_none()
    if row is None:
        raise UnknownThingError("person", person_id)
    check_role(actor, "enrol_face", row.estate_id, *REGISTRARS)
    if not row.faces_enabled:
        raise FaceNotAllowedError(row.estate_id, "faces_off")
    if person_id not in consenting_persons(connection, [person_id], now):
        raise FaceNotAllowedError(row.estate_id, "no_consent")
    expires_at = now + VALID
    text = sign_ticket(
        estate_key(connection, master_key, row.estate_id),
        estate_id=row.estate_id,
        person_id=str(person_id),
        operator=str(actor.principal_id),
        label=row.name,
        expires_at=int(expires_at.timestamp()),
        nonce=nonce,
    )
    audit(connection, actor, "enrol_face", "done", "person", str(person_id), row.estate_id, "ticket", now)
    return IssuedTicket(text, row.estate_id, row.name, expires_at)


def sign_ticket(
    key: bytes, *, estate_id: str, person_id: str, operator: str, label: str, expires_at: int, nonce: str
) -> str:
    """The ticket as the box reads it: base64url of the JSON, a dot, base64url of its HMAC-SHA256.

    Args:
        key: the estate's.
        label: what the clerk calls the person; the box shows it and keeps it nowhere.
        expires_at: seconds since 1970.
        nonce: makes each ticket another one.
    """
    body = msgspec.json.encode(_Ticket(1, estate_id, person_id, operator, label, expires_at, nonce))
    signature = hmac.digest(key, b"enrolment ticket:" + body, "sha256")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (body, signature))
