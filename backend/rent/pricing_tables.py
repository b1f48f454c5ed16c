"""Tables of what charges are priced by. Their guards stand in the migration `0004_pricing.sql`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from backend.db import MOMENT, metadata

tariff = Table(
    "tariff",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("from_on", Date, primary_key=True),
    Column("to_on", Date),
    Column("price_centifen", BigInteger, nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("source_zh", Text, nullable=False),
    Column("principal_id", Uuid),
    Column("created_at", MOMENT, nullable=False),
)

relief_tier = Table(
    "relief_tier",
    metadata,
    Column("tier_id", Text, primary_key=True),
    Column("from_on", Date, primary_key=True),
    Column("to_on", Date),
    Column("monthly_fen", BigInteger),
    Column("share_permille", Integer),
    Column("name_zh", Text, nullable=False),
    Column("source_zh", Text, nullable=False),
    Column("principal_id", Uuid),
    Column("created_at", MOMENT, nullable=False),
)

unit_area = Table(
    "unit_area",
    metadata,
    Column("unit_id", Uuid, ForeignKey("unit.unit_id"), primary_key=True),
    Column("from_on", Date, primary_key=True),
    Column("entry_no", SmallInteger, primary_key=True),
    Column("area_hundredths", Integer, nullable=False),
    Column("principal_id", Uuid),
    Column("created_at", MOMENT, nullable=False),
)

meter = Table(
    "meter",
    metadata,
    Column("meter_id", Uuid, primary_key=True),
    Column("unit_id", Uuid, ForeignKey("unit.unit_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("rollover_hundredths", BigInteger, nullable=False),
    Column("removed_on", Date),
    Column("created_at", MOMENT, nullable=False),
    UniqueConstraint("kind", "serial"),
    Index("meter_unit_id_idx", "unit_id"),
)

meter_reading = Table(
    "meter_reading",
    metadata,
    Column("meter_id", Uuid, ForeignKey("meter.meter_id"), primary_key=True),
    Column("read_on", Date, primary_key=True),
    Column("entry_no", SmallInteger, primary_key=True),
    Column("value_hundredths", BigInteger, nullable=False),
    Column("rolled_over", Boolean, nullable=False),
    Column("principal_id", Uuid),
    Column("recorded_at", MOMENT, nullable=False),
)
