"""Tables of checkouts and of the provider's notices."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from backend.db import MOMENT, metadata

checkout = Table(
    "checkout",
    metadata,
    Column("checkout_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("household_id", Uuid, ForeignKey("household.household_id"), nullable=False),
    Column("principal_id", Uuid, ForeignKey("principal.principal_id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("return_url", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("provider_ref", Text),
    Column("url", Text),
    Column("reason", Text),
    Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("next_check_at", MOMENT),
    Column("checks", Integer, nullable=False),
    Column("payment_id", Uuid, ForeignKey("payment.payment_id")),
    UniqueConstraint("provider", "provider_ref"),
    Index("checkout_next_check_at_idx", "next_check_at", postgresql_where=text("next_check_at IS NOT NULL")),
    Index("checkout_household_id_idx", "household_id", "created_at"),
)

provider_notice = Table(
    "provider_notice",
    metadata,
    Column("notice_id", BigInteger, Identity(always=True), primary_key=True),
    Column("provider", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", MOMENT, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("attempts", SmallInteger, nullable=False),
    Column("next_try_at", MOMENT, nullable=False),
    Column("finished_at", MOMENT),
    Column("payment_id", Uuid, ForeignKey("payment.payment_id")),
    UniqueConstraint("provider", "event_id"),
    Index(
        "provider_notice_waiting_idx", "next_try_at", "notice_id", postgresql_where=text("state = 'waiting'")
    ),
    Index("provider_notice_parked_idx", "notice_id", postgresql_where=text("state = 'parked'")),
)
