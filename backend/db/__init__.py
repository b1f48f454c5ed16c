"""The database: one metadata for every capability's tables; nothing is connected here."""

from sqlalchemy import DateTime, MetaData

# The names PostgreSQL gives by itself, so that tables written in SQL and in Python agree.
metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

# Every time is a UTC-aware datetime.
MOMENT = DateTime(timezone=True)
