"""Checks the audit log's chain: each row's hash is over the row and the hash before it.

The database links a row when its transaction commits; this computes the hashes again, on its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, Row, select

from backend.errors import ExplainedError
from backend.identity.tables import audit_link, audit_record

ROWS_AT_ONCE = 2_000


class ChainBrokenError(ExplainedError):
    """The audit log is not what was written: a row was changed, removed or slipped in."""

    code = "chain_broken"

    def __init__(self, position: int, what_zh: str, what_en: str) -> None:
        self.position = position
        super().__init__(
            f"审计链在第 {position} 环断开：{what_zh}。请立即封存数据库并与备份比对。",
            f"The audit chain breaks at link {position}: {what_en}. Seal the database and compare a backup.",
        )


@dataclass(frozen=True, slots=True)
class Verified:
    """How long the chain is, and its last hash in hex: keep it elsewhere, and the chain cannot be cut."""

    links: int
    head: str


def verify_chain(connection: Connection, expected_head: str | None = None) -> Verified:
    """Compute the chain again.

    Args:
        expected_head: a head that was noted earlier; it has to be in the chain still.
    Raises:
        ChainBrokenError
    """
    joined = audit_link.join(audit_record, audit_record.c.audit_id == audit_link.c.audit_id, full=True)
    query = (
        select(audit_link.c.position, audit_link.c.sha256, audit_record)
        .select_from(joined)
        .order_by(audit_link.c.position.asc().nulls_last())
    )
    head, links, seen = b"", 0, expected_head is None
    with connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query) as rows:
        for digest in _digests(rows):
            head, links = digest, links + 1
            seen = seen or head.hex() == expected_head
    if not seen:
        raise ChainBrokenError(links + 1, "先前记下的链尾不在其中", "the head noted earlier is not in it")
    return Verified(links, head.hex())


def row_text(row: Any) -> str:
    """What is hashed of a row, as the database's `audit_text` writes it."""
    at = row.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    fields = [
        str(row.audit_id), at, row.actor, row.action, row.outcome, row.object_kind, row.object_id,
        row.estate_id, row.reason, row.request_id,
    ]  # fmt: skip
    return json.dumps(fields, ensure_ascii=False)


def _digests(rows: Iterable[Row[Any]]) -> Iterator[bytes]:
    before = b""
    for place, row in enumerate(rows, 1):
        if row.position != place:
            raise ChainBrokenError(place, "缺一环或有记录未入链", "a link is missing, or a row has none")
        if row.audit_id is None:
            raise ChainBrokenError(place, "记录已被删除", "its row is gone")
        before = hashlib.sha256(before + row_text(row).encode()).digest()
        if before != row.sha256:
            raise ChainBrokenError(place, f"记录 {row.audit_id} 被改动", f"row {row.audit_id} was changed")
        yield before
