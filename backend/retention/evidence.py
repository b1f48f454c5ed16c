"""Evidence files: signed consents, hand-overs, damage. The one store of the city side that takes images.

Each file is encrypted under a key of its own, which the installation's master key wraps; a look is audited.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, insert, select

from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry.errors import UnknownThingError
from backend.registry.keys import KEY_BYTES, MasterKey
from backend.registry.rights import REGISTRARS
from backend.retention.errors import EvidenceErasedError, EvidenceFormError, PurposeNeededError
from backend.retention.tables import evidence

Kind = Literal["consent", "hand_over", "damage", "assessment"]
BYTES_MAX = 10 * 1024 * 1024
NONCE_BYTES = 12
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
    check_role(actor, "add_evidence", estate_id, *REGISTRARS)
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
    check_role(actor, "read_evidence", row.estate_id, *REGISTRARS)
    if row.sealed is None:
        raise EvidenceErasedError
    audit(
        connection, actor, "read_evidence", "done", "evidence", str(evidence_id), row.estate_id, purpose, now
    )
    return EvidenceFile(row.media_type, open_sealed(master_key, evidence_id, row.wrapped_key, row.sealed))


def open_sealed(master_key: MasterKey, evidence_id: UUID, wrapped_key: bytes, sealed: bytes) -> bytes:
    """The file of a row.

    Raises:
        SealBrokenError
    """
    data_key = master_key.open(_name(evidence_id), wrapped_key)
    return AESGCM(data_key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], evidence_id.bytes)


def _name(evidence_id: UUID) -> str:
    return f"evidence/{evidence_id}"
