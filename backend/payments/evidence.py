"""Photographs and papers that a decision about money rests on: kept as they came, known by their hash."""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert

from backend.identity.principal import Principal
from backend.payments.errors import EvidenceMissingError
from backend.payments.money_back_tables import money_evidence

BYTES_MAX = 5 * 1024 * 1024
BEGINS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"%PDF-": "application/pdf"}


def keep_evidence(
    connection: Connection, estate_id: str, name: str, body: bytes, principal: Principal, now: datetime
) -> UUID:
    """Keep a file; returns its id.

    Raises:
        EvidenceMissingError: empty, too large, or no JPG, PNG or PDF by its own first bytes.
    """
    kind = next((kind for begin, kind in BEGINS.items() if body.startswith(begin)), None)
    if kind is None or len(body) > BYTES_MAX:
        raise EvidenceMissingError
    evidence_id = uuid4()
    connection.execute(
        insert(money_evidence).values(
            evidence_id=evidence_id,
            estate_id=estate_id,
            name_zh=name.strip()[:120] or "附件",
            media_type=kind,
            sha256=hashlib.sha256(body).digest(),
            body=body,
            principal_id=principal.principal_id,
            kept_at=now,
        )
    )
    return evidence_id
