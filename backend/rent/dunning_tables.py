"""Tables of reminders. Their guards stand in the migration `0004_dunning.sql`."""

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Index, SmallInteger, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from backend.db import MOMENT, metadata

dunning_case = Table(
    "dunning_case",
    metadata,
    Column("case_id", Uuid, primary_key=True),
    Column("estate_id", Text, ForeignKey("estate.estate_id"), nullable=False),
    Column("household_id", Uuid, ForeignKey("household.household_id"), nullable=False),
    Column("since_on", Date, nullable=False),
    Column("opened_on", Date, nullable=False),
    Column("closed_on", Date),
    Index(
        "dunning_case_one_open_idx",
        "household_id",
        unique=True,
        postgresql_where=text("closed_on IS NULL"),
    ),
)

dunning_step = Table(
    "dunning_step",
    metadata,
    Column("case_id", Uuid, ForeignKey("dunning_case.case_id"), primary_key=True),
    Column("rung", Text, primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("taken_on", Date, nullable=False),
    Column("deadline_on", Date),
    Column("owed_fen", BigInteger, nullable=False),
    Column("in_a_row", SmallInteger, nullable=False),
    Column("cumulative", SmallInteger, nullable=False),
    Column("months", JSONB, nullable=False),
)

dunning_round = Table(
    "dunning_round",
    metadata,
    Column("day", Date, primary_key=True),
    Column("after_household_id", Uuid),
    Column("finished_at", MOMENT),
)
