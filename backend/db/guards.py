"""SQL for migrations: who may do what to a table, and tables whose rows never change.

A migration calls `run(append_only("journal_entry"), grant("journal_entry", app="SELECT, INSERT"))`.
"""

from __future__ import annotations

from alembic import op

OWNER, APP, READER = "estate_owner", "estate_app", "estate_reader"

# Made once, by the first migration; every guarded table's triggers call it.
REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: its rows are only ever added', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'refuse_change', TABLE = TG_TABLE_NAME;
END $$;
"""


def append_only(table: str) -> str:
    """SQL that makes `table` refuse UPDATE, DELETE and TRUNCATE, whoever asks, its owner included.

    `ENABLE ALWAYS` keeps the triggers firing also where `session_replication_role` is `replica`.
    """
    return f"""
CREATE TRIGGER {table}_refuse_change BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER {table}_refuse_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_refuse_change;
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_refuse_truncate;
"""


def grant(table: str, *, app: str, reader: str = "SELECT") -> str:
    """SQL that gives the application and the reader their rights on `table`.

    Args:
        app: such as `SELECT, INSERT, UPDATE (ends_at)`; never TRUNCATE, and never UPDATE or DELETE on
            rows that are posted.
        reader: `SELECT`, `SELECT (column, …)` to leave secrets out, or empty for nothing.
    """
    lines = [f"GRANT {app} ON {table} TO {APP};"]
    if reader:
        lines.append(f"GRANT {reader} ON {table} TO {READER};")
    return "\n".join(lines)


def run(*statements: str) -> None:
    """Run SQL texts of any number of statements in the migration's transaction, `%` meaning itself."""
    options = {"no_parameters": True}
    for text in statements:
        op.get_bind().exec_driver_sql(text, execution_options=options)
