"""Tables of statements, matches and cases. Their guards stand in the migrations."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from backend.db import MOMENT, metadata

statement_account = Table(
    "statement_account",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("account_ref", Text, nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("book_id", Text, ForeignKey("book.book_id")),
    Column("account_code", Text, ForeignKey("account.account_code"), nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("since_on", Date, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    UniqueConstraint("source", "account_ref"),
)

statement_file = Table(
    "statement_file",
    metadata,
    Column("file_id", BigInteger, Identity(always=True), primary_key=True),
    Column("account_id", Text, ForeignKey("statement_account.account_id"), nullable=False),
    Column("format", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("from_on", Date, nullable=False),
    Column("to_on", Date, nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("new_line_count", Integer, nullable=False),
    Column("opening_fen", BigInteger),
    Column("closing_fen", BigInteger),
    Column("imported_at", MOMENT, nullable=False),
    Column("principal_id", Uuid),
    UniqueConstraint("account_id", "format", "sha256"),
    Index("statement_file_account_id_idx", "account_id", "from_on"),
)

statement_line = Table(
    "statement_line",
    metadata,
    Column("line_id", BigInteger, Identity(always=True), primary_key=True),
    Column("file_id", BigInteger, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("line_no", Integer, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("fee_fen", BigInteger, nullable=False),
    Column("at", MOMENT),
    Column("value_on", Date, nullable=False),
    Column("method", Text, nullable=False),
    Column("pay_ref", Text, nullable=False),
    Column("our_ref", Text, nullable=False),
    Column("payout_ref", Text, nullable=False),
    Column("book_ref", Text, nullable=False),
    Column("payer", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("balance_fen", BigInteger),
    Column("split_of", BigInteger),
    UniqueConstraint("account_id", "side", "external_id"),
    Index("statement_line_value_on_idx", "account_id", "value_on"),
    Index(
        "statement_line_payout_ref_idx",
        "account_id",
        "payout_ref",
        postgresql_where=text("payout_ref <> ''"),
    ),
    Index("statement_line_split_of_idx", "split_of", postgresql_where=text("split_of IS NOT NULL")),
)

payout_part = Table(
    "payout_part",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("payout_ref", Text, nullable=False),
    Index("payout_part_payout_ref_idx", "account_id", "payout_ref"),
)

statement_balance = Table(
    "statement_balance",
    metadata,
    Column("account_id", Text, ForeignKey("statement_account.account_id"), primary_key=True),
    Column("book_id", Text, ForeignKey("book.book_id"), primary_key=True),
    Column("on_day", Date, primary_key=True),
    Column("amount_fen", BigInteger, nullable=False),
    Column("file_id", BigInteger, ForeignKey("statement_file.file_id"), nullable=False),
    Index("statement_balance_book_id_idx", "book_id", "on_day"),
)

shared_balance = Table(
    "shared_balance",
    metadata,
    Column("account_id", Text, ForeignKey("statement_account.account_id"), primary_key=True),
    Column("on_day", Date, primary_key=True),
    Column("file_id", BigInteger, ForeignKey("statement_file.file_id"), primary_key=True),
    Column("amount_fen", BigInteger, nullable=False),
)

reconciliation_match = Table(
    "reconciliation_match",
    metadata,
    Column("match_id", BigInteger, Identity(always=True), primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("made_at", MOMENT, nullable=False),
    Column("principal_id", Uuid),
    Column("reason", Text, nullable=False),
    Column("undone_at", MOMENT),
    Column("undone_by", Uuid),
    Column("undone_reason", Text),
    Index("reconciliation_match_key_idx", "account_id", "key", postgresql_where=text("undone_at IS NULL")),
)

reconciliation_case = Table(
    "reconciliation_case",
    metadata,
    Column("case_id", BigInteger, Identity(always=True), primary_key=True),
    Column("account_id", Text, ForeignKey("statement_account.account_id"), nullable=False),
    Column("book_id", Text, ForeignKey("book.book_id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("on_day", Date, nullable=False),
    Column("difference_fen", BigInteger, nullable=False),
    Column("suggestion", Text, nullable=False),
    Column("owner_id", Uuid, ForeignKey("principal.principal_id")),
    Column("opened_at", MOMENT, nullable=False),
    Column("closed_at", MOMENT),
    Column("closed_by", Uuid, ForeignKey("principal.principal_id")),
    Column("close_reason", Text),
    Index(
        "reconciliation_case_open_idx",
        "account_id",
        "key",
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
    ),
    Index("reconciliation_case_book_id_idx", "book_id", "on_day"),
)

# What both kinds of standing point to is asked by their triggers, once a statement, as is what a part is of.
line_standing = Table(
    "line_standing",
    metadata,
    Column("line_id", BigInteger, primary_key=True),
    Column("match_id", BigInteger),
    Column("entry_id", BigInteger),
    Column("case_id", BigInteger),
    Column("split_at", MOMENT),
    Index("line_standing_match_id_idx", "match_id", postgresql_where=text("match_id IS NOT NULL")),
    Index("line_standing_case_id_idx", "case_id", postgresql_where=text("case_id IS NOT NULL")),
)

entry_standing = Table(
    "entry_standing",
    metadata,
    Column("account_id", Text, nullable=False),
    Column("entry_id", BigInteger, nullable=False),
    Column("match_id", BigInteger),
    Column("case_id", BigInteger),
    PrimaryKeyConstraint("entry_id", "account_id"),
    Index("entry_standing_match_id_idx", "match_id", postgresql_where=text("match_id IS NOT NULL")),
    Index("entry_standing_case_id_idx", "case_id", postgresql_where=text("case_id IS NOT NULL")),
)

reconciliation_day = Table(
    "reconciliation_day",
    metadata,
    Column("account_id", Text, ForeignKey("statement_account.account_id"), primary_key=True),
    Column("book_id", Text, ForeignKey("book.book_id"), primary_key=True),
    Column("on_day", Date, primary_key=True),
    Column("state", Text, nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("line_fen", BigInteger, nullable=False),
    Column("entry_count", Integer, nullable=False),
    Column("entry_fen", BigInteger, nullable=False),
    Column("matched_count", Integer, nullable=False),
    Column("waiting_count", Integer, nullable=False),
    Column("case_count", Integer, nullable=False),
    Column("checked_at", MOMENT, nullable=False),
    Index("reconciliation_day_book_id_idx", "book_id", "on_day"),
)
