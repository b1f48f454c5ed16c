"""Tables of principals, gateways, rate limits and the audit log."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
)

from backend.db import MOMENT, metadata

principal = Table(
    "principal",
    metadata,
    Column("principal_id", Uuid, primary_key=True),
    Column("login", Text, nullable=False, unique=True),
    Column("display_name", Text, nullable=False),
    Column("password_hash", Text),
    Column("person_id", Uuid, ForeignKey("person.person_id")),
    Column("created_at", MOMENT, nullable=False),
    Column("disabled_at", MOMENT),
)

principal_role = Table(
    "principal_role",
    metadata,
    Column("grant_id", Uuid, primary_key=True),
    Column("principal_id", Uuid, ForeignKey("principal.principal_id"), nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("estate_id", Text, ForeignKey("estate.estate_id")),
    Column("valid_from", MOMENT, nullable=False),
    Column("valid_to", MOMENT),
    Column("created_at", MOMENT, nullable=False),
)

login_session = Table(
    "login_session",
    metadata,
    Column("token_sha256", LargeBinary, primary_key=True),
    Column("principal_id", Uuid, ForeignKey("principal.principal_id"), nullable=False, index=True),
    Column("created_at", MOMENT, nullable=False),
    Column("seen_at", MOMENT, nullable=False),
    Column("ended_at", MOMENT),
)

gateway = Table(
    "gateway",
    metadata,
    Column("gateway_id", Text, primary_key=True),
    Column("created_at", MOMENT, nullable=False),
    Column("revoked_at", MOMENT),
)

gateway_scope = Table(
    "gateway_scope",
    metadata,
    Column("gateway_id", Text, ForeignKey("gateway.gateway_id"), primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), primary_key=True),
)

gateway_credential = Table(
    "gateway_credential",
    metadata,
    Column("credential_id", Uuid, primary_key=True),
    Column("gateway_id", Text, ForeignKey("gateway.gateway_id"), nullable=False, index=True),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT),
    Column("revoked_at", MOMENT),
)

rate_limit = Table(
    "rate_limit",
    metadata,
    Column("bucket", Text, primary_key=True),
    Column("subject_sha256", LargeBinary, primary_key=True),
    Column("window_started_at", MOMENT, nullable=False, index=True),
    Column("hits", Integer, nullable=False),
    CheckConstraint("hits >= 0"),
)

audit_link = Table(
    "audit_link",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("audit_id", BigInteger, nullable=False, unique=True),
    Column("sha256", LargeBinary, nullable=False),
)

audit_record = Table(
    "audit_record",
    metadata,
    Column("audit_id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", MOMENT, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("estate_id", Text),
    Column("reason", Text, nullable=False),
    Column("request_id", Text),
    Index("audit_record_object_idx", "object_kind", "object_id", "at"),
)
