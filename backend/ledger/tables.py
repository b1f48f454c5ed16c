"""Tables of the books. Their guards stand in the migrations `0002_ledger.sql` and `0003_*.sql`."""

from sqlalchemy import (
    BigInteger,
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
from sqlalchemy.types import UserDefinedType

from backend.approvals.tables import approval_use
from backend.db import MOMENT, metadata


class XID8(UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction number."""

    cache_ok = True

    def get_col_spec(self, **_kw: object) -> str:
        """Its name in SQL."""
        return "XID8"


account = Table(
    "account",
    metadata,
    Column("account_code", Text, primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("role", Text, unique=True),
)

book = Table(
    "book",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), unique=True),
    Column("income_class", Text, nullable=False),
    Column("opened_at", MOMENT, nullable=False),
)

journal_entry = Table(
    "journal_entry",
    metadata,
    Column("entry_id", BigInteger, Identity(always=True), primary_key=True),
    Column("book_id", Text, nullable=False),
    Column("event_kind", Text, nullable=False),
    Column("event_key", Text, nullable=False),
    Column("effective_on", Date, nullable=False),
    Column("posted_at", MOMENT, nullable=False),
    Column("line_count", SmallInteger, nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("summary_zh", Text, nullable=False),
    Column("principal_id", Uuid),
    Column("actor", Text, nullable=False),
    Column("reverses_entry_id", BigInteger),
    Column("reason", Text),
    Column("posted_xid", XID8, nullable=False, server_default=text("pg_current_xact_id()"), index=True),
    UniqueConstraint("book_id", "event_kind", "event_key"),
    Index(
        "journal_entry_reversed_once_idx",
        "reverses_entry_id",
        unique=True,
        postgresql_where=text("reverses_entry_id IS NOT NULL"),
    ),
    Index(
        "journal_entry_effective_on_idx",
        "effective_on",
        postgresql_using="brin",
        postgresql_ops={"effective_on": "date_minmax_multi_ops"},
        postgresql_with={"autosummarize": "on"},
    ),
)

posting = Table(
    "posting",
    metadata,
    Column("entry_id", BigInteger, primary_key=True),
    Column("line_no", SmallInteger, primary_key=True),
    Column("account_code", Text, nullable=False),
    Column("debit_fen", BigInteger, nullable=False),
    Column("credit_fen", BigInteger, nullable=False),
    Column("estate_id", Text),
    Column("unit_id", Uuid),
    Column("household_id", Uuid),
    Column("channel", Text),
    Index(
        "posting_household_id_idx",
        "household_id",
        "entry_id",
        postgresql_where=text("household_id IS NOT NULL"),
    ),
)

seal = Table(
    "seal",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("entry_id", BigInteger, nullable=False, unique=True),
    Column("digest", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("sealed_at", MOMENT, nullable=False),
)

balance_day = Table(
    "balance_day",
    metadata,
    Column("book_id", Text, primary_key=True),
    Column("account_code", Text, primary_key=True),
    Column("effective_on", Date, primary_key=True),
    Column("debit_fen", BigInteger, nullable=False),
    Column("credit_fen", BigInteger, nullable=False),
)

period_change = Table(
    "period_change",
    metadata,
    Column("book_id", Text, ForeignKey("book.book_id"), primary_key=True),
    Column("change_no", Integer, primary_key=True),
    Column("month", Date, nullable=False),
    Column("change", Text, nullable=False),
    Column("principal_id", Uuid, ForeignKey("principal.principal_id"), nullable=False),
    Column("changed_at", MOMENT, nullable=False),
    Column("recorded_at", MOMENT, nullable=False),
    Column("head_seq", BigInteger, nullable=False),
    Column("head_hash", LargeBinary),
    Column("proposal_id", Uuid, ForeignKey(approval_use.c.proposal_id), unique=True),
)
