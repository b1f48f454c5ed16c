"""Tables of estates, homes, doors, people, rights, consents and the roster feed."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from backend.db import MOMENT, metadata

estate = Table(
    "estate",
    metadata,
    Column("estate_id", Text, primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("district", Text, nullable=False),
    Column("faces_enabled", Boolean, nullable=False),
    Column("assessed_on", Date),
    Column("liveness_waiver_until", Date),
    Column("liveness_waiver_author", Text),
    Column("liveness_waiver_reason", Text),
    Column("panel_lease_days", Integer),
    Column("fpir", Float(53), nullable=False),
    Column("hmac_key_sealed", LargeBinary, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("passback", Text, nullable=False, server_default="soft"),
)

building = Table(
    "building",
    metadata,
    Column("estate_id", Text, ForeignKey("estate.estate_id"), primary_key=True),
    Column("building_id", Text, primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("floors", Integer, nullable=False),
    Column("units_per_floor", Integer, nullable=False),
)

unit = Table(
    "unit",
    metadata,
    Column("unit_id", Uuid, primary_key=True),
    Column("estate_id", Text, nullable=False),
    Column("building_id", Text, nullable=False),
    Column("floor", Integer, nullable=False),
    Column("number", Text, nullable=False),
    ForeignKeyConstraint(["estate_id", "building_id"], ["building.estate_id", "building.building_id"]),
    UniqueConstraint("estate_id", "building_id", "number"),
)

door_group = Table(
    "door_group",
    metadata,
    Column("estate_id", Text, ForeignKey("estate.estate_id"), primary_key=True),
    Column("group_id", Text, primary_key=True),
)

door = Table(
    "door",
    metadata,
    Column("device_id", Text, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("building_id", Text),
    Column("group_id", Text, nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("credentials", ARRAY(Text), nullable=False),
    Column("way", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("hours", JSONB(none_as_null=True)),
    ForeignKeyConstraint(["estate_id", "group_id"], ["door_group.estate_id", "door_group.group_id"]),
    ForeignKeyConstraint(["estate_id", "building_id"], ["building.estate_id", "building.building_id"]),
)

household = Table(
    "household",
    metadata,
    Column("household_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("ref", Text, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    UniqueConstraint("estate_id", "ref"),
)

person = Table(
    "person",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("ref", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("born_on", Date, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    UniqueConstraint("estate_id", "ref"),
)

household_member = Table(
    "household_member",
    metadata,
    Column("household_id", Uuid, ForeignKey("household.household_id"), primary_key=True),
    Column("person_id", Uuid, ForeignKey("person.person_id"), primary_key=True, index=True),
    Column("kind", Text, nullable=False),
    Column("from_on", Date, primary_key=True),
    Column("to_on", Date),
)

tenancy = Table(
    "tenancy",
    metadata,
    Column("tenancy_id", Uuid, primary_key=True),
    Column("household_id", Uuid, ForeignKey("household.household_id"), nullable=False, index=True),
    Column("unit_id", Uuid, ForeignKey("unit.unit_id"), nullable=False, index=True),
    Column("monthly_rent_fen", BigInteger, nullable=False),
    Column("from_on", Date, nullable=False),
    Column("to_on", Date),
    Column("created_at", MOMENT, nullable=False),
)

door_right = Table(
    "door_right",
    metadata,
    Column("right_id", Uuid, primary_key=True),
    Column("person_id", Uuid, ForeignKey("person.person_id"), nullable=False, index=True),
    Column("estate_id", Text, nullable=False),
    Column("group_id", Text, nullable=False),
    Column("starts_at", MOMENT, nullable=False),
    Column("ends_at", MOMENT),
    Column("created_at", MOMENT, nullable=False),
    ForeignKeyConstraint(["estate_id", "group_id"], ["door_group.estate_id", "door_group.group_id"]),
    Index("door_right_ends_at_idx", "ends_at", postgresql_where=text("ends_at IS NOT NULL")),
)

card = Table(
    "card",
    metadata,
    Column("card_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("person_id", Uuid, ForeignKey("person.person_id"), nullable=False, index=True),
    Column("hmac", Text, nullable=False),
    Column("blocked", Boolean, nullable=False),
    Column("issued_at", MOMENT, nullable=False),
    Column("ended_at", MOMENT),
    Index("card_one_holder_idx", "estate_id", "hmac", unique=True, postgresql_where=text("ended_at IS NULL")),
)

pin = Table(
    "pin",
    metadata,
    Column("pin_id", Uuid, primary_key=True),
    Column("estate_id", Text, nullable=False),
    Column("group_id", Text, nullable=False),
    Column("person_id", Uuid, ForeignKey("person.person_id"), nullable=False),
    Column("hmac", Text, nullable=False),
    Column("duress", Boolean, nullable=False),
    Column("issued_at", MOMENT, nullable=False),
    Column("ended_at", MOMENT),
    ForeignKeyConstraint(["estate_id", "group_id"], ["door_group.estate_id", "door_group.group_id"]),
    Index("pin_one_holder_idx", "estate_id", "hmac", unique=True, postgresql_where=text("ended_at IS NULL")),
    Index("pin_person_id_idx", "person_id", postgresql_where=text("ended_at IS NULL")),
)

qr_seed = Table(
    "qr_seed",
    metadata,
    Column("qr_id", Text, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("person_id", Uuid, ForeignKey("person.person_id"), nullable=False),
    Column("sealed", Text, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("ended_at", MOMENT),
    Index(
        "qr_seed_one_live_idx",
        "estate_id",
        "person_id",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
    ),
)

visitor_pass = Table(
    "visitor_pass",
    metadata,
    Column("pass_id", Uuid, primary_key=True),
    Column("estate_id", Text, nullable=False),
    Column("group_id", Text, nullable=False),
    Column("hmac", Text, nullable=False),
    Column("host_id", Uuid, ForeignKey("person.person_id")),
    Column("made_by", Text, nullable=False),
    Column("starts_at", MOMENT, nullable=False),
    Column("ends_at", MOMENT, nullable=False),
    Column("uses_max", Integer, nullable=False),
    Column("made_at", MOMENT, nullable=False),
    Column("ended_at", MOMENT),
    ForeignKeyConstraint(["estate_id", "group_id"], ["door_group.estate_id", "door_group.group_id"]),
    Index(
        "visitor_pass_one_code_idx",
        "estate_id",
        "hmac",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("visitor_pass_host_idx", "host_id", text("made_at DESC")),
)

consent_notice = Table(
    "consent_notice",
    metadata,
    Column("purpose", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("handler", Text, nullable=False),
    Column("contact", Text, nullable=False),
    Column("purpose_text", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("retention", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("rights", Text, nullable=False),
    Column("published_at", MOMENT, nullable=False),
)

consent = Table(
    "consent",
    metadata,
    Column("consent_id", Uuid, primary_key=True),
    Column("person_id", Uuid, ForeignKey("person.person_id"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("notice_version", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("guardian_id", Uuid, ForeignKey("person.person_id")),
    Column("relation", Text),
    Column("evidence_id", Uuid),
    Column("recorded_by", Uuid, nullable=False),
    Column("given_at", MOMENT, nullable=False),
    Column("ends_at", MOMENT),
    Column("withdrawn_at", MOMENT),
    Column("withdrawn_by", Uuid),
    ForeignKeyConstraint(["purpose", "notice_version"], ["consent_notice.purpose", "consent_notice.version"]),
    Index(
        "consent_one_live_idx",
        "person_id",
        "purpose",
        unique=True,
        postgresql_where=text("withdrawn_at IS NULL"),
    ),
    Index("consent_ends_at_idx", "ends_at", postgresql_where=text("ends_at IS NOT NULL")),
)

roster_version = Table(
    "roster_version",
    metadata,
    Column("estate_id", Text, ForeignKey("estate.estate_id"), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False, server_default="0"),
)

roster_item = Table(
    "roster_item",
    metadata,
    Column("estate_id", Text, ForeignKey("estate.estate_id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("item_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    # none_as_null: a removed item is SQL's NULL, not JSON's.
    Column("doc", JSONB(none_as_null=True)),
    Column("removed_at", MOMENT),
    UniqueConstraint("estate_id", "version"),
    Index("roster_item_removed_at_idx", "removed_at", postgresql_where=text("removed_at IS NOT NULL")),
)
