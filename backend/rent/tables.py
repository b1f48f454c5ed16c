"""Tables of charges and of what was paid. Their guards stand in `0002_rent.sql` and `0004_charges.sql`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from backend.db import MOMENT, metadata
from backend.ledger.tables import XID8

receipt_serial = Sequence("receipt_serial", metadata=metadata)

rent_term = Table(
    "rent_term",
    metadata,
    Column("term_id", Uuid, primary_key=True),
    Column("tenancy_id", Uuid, ForeignKey("tenancy.tenancy_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("from_on", Date, nullable=False),
    Column("to_on", Date),
    Column("monthly_fen", BigInteger),
    Column("share_permille", Integer),
    Column("plan_id", Text),
    Column("tier_id", Text),
    Column("label_zh", Text, nullable=False),
    Column("principal_id", Uuid),
    Column("created_at", MOMENT, nullable=False),
    Column("ended_by", Uuid),
    UniqueConstraint("tenancy_id", "kind", "from_on"),
)

rent_charge = Table(
    "rent_charge",
    metadata,
    Column("charge_id", Uuid, primary_key=True),
    Column("estate_id", Text, nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("tenancy_id", Uuid, nullable=False),
    Column("unit_id", Uuid, nullable=False),
    Column("month", Date, nullable=False),
    Column("revision", SmallInteger, nullable=False),
    Column("due_on", Date, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("principal_id", Uuid),
    Column("charged_at", MOMENT, nullable=False),
    Column("proposal_id", Uuid, ForeignKey("approval_proposal.proposal_id"), unique=True),
    UniqueConstraint("tenancy_id", "month", "revision"),
    Index("rent_charge_household_id_idx", "household_id", "due_on"),
)

rent_charge_line = Table(
    "rent_charge_line",
    metadata,
    Column("charge_id", Uuid, primary_key=True),
    Column("line_no", SmallInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("from_on", Date, nullable=False),
    Column("to_on", Date, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("carried_fen", BigInteger, nullable=False),
    Column("label_zh", Text, nullable=False),
    Column("corrects", Boolean, nullable=False, server_default=text("false")),
)

payment = Table(
    "payment",
    metadata,
    Column("payment_id", Uuid, primary_key=True),
    Column("receipt_number", Text, nullable=False, unique=True),
    Column("entry_id", BigInteger, ForeignKey("journal_entry.entry_id"), nullable=False, unique=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("household_id", Uuid, ForeignKey("household.household_id"), nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_ref", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("paid_at", MOMENT, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
    UniqueConstraint("provider", "provider_ref"),
    Index("payment_household_id_idx", "household_id", "paid_at"),
    Index(
        "payment_recorded_at_idx",
        "recorded_at",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    ),
)

payment_allocation = Table(
    "payment_allocation",
    metadata,
    Column("payment_id", Uuid, ForeignKey("payment.payment_id"), nullable=False),
    Column("charge_id", Uuid, ForeignKey("rent_charge.charge_id"), primary_key=True),
    Column("allocation_no", SmallInteger, primary_key=True),
    Column("due", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("from_prepaid", Boolean, nullable=False),
    Column("allocated_at", MOMENT, nullable=False),
    Index("payment_allocation_payment_id_idx", "payment_id"),
)

payment_return = Table(
    "payment_return",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("journal_entry.entry_id"), primary_key=True),
    Column("payment_id", Uuid, ForeignKey("payment.payment_id"), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("pieces", JSONB, nullable=False),
    Column("returned_at", MOMENT, nullable=False),
    Index("payment_return_payment_id_idx", "payment_id"),
)

rent_run = Table(
    "rent_run",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id")),
    Column("month", Date, nullable=False),
    Column("principal_id", Uuid, nullable=False),
    Column("planned", Integer, nullable=False),
    Column("started_at", MOMENT, nullable=False),
    Column("next_estate_id", Text),
    Column("after_tenancy_id", Uuid),
    Column("charged", Integer, nullable=False, server_default=text("0")),
    Column("nothing_due", Integer, nullable=False, server_default=text("0")),
    Column("unpriced", Integer, nullable=False, server_default=text("0")),
    Column("amount_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("prepaid_used_fen", BigInteger, nullable=False, server_default=text("0")),
    Column("finished_at", MOMENT),
    Index("rent_run_unfinished_idx", "started_at", postgresql_where=text("finished_at IS NULL")),
)

receipt_link = Table(
    "receipt_link",
    metadata,
    Column("payment_id", Uuid, ForeignKey("payment.payment_id"), primary_key=True),
    Column("token", Text, nullable=False, unique=True),
    Column("created_at", MOMENT, nullable=False),
)

fiscal_serial = Sequence("fiscal_serial", metadata=metadata)

fiscal_receipt = Table(
    "fiscal_receipt",
    metadata,
    Column("number", Text, primary_key=True),
    Column("payment_id", Uuid, ForeignKey("payment.payment_id"), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("cancels", Text, ForeignKey("fiscal_receipt.number"), unique=True),
    Column("reason_zh", Text),
    Column("issued_at", MOMENT, nullable=False),
    Index("fiscal_receipt_payment_id_idx", "payment_id"),
)

# The take-over itself is `closing`'s; charging has to know which months the old system charged.
take_over_file = Table(
    "take_over_file",
    metadata,
    Column("file_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("month", Date, nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("principal_id", Uuid, ForeignKey("principal.principal_id"), nullable=False),
    Column("kept_at", MOMENT, nullable=False),
    UniqueConstraint("estate_id", "month", "sha256"),
)

take_over = Table(
    "take_over",
    metadata,
    Column("estate_id", Text, ForeignKey("estate.estate_id"), primary_key=True),
    Column("file_id", Uuid, ForeignKey("take_over_file.file_id"), nullable=False, unique=True),
    Column("month", Date, nullable=False),
    Column("proposal_id", Uuid, ForeignKey("approval_use.proposal_id"), nullable=False, unique=True),
    Column("posted_at", MOMENT, nullable=False),
    Column("posted_xid", XID8, nullable=False, server_default=text("pg_current_xact_id()")),
)

recovery = Table(
    "recovery",
    metadata,
    Column("charge_id", Uuid, ForeignKey("rent_charge.charge_id"), primary_key=True),
    Column("proposal_id", Uuid, ForeignKey("rent_charge.proposal_id"), nullable=False),
    Column("recovered_at", MOMENT, nullable=False),
    Index("recovery_proposal_id_idx", "proposal_id"),
)
