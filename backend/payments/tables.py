"""Tables of checkouts, of those who may pay, and of the provider's notices."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
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
    Column("shown", Text, nullable=False, server_default="page"),
    Column("charge_ids", ARRAY(Uuid), nullable=False, server_default="{}"),
    Column("link_id", Uuid, ForeignKey("pay_link.link_id")),
    Column("autopay_id", Uuid, ForeignKey("autopay.autopay_id")),
    Column("keep_card", Boolean, nullable=False, server_default="false"),
    Column("closed_reason", Text),
    UniqueConstraint("provider", "provider_ref"),
    Index("checkout_closed_reason_idx", "created_at", postgresql_where=text("closed_reason IS NOT NULL")),
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
    Column("principal_id", Uuid, ForeignKey("principal.principal_id")),
    UniqueConstraint("provider", "event_id"),
    Index(
        "provider_notice_waiting_idx", "next_try_at", "notice_id", postgresql_where=text("state = 'waiting'")
    ),
    Index("provider_notice_parked_idx", "notice_id", postgresql_where=text("state = 'parked'")),
)

pay_link = Table(
    "pay_link",
    metadata,
    Column("link_id", Uuid, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("household_id", Uuid, ForeignKey("household.household_id"), nullable=False),
    Column("principal_id", Uuid, ForeignKey("principal.principal_id"), nullable=False),
    Column("amount_fen", BigInteger),
    Column("created_at", MOMENT, nullable=False),
    Column("expires_at", MOMENT, nullable=False),
    Column("revoked_at", MOMENT),
    Index("pay_link_household_id_idx", "household_id", "created_at"),
)

autopay = Table(
    "autopay",
    metadata,
    Column("autopay_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("household_id", Uuid, ForeignKey("household.household_id"), nullable=False),
    Column("principal_id", Uuid, ForeignKey("principal.principal_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("consent_version", SmallInteger, nullable=False),
    Column("limit_fen", BigInteger, nullable=False),
    Column("consented_at", MOMENT, nullable=False),
    Column("card_ref", Text),
    Column("ended_at", MOMENT),
    Column("ended_why", Text),
    Index(
        "autopay_one_at_a_time_idx", "household_id", unique=True, postgresql_where=text("ended_at IS NULL")
    ),
)

autopay_run = Table(
    "autopay_run",
    metadata,
    Column("autopay_id", Uuid, ForeignKey("autopay.autopay_id"), primary_key=True),
    Column("month", Date, primary_key=True),
    Column("told_at", MOMENT, nullable=False),
    Column("take_on", Date, nullable=False),
    Column("checkout_id", Uuid, ForeignKey("checkout.checkout_id"), unique=True),
    Column("skipped_why", Text),
)

counter_slip = Table(
    "counter_slip",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("slip_ref", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject_id", Uuid, nullable=False, unique=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("at", MOMENT, nullable=False),
    Column("principal_id", Uuid, ForeignKey("principal.principal_id"), nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
    Index("counter_slip_at_idx", "provider", "at"),
)
