"""Tables of passages and of the doors' state."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
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
    Column("stored_at", MOMENT, nullable=False, index=True, server_default=func.now()),
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
    Column("pass_id", Uuid),
    Column("face_confirmed", Boolean),
    Index("access_record_estate_id_received_at_idx", "estate_id", text("received_at DESC")),
    Index(
        "access_record_person_id_idx",
        "person_id",
        text("received_at DESC"),
        postgresql_where=text("person_id IS NOT NULL"),
    ),
    postgresql_partition_by="RANGE (stored_at)",
)

door_order = Table(
    "door_order",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("device_id", Text, ForeignKey("door.device_id")),
    Column("action", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("author_name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("given_at", MOMENT, nullable=False),
    Column("until_at", MOMENT),
    Column("ended_at", MOMENT),
    Column("ended_by", Text),
    Index("door_order_estate_idx", "estate_id", text("given_at DESC")),
    Index(
        "door_order_one_live_idx",
        "estate_id",
        "action",
        text("coalesce(device_id, '*')"),
        unique=True,
        postgresql_where=text("ended_at IS NULL AND action IN ('lockdown', 'release')"),
    ),
)

device_state = Table(
    "device_state",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("since", MOMENT, nullable=False),
    Column("clock_offset_ms", BigInteger),
    Column("contact", Text),
    Column("battery_percent", Integer),
    Column("gateway_id", Text, nullable=False),
    Column("reported_at", MOMENT, nullable=False),
)

device_alarm = Table(
    "device_alarm",
    metadata,
    Column("alarm_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("device_id", Text, ForeignKey("door.device_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("raised_at", MOMENT, nullable=False),
    Column("repeated_at", MOMENT, nullable=False),
    Column("times", Integer, nullable=False),
    Column("person_id", Uuid),
    Column("cleared_at", MOMENT),
    Column("gateway_id", Text, nullable=False),
    Column("reported_at", MOMENT, nullable=False),
    Column("seen_at", MOMENT),
    Column("seen_by", Uuid),
    Index(
        "device_alarm_open_idx",
        "estate_id",
        text("raised_at DESC"),
        postgresql_where=text("cleared_at IS NULL"),
    ),
)

panel_state = Table(
    "panel_state",
    metadata,
    Column("device_id", Text, ForeignKey("door.device_id"), primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("people", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    Column("extra", Integer, nullable=False),
    Column("nameless", Integer, nullable=False),
    Column("strangers", Integer, nullable=False),
    Column("reconciled_at", MOMENT),
    Column("gateway_id", Text, nullable=False),
    Column("reported_at", MOMENT, nullable=False),
)

panel_leaving = Table(
    "panel_leaving",
    metadata,
    Column("device_id", Text, ForeignKey("door.device_id"), primary_key=True),
    Column("person_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("since", MOMENT, nullable=False),
    Column("until_at", MOMENT),
    Index("panel_leaving_person_id_idx", "person_id"),
)

panel_erasure = Table(
    "panel_erasure",
    metadata,
    Column("device_id", Text, ForeignKey("door.device_id"), primary_key=True),
    Column("person_id", Uuid, primary_key=True),
    Column("erased_at", MOMENT, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("since", MOMENT, nullable=False),
    Column("gateway_id", Text, nullable=False),
    Index("panel_erasure_person_id_idx", "person_id"),
)
