"""Gateways that call: each has its own credentials, several at once while one replaces another."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from backend.identity.accounts import check_estates
from backend.identity.audit import audit
from backend.identity.errors import (
    BadNameError,
    ForeignEstateError,
    UnknownCredentialError,
    UnknownGatewayError,
)
from backend.identity.principal import Principal
from backend.identity.tables import gateway, gateway_credential, gateway_scope

SECRET_BYTES = 32
TEXT_MAX = 200
GATEWAY_ID = re.compile("[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway whose credential was just checked."""

    gateway_id: str
    estates: frozenset[str]

    @property
    def actor(self) -> str:
        """How the audit log names it."""
        return f"gateway:{self.gateway_id}"

    def check_estate(self, estate_id: str, action: str) -> None:
        """Let nothing pass outside its scope.

        Raises:
            ForeignEstateError: audited by whoever catches it at the edge.
        """
        if estate_id not in self.estates:
            raise ForeignEstateError(self.gateway_id, action, estate_id)


def gateway_of(connection: Connection, bearer: str, action: str, now: datetime) -> Gateway:
    """The gateway behind `<gateway_id>.<secret>`.

    Raises:
        UnknownCredentialError: unknown, expired or revoked; which one is not told.
    """
    gateway_id, _, secret = bearer.partition(".")
    known = gateway_credential.c
    stored = connection.scalars(
        select(known.secret_sha256)
        .join(gateway, gateway.c.gateway_id == known.gateway_id)
        .where(
            known.gateway_id == gateway_id,
            gateway.c.revoked_at.is_(None),
            known.revoked_at.is_(None),
            known.expires_at.is_(None) | (known.expires_at > now),
        )
    ).all()
    offered = _digest(secret)
    # Every live credential is compared, and one that cannot fit where there is none.
    fits = [hmac.compare_digest(offered, one) for one in (*stored, bytes(32))]
    if not any(fits):
        raise UnknownCredentialError(gateway_id[:TEXT_MAX] or "unknown", action)
    estates = connection.scalars(
        select(gateway_scope.c.estate_id).where(gateway_scope.c.gateway_id == gateway_id)
    )
    return Gateway(gateway_id, frozenset(estates))


def add_gateway(
    connection: Connection,
    gateway_id: str,
    estate_ids: Iterable[str],
    *,
    actor: Principal | str,
    now: datetime,
    expires_at: datetime | None = None,
) -> str:
    """Register a gateway for its estates and return its first credential, which is not kept.

    Repeating it for a known gateway sets the estates anew and adds a credential.

    Raises:
        BadNameError, UnknownEstateError.
        UnknownGatewayError: it was revoked; take another id.
    """
    wanted = sorted(set(estate_ids))
    if not GATEWAY_ID.fullmatch(gateway_id):
        raise BadNameError(gateway_id)
    check_estates(connection, wanted)
    known = connection.execute(select(gateway.c.gateway_id).where(gateway.c.gateway_id == gateway_id)).first()
    if known is None:
        connection.execute(insert(gateway).values(gateway_id=gateway_id, created_at=now))
    connection.execute(delete(gateway_scope).where(gateway_scope.c.gateway_id == gateway_id))
    for estate_id in wanted:
        connection.execute(insert(gateway_scope).values(gateway_id=gateway_id, estate_id=estate_id))
        audit(connection, actor, "scope_gateway", "done", "gateway", gateway_id, estate_id, "", now)
    return rotate_credential(connection, gateway_id, actor=actor, now=now, expires_at=expires_at)


def rotate_credential(
    connection: Connection,
    gateway_id: str,
    *,
    actor: Principal | str,
    now: datetime,
    old_expire_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Add a credential and return it; the older ones live on until `old_expire_at`, or as they were.

    Raises:
        UnknownGatewayError: there is none, or it was revoked.
    """
    live = connection.execute(
        select(gateway.c.gateway_id).where(gateway.c.gateway_id == gateway_id, gateway.c.revoked_at.is_(None))
    ).first()
    if live is None:
        raise UnknownGatewayError(gateway_id)
    older = gateway_credential.c
    if old_expire_at is not None:
        connection.execute(
            update(gateway_credential)
            .where(older.gateway_id == gateway_id, older.revoked_at.is_(None))
            .where(older.expires_at.is_(None) | (older.expires_at > old_expire_at))
            .values(expires_at=old_expire_at)
        )
    secret = secrets.token_urlsafe(SECRET_BYTES)
    credential_id = uuid.uuid4()
    connection.execute(
        insert(gateway_credential).values(
            credential_id=credential_id,
            gateway_id=gateway_id,
            secret_sha256=_digest(secret),
            created_at=now,
            expires_at=expires_at,
        )
    )
    audit(connection, actor, "add_credential", "done", "gateway", gateway_id, None, str(credential_id), now)
    return f"{gateway_id}.{secret}"


def revoke_gateway(connection: Connection, gateway_id: str, *, actor: Principal | str, now: datetime) -> None:
    """End a gateway and all its credentials at once.

    Raises:
        UnknownGatewayError: there is none, or it was revoked before.
    """
    ended = connection.execute(
        update(gateway)
        .where(gateway.c.gateway_id == gateway_id, gateway.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    if ended.rowcount == 0:
        raise UnknownGatewayError(gateway_id)
    revoke_credentials(connection, gateway_id, actor=actor, now=now)


def revoke_credentials(
    connection: Connection, gateway_id: str, *, actor: Principal | str, now: datetime
) -> int:
    """Revoke every credential of a gateway that may get new ones; returns how many there were."""
    known = gateway_credential.c
    revoked = connection.execute(
        update(gateway_credential)
        .where(known.gateway_id == gateway_id, known.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    audit(connection, actor, "revoke_credentials", "done", "gateway", gateway_id, None, "", now)
    return int(revoked.rowcount)


def _digest(secret: str) -> bytes:
    # The secret is 32 random bytes: nothing to guess, so a fast hash is enough.
    return hashlib.sha256(secret.encode()).digest()
