"""Tables of passages and of the doors' state."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from backend.db import MOMENT, metadata

access_passage = Table(
    "access_passage",
    metadata,
    Column("estate_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    Column("passage", Text, primary_key=True),
    Column("record_id", Uuid, nullable=False),
    UniqueConstraint("estate_id", "record_id"),
)

access_record = Table(
    "access_record",
    metadata,
    Column("estate_id", Text, primary_key=True),
    Column("record_id", Uuid, primary_key=True),
    Column("device_id", Text, nullable=False),
    Column("passage", Text, nullable=False),
    Column("event_ids", ARRAY(Text), nullable=False),
    Column("credential", Text, nullable=False),
    Column("device_at", MOMENT, nullable=False),
    Column("received_at", MOMENT, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("person_id", Uuid),
    Column("resent", Boolean, nullable=False),
    Column("gateway_id", Text, nullable=False),
    Column("stored_at", MOMENT, primary_key=True),
    Index("access_record_estate_id_received_at_idx", "estate_id", text("received_at DESC")),
    Index(
        "access_record_person_id_idx",
        "person_id",
        text("received_at DESC"),
        postgresql_where=text("person_id IS NOT NULL"),
    ),
    postgresql_partition_by="RANGE (stored_at)",
)

device_state = Table(
    "device_state",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("since", MOMENT, nullable=False),
    Column("clock_offset_ms", BigInteger),
    Column("gateway_id", Text, nullable=False),
    Column("reported_at", MOMENT, nullable=False),
)
