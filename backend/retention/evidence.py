"""Evidence files: signed consents, hand-overs, damage. The one store of the city side that takes images.

Each file is encrypted under a key of its own, which the installation's master key wraps; a look is audited.
Each kind has its own desk, and its own clock in `RetentionSettings`.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, func, insert, select, update

from backend.identity.audit import audit
from backend.identity.principal import Principal, Role
from backend.identity.service import check_role
from backend.registry.errors import UnknownThingError
from backend.registry.keys import KEY_BYTES, MasterKey, SealBrokenError
from backend.registry.rights import REGISTRARS
from backend.retention.errors import EvidenceErasedError, EvidenceFormError, PurposeNeededError
from backend.retention.tables import evidence

Kind = Literal["consent", "hand_over", "damage", "dispute", "assessment"]
# Who adds a kind of file, and may read it again.
DESKS: Mapping[Kind, tuple[Role, ...]] = {
    "consent": REGISTRARS,
    "hand_over": REGISTRARS,
    "assessment": REGISTRARS,
    "damage": (*REGISTRARS, "finance"),
    "dispute": ("finance", "admin"),
}
BYTES_MAX = 10 * 1024 * 1024
NONCE_BYTES = 12
# Files of the former store of money matters, which the migration sealed without the master key at hand.
NOT_WRAPPED = b"\x00"
STARTS = {b"%PDF-": "application/pdf", b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
# What a file may be looked at for.
LOOK_PURPOSES = ("proof", "dispute", "person_request", "authority")


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A file as it was added."""

    media_type: str
    body: bytes


def add_evidence(
    connection: Connection,
    master_key: MasterKey,
    estate_id: str,
    kind: Kind,
    person_id: UUID | None,
    body: bytes,
    *,
    actor: Principal,
    now: datetime,
) -> UUID:
    """Keep a file.

    Raises:
        NotAllowedError.
        EvidenceFormError: another kind of file, whatever its name says, or too large.
    """
    check_role(actor, "add_evidence", estate_id, *DESKS[kind])
    media_type = next((kind for start, kind in STARTS.items() if body.startswith(start)), None)
    if media_type is None or len(body) > BYTES_MAX:
        raise EvidenceFormError(BYTES_MAX)
    evidence_id, data_key, nonce = uuid.uuid4(), os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
    connection.execute(
        insert(evidence).values(
            evidence_id=evidence_id,
            estate_id=estate_id,
            kind=kind,
            person_id=person_id,
            media_type=media_type,
            size_bytes=len(body),
            sha256=hashlib.sha256(body).digest(),
            wrapped_key=master_key.seal(_name(evidence_id), data_key),
            sealed=nonce + AESGCM(data_key).encrypt(nonce, body, evidence_id.bytes),
            added_by=actor.principal_id,
            added_at=now,
        )
    )
    audit(connection, actor, "add_evidence", "done", "evidence", str(evidence_id), estate_id, kind, now)
    return evidence_id


def read_evidence(
    connection: Connection,
    master_key: MasterKey,
    evidence_id: UUID,
    purpose: str,
    *,
    actor: Principal,
    now: datetime,
) -> EvidenceFile:
    """A file again, for a purpose; the look is audited.

    Raises:
        PurposeNeededError, UnknownThingError, NotAllowedError, SealBrokenError.
        EvidenceErasedError: its time was over.
    """
    if purpose not in LOOK_PURPOSES:
        raise PurposeNeededError
    row = connection.execute(select(evidence).where(evidence.c.evidence_id == evidence_id)).one_or_none()
    if row is None:
        raise UnknownThingError("evidence", evidence_id)
    check_role(actor, "read_evidence", row.estate_id, *DESKS[row.kind])
    if row.sealed is None:
        raise EvidenceErasedError
    audit(
        connection, actor, "read_evidence", "done", "evidence", str(evidence_id), row.estate_id, purpose, now
    )
    return EvidenceFile(row.media_type, open_sealed(master_key, evidence_id, row.wrapped_key, row.sealed))


def open_sealed(master_key: MasterKey, evidence_id: UUID, wrapped_key: bytes, sealed: bytes) -> bytes:
    """The file of a row.

    Raises:
        SealBrokenError: another master key, or the row was changed.
    """
    if wrapped_key.startswith(NOT_WRAPPED):
        data_key = wrapped_key.removeprefix(NOT_WRAPPED)
    else:
        data_key = master_key.open(_name(evidence_id), wrapped_key)
    try:
        return AESGCM(data_key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], evidence_id.bytes)
    except InvalidTag:
        raise SealBrokenError(_name(evidence_id)) from None


def wrap_moved(connection: Connection, master_key: MasterKey) -> int:
    """Wrap the keys that the migration could not; how many."""
    keys = evidence.c
    not_wrapped = func.substring(keys.wrapped_key, 1, 1) == NOT_WRAPPED
    rows = connection.execute(select(keys.evidence_id, keys.wrapped_key).where(not_wrapped)).all()
    for row in rows:
        wrapped = master_key.seal(_name(row.evidence_id), bytes(row.wrapped_key).removeprefix(NOT_WRAPPED))
        connection.execute(
            update(evidence).where(keys.evidence_id == row.evidence_id).values(wrapped_key=wrapped)
        )
    return len(rows)


def _name(evidence_id: UUID) -> str:
    return f"evidence/{evidence_id}"
