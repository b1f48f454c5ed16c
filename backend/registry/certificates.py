"""Takes in certificates of erasure: checked against the gateway's registered key, then kept, whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from backend.identity.audit import audit
from backend.identity.errors import UnknownGatewayError
from backend.identity.gateways import Gateway
from backend.identity.principal import Principal
from backend.identity.tables import gateway as registered
from backend.registry.people_tables import erasure_certificate, erasure_order, vault_key
from backend.registry.roster import publish_persons

CERTIFICATES_MAX = 500
ORDER_MARK = "order:"
Moment = Annotated[datetime, Meta(tz=True)]


class SentCertificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate as it comes over the wire; bytes are base64."""

    signed: Annotated[bytes, Meta(max_length=2_000)]
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]
    public_key: Annotated[bytes, Meta(min_length=32, max_length=32)]


class SentCertificates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gateway sends at once."""

    certificates: Annotated[list[SentCertificate], Meta(max_length=CERTIFICATES_MAX)]


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the vault signed; `tests/contracts/erasure_certificate.json` holds both sides to it."""

    certificate_id: UUID
    vault_id: Annotated[str, Meta(max_length=64)]
    person_id: UUID
    estates: Annotated[list[str], Meta(max_length=100)]
    templates: Annotated[int, Meta(ge=0, le=10_000)]
    reason: Annotated[str, Meta(max_length=200)]
    erased_at: Moment
    photographs: Annotated[int, Meta(ge=0, le=10_000)] = 0

    @property
    def order_id(self) -> UUID | None:
        """The order it answers, by the mark at the end of its reason."""
        _, mark, order_id = self.reason.rpartition(ORDER_MARK)
        try:
            return UUID(order_id) if mark else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one certificate: empty reason when it is kept."""

    certificate_id: UUID | None
    reason: str


_statement = msgspec.json.Decoder(Statement)
_sent = msgspec.json.Decoder(SentCertificates)


def read_certificates(body: bytes) -> list[SentCertificate]:
    """Read what a gateway sends.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: it is of another shape.
    """
    return _sent.decode(body).certificates


def take_certificates(
    connection: Connection, gateway: Gateway, sent: Sequence[SentCertificate], now: datetime
) -> list[Taken]:
    """Keep what a gateway's vault has signed, and close the orders it answers; one at a time, in order."""
    taken = [_take(connection, gateway, one, now) for one in sent]
    for one in taken:
        if one.reason:
            audit(
                connection, gateway.actor, "erasure_certificate", "refused", "certificate",
                str(one.certificate_id or "unreadable"), None, one.reason, now,
            )  # fmt: skip
    return taken


def register_vault_key(
    connection: Connection,
    gateway_id: str,
    public_key: bytes,
    vault_id: str,
    *,
    actor: Principal | str,
    now: datetime,
) -> None:
    """Let certificates of this key count for a gateway.

    Raises:
        UnknownGatewayError
    """
    if (
        connection.scalar(select(registered.c.gateway_id).where(registered.c.gateway_id == gateway_id))
        is None
    ):
        raise UnknownGatewayError(gateway_id)
    by = actor.actor if isinstance(actor, Principal) else actor
    row = {
        "gateway_id": gateway_id,
        "public_key": public_key,
        "vault_id": vault_id,
        "registered_at": now,
        "registered_by": by,
    }
    connection.execute(insert(vault_key).values(row).on_conflict_do_nothing())
    audit(connection, actor, "register_vault_key", "done", "gateway", gateway_id, None, public_key.hex(), now)


def _take(connection: Connection, gateway: Gateway, one: SentCertificate, now: datetime) -> Taken:
    try:
        said = _statement.decode(one.signed)
    except msgspec.MsgspecError:
        return Taken(None, "wrong_shape")
    if not set(said.estates) <= gateway.estates:
        return Taken(said.certificate_id, "foreign_estate")
    if not _is_registered(connection, gateway, one.public_key, said.vault_id, now):
        return Taken(said.certificate_id, "unknown_key")
    try:
        Ed25519PublicKey.from_public_bytes(one.public_key).verify(one.signature, one.signed)
    except (InvalidSignature, ValueError):
        return Taken(said.certificate_id, "wrong_signature")
    _keep(connection, gateway, one, said, now)
    _close(connection, gateway, said, now)
    return Taken(said.certificate_id, "")


def _is_registered(
    connection: Connection, gateway: Gateway, public_key: bytes, vault_id: str, now: datetime
) -> bool:
    """Whether the key counts; a gateway's first one is taken over its own authenticated connection."""
    known = connection.scalars(
        select(vault_key.c.public_key).where(vault_key.c.gateway_id == gateway.gateway_id)
    ).all()
    if not known:
        register_vault_key(connection, gateway.gateway_id, public_key, vault_id, actor=gateway.actor, now=now)
        return True
    return public_key in known


def _keep(
    connection: Connection, gateway: Gateway, one: SentCertificate, said: Statement, now: datetime
) -> None:
    row = {
        "certificate_id": said.certificate_id,
        "gateway_id": gateway.gateway_id,
        "vault_id": said.vault_id,
        "person_id": said.person_id,
        "templates": said.templates,
        "photographs": said.photographs,
        "reason": said.reason,
        "erased_at": said.erased_at,
        "signed": one.signed,
        "signature": one.signature,
        "public_key": one.public_key,
        "received_at": now,
    }
    connection.execute(insert(erasure_certificate).values(row).on_conflict_do_nothing())


def _close(connection: Connection, gateway: Gateway, said: Statement, now: datetime) -> None:
    order = erasure_order.c
    closed = connection.execute(
        update(erasure_order)
        .where(order.order_id == said.order_id, order.person_id == said.person_id)
        .where(order.estate_id.in_(sorted(gateway.estates)), order.certified_at.is_(None))
        .values(certificate_id=said.certificate_id, certified_at=now)
        .returning(order.estate_id, order.order_id)
    ).one_or_none()
    if closed is None:
        return
    audit(
        connection, gateway.actor, "erase_face", "done", "person", str(said.person_id), closed.estate_id,
        f"order={closed.order_id} templates={said.templates}", now,
    )  # fmt: skip
    publish_persons(connection, [said.person_id], now)
