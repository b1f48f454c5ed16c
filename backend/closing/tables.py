"""Tables of closed months. Their guards stand in the migrations `0007_*`, `0016_*` and `0017_*`."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Date,
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

from backend.db import MOMENT, metadata

close_share = Table(
    "close_share",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("change_no", Integer, primary_key=True),
    Column("account_id", Text, ForeignKey("statement_account.account_id"), primary_key=True),
    Column("of_book_id", Text, ForeignKey("book.book_id"), primary_key=True),
    Column("on_day", Date, nullable=False),
    Column("file_id", BigInteger, ForeignKey("statement_file.file_id"), nullable=False),
    Column("balance_fen", BigInteger, nullable=False),
    Column("share_fen", BigInteger, nullable=False),
    Column("head_seq", BigInteger, nullable=False),
    Column("head_hash", LargeBinary),
    ForeignKeyConstraint(["book_id", "change_no"], ["period_change.book_id", "period_change.change_no"]),
)

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

close_request = Table(
    "close_request",
    metadata,
    Column("request_id", Uuid, primary_key=True),
    Column("book_id", Text, ForeignKey("book.book_id"), nullable=False),
    Column("month", Date, nullable=False),
    Column("despite", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", Uuid, ForeignKey("principal.principal_id"), nullable=False),
    Column("requested_at", MOMENT, nullable=False),
    Column("started_at", MOMENT),
    Column("finished_at", MOMENT),
    Column("refused_zh", Text),
    Column("refused_en", Text),
    Index(
        "close_request_open_idx",
        "book_id",
        "month",
        unique=True,
        postgresql_where=text("finished_at IS NULL"),
    ),
)

close_signature = Table(
    "close_signature",
    metadata,
    Column("close_id", Uuid, ForeignKey("month_close.close_id"), primary_key=True),
    Column("signs_as", Text, primary_key=True),
    Column("head_seq", BigInteger, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("manifest_sha256", LargeBinary, nullable=False),
    Column("debit_fen", BigInteger, nullable=False),
    Column("credit_fen", BigInteger, nullable=False),
    Column("signed_by", Uuid, ForeignKey("principal.principal_id"), nullable=False),
    Column("signed_at", MOMENT, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
)
