"""One store of evidence.

Files about money were kept as they came, and move into the store that seals them. The master key is not at
hand here: each file's own key stands beside it, marked as not wrapped, until the worker wraps it on its next
day's work (`backend.retention.evidence.wrap_moved`).
"""

import os
from importlib import resources
from typing import Any

from alembic import op
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, text

from backend.db import guards

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NOT_WRAPPED = b"\x00"
KEY_BYTES, NONCE_BYTES = 32, 12
MOVED = text("""
SELECT evidence_id, money.estate_id, media_type, sha256, body, principal_id, kept_at,
    EXISTS (SELECT 1 FROM dispute WHERE dispute.evidence_id = money.evidence_id) AS of_dispute
FROM money_evidence AS money
""")
KEEP = text("""
INSERT INTO evidence (evidence_id, estate_id, kind, media_type, size_bytes, sha256, wrapped_key, sealed,
    added_by, added_at)
VALUES (:evidence_id, :estate_id, :kind, :media_type, :size_bytes, :sha256, :wrapped_key, :sealed,
    :added_by, :added_at)
""")


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0011_evidence.sql"
    guards.run(path.read_text(encoding="utf-8"))
    connection = op.get_bind()
    for row in connection.execute(MOVED).all():
        _move(connection, row)
    guards.run(
        "ALTER TABLE dispute DROP CONSTRAINT dispute_evidence_id_fkey;",
        "ALTER TABLE dispute ADD FOREIGN KEY (evidence_id) REFERENCES evidence;",
        "ALTER TABLE deposit_deduction DROP CONSTRAINT deposit_deduction_evidence_id_fkey;",
        "ALTER TABLE deposit_deduction ADD FOREIGN KEY (evidence_id) REFERENCES evidence;",
        "DROP TABLE money_evidence;",
    )


def _move(connection: Connection, row: Any) -> None:
    data_key, nonce, body = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES), bytes(row.body)
    connection.execute(
        KEEP,
        {
            "evidence_id": row.evidence_id,
            "estate_id": row.estate_id,
            "kind": "dispute" if row.of_dispute else "damage",
            "media_type": row.media_type,
            "size_bytes": len(body),
            "sha256": row.sha256,
            "wrapped_key": NOT_WRAPPED + data_key,
            "sealed": nonce + AESGCM(data_key).encrypt(nonce, body, row.evidence_id.bytes),
            "added_by": row.principal_id,
            "added_at": row.kept_at,
        },
    )


def downgrade() -> None:
    # Going back is restoring the backup: what a decision about money rests on is not to be unsealed.
    raise RuntimeError("0011 has sealed evidence; restore a backup instead")
