"""Tables of approvals. Their guards stand in the migration `0003_approvals.sql`."""

from sqlalchemy import ARRAY, Column, ForeignKey, Index, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from backend.db import MOMENT, metadata

approval_kind = Table(
    "approval_kind",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("propose_roles", ARRAY(Text), nullable=False),
    Column("approve_roles", ARRAY(Text), nullable=False),
)

approval_proposal = Table(
    "approval_proposal",
    metadata,
    Column("proposal_id", Uuid, primary_key=True),
    Column("kind", Text, ForeignKey("approval_kind.kind"), nullable=False),
    Column("estate_id", Text, ForeignKey("estate.estate_id")),
    Column("subject", Text, nullable=False),
    Column("summary_zh", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_by", Uuid, ForeignKey("principal.principal_id"), nullable=False),
    Column("proposed_at", MOMENT, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("changed_at", MOMENT, nullable=False),
    Column("withdrawn_at", MOMENT),
    Index("approval_proposal_subject_idx", "subject"),
)

approval_decision = Table(
    "approval_decision",
    metadata,
    Column("proposal_id", Uuid, ForeignKey("approval_proposal.proposal_id"), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("decided_by", Uuid, ForeignKey("principal.principal_id"), nullable=False),
    Column("decided_at", MOMENT, nullable=False),
    Column("reason", Text, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
)

approval_use = Table(
    "approval_use",
    metadata,
    Column("proposal_id", Uuid, ForeignKey("approval_decision.proposal_id"), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("used_at", MOMENT, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
)
