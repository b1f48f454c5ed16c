"""Tables of closed months. Their guards stand in the migrations `0007_*.sql`."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from backend.db import MOMENT, metadata

month_close = Table(
    "month_close",
    metadata,
    Column("close_id", Uuid, primary_key=True),
    Column("book_id", Text, ForeignKey("book.book_id"), nullable=False),
    Column("month", Date, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("change_no", Integer, nullable=False),
    Column("head_seq", BigInteger, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("previous_seq", BigInteger),
    Column("previous_hash", LargeBinary),
    Column("manifest_sha256", LargeBinary, nullable=False),
    Column("despite", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("closed_by", Uuid, ForeignKey("principal.principal_id"), nullable=False),
    Column("closed_at", MOMENT, nullable=False),
    UniqueConstraint("book_id", "month", "revision"),
    UniqueConstraint("book_id", "change_no"),
    ForeignKeyConstraint(["book_id", "change_no"], ["period_change.book_id", "period_change.change_no"]),
)
