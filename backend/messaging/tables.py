"""Tables of messages. Their guards stand in the migration `0004_messaging.sql`."""

from sqlalchemy import Column, ForeignKey, Index, SmallInteger, Table, Text, UniqueConstraint, Uuid, text

from backend.db import MOMENT, metadata

message_address = Table(
    "message_address",
    metadata,
    Column("person_id", Uuid, ForeignKey("person.person_id"), primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("updated_at", MOMENT, nullable=False),
)

message = Table(
    "message",
    metadata,
    Column("message_id", Uuid, primary_key=True),
    Column("idempotency_key", Text, nullable=False),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("household_id", Uuid, ForeignKey("household.household_id")),
    Column("person_id", Uuid, ForeignKey("person.person_id"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("text_zh", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("messenger", Text),
    Column("messenger_ref", Text),
    Column("attempts", SmallInteger, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("next_try_at", MOMENT),
    Column("sent_at", MOMENT),
    Column("finished_at", MOMENT),
    UniqueConstraint("idempotency_key"),
    UniqueConstraint("messenger", "messenger_ref"),
    Index("message_next_try_at_idx", "next_try_at", postgresql_where=text("next_try_at IS NOT NULL")),
    Index("message_household_id_idx", "household_id", "created_at"),
)
