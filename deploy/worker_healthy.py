"""The worker's health check: ends with 0 while a worker is connected to the database and listens.

The worker serves no page to ask; what it does show is its listening connection, which the database drops
when the worker or its connection is gone.
"""

import sys

from backend.db.engine import connect
from backend.settings import load, settings_path

database = load(settings_path()).database
with connect(database.url, database.password_file) as connection:
    found = connection.execute(
        "SELECT 1 FROM pg_stat_activity WHERE usename = current_user AND query LIKE 'LISTEN %'"
    ).fetchone()
sys.exit(None if found is not None else "no worker is listening")
