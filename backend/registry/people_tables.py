"""Tables around people's rights: orders and certificates of erasure, bases, hand-overs, assessments."""

from sqlalchemy import Column, Date, ForeignKey, Index, Integer, LargeBinary, Table, Text, Uuid, text

from backend.db import MOMENT, metadata

purpose_basis = Table(
    "purpose_basis",
    metadata,
    Column("basis_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("basis", Text, nullable=False),
    Column("from_on", Date, nullable=False),
    Column("to_on", Date),
    Column("recorded_by", Uuid, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
)

erasure_order = Table(
    "erasure_order",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("person_id", Uuid, nullable=False),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("scope", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ordered_at", MOMENT, nullable=False),
    Column("ordered_by", Text, nullable=False),
    Column("certificate_id", Uuid),
    Column("certified_at", MOMENT),
    Index(
        "erasure_order_one_open_idx",
        "person_id",
        "estate_id",
        "scope",
        unique=True,
        postgresql_where=text("certified_at IS NULL"),
    ),
    Index("erasure_order_open_idx", "estate_id", "ordered_at", postgresql_where=text("certified_at IS NULL")),
)

vault_key = Table(
    "vault_key",
    metadata,
    Column("gateway_id", Text, ForeignKey("gateway.gateway_id"), primary_key=True),
    Column("public_key", LargeBinary, primary_key=True),
    Column("vault_id", Text, nullable=False),
    Column("registered_at", MOMENT, nullable=False),
    Column("registered_by", Text, nullable=False),
)

erasure_certificate = Table(
    "erasure_certificate",
    metadata,
    Column("certificate_id", Uuid, primary_key=True),
    Column("gateway_id", Text, ForeignKey("gateway.gateway_id"), nullable=False),
    Column("vault_id", Text, nullable=False),
    Column("person_id", Uuid, nullable=False, index=True),
    Column("templates", Integer, nullable=False),
    Column("photographs", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("erased_at", MOMENT, nullable=False),
    Column("signed", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("received_at", MOMENT, nullable=False),
)

hand_over = Table(
    "hand_over",
    metadata,
    Column("hand_over_id", Uuid, primary_key=True),
    Column("tenancy_id", Uuid, ForeignKey("tenancy.tenancy_id"), nullable=False, unique=True),
    Column("signed_at", MOMENT, nullable=False),
    Column("evidence_id", Uuid),
    Column("recorded_by", Uuid, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
)

impact_assessment = Table(
    "impact_assessment",
    metadata,
    Column("estate_id", Text, ForeignKey("estate.estate_id"), primary_key=True),
    Column("assessed_on", Date, primary_key=True),
    Column("recorded_by", Text, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
)
