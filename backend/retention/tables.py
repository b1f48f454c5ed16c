"""Tables of retention, evidence and obligations."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)

from backend.db import MOMENT, metadata

household_seen = Table(
    "household_seen",
    metadata,
    Column("unit_id", Uuid, ForeignKey("unit.unit_id"), primary_key=True),
    Column("seen_on", Date, primary_key=True),
)

legal_hold = Table(
    "legal_hold",
    metadata,
    Column("hold_id", Uuid, primary_key=True),
    Column("person_id", Uuid, nullable=False),
    Column("reason", Text, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("placed_at", MOMENT, nullable=False),
    Column("released_by", Text),
    Column("released_at", MOMENT),
    Index("legal_hold_live_idx", "person_id", postgresql_where=text("released_at IS NULL")),
)

retention_run = Table(
    "retention_run",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("class", Text, primary_key=True),
    Column("ran_at", MOMENT, nullable=False),
    Column("cutoff", MOMENT, nullable=False),
    Column("purged", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("evidence_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("person_id", Uuid, index=True),
    Column("media_type", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("wrapped_key", LargeBinary),
    Column("sealed", LargeBinary),
    Column("added_by", Uuid, nullable=False),
    Column("added_at", MOMENT, nullable=False, index=True),
    Column("erased_at", MOMENT),
)

face_count = Table(
    "face_count",
    metadata,
    Column("counted_on", Date, primary_key=True),
    Column("persons", Integer, nullable=False),
)

refused_payload = Table(
    "refused_payload",
    metadata,
    Column("refused_on", Date, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("times", BigInteger, nullable=False),
)
