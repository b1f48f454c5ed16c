"""Bills, statements, matches and cases."""

from importlib import resources

from backend.db import guards

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ADD = "SELECT, INSERT"


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0006_reconciliation.sql"
    guards.run(path.read_text(encoding="utf-8"))
    for table in ("statement_file", "statement_line", "payout_part", "statement_balance"):
        guards.run(guards.append_only(table), guards.grant(table, app=ADD))
    guards.run(
        # Numbers are drawn ahead, so that matches and what stands on them go in by COPY.
        f"GRANT USAGE ON SEQUENCE reconciliation_match_match_id_seq TO {guards.APP};",
        guards.grant(
            "statement_account",
            app=f"{ADD}, UPDATE (name_zh, settings, since_on)",
        ),
        guards.grant("reconciliation_match", app=f"{ADD}, UPDATE (undone_at, undone_by, undone_reason)"),
        guards.grant(
            "reconciliation_case",
            app=f"{ADD}, UPDATE (book_id, kind, side, on_day, difference_fen, suggestion, owner_id, closed_at,"
            " closed_by, close_reason)",
        ),
        guards.grant("line_standing", app=f"{ADD}, UPDATE (match_id, entry_id, case_id, split_at), DELETE"),
        guards.grant("entry_standing", app=f"{ADD}, UPDATE (match_id, case_id), DELETE"),
        guards.grant(
            "reconciliation_day",
            app=f"{ADD}, UPDATE (state, line_count, line_fen, entry_count, entry_fen, matched_count,"
            " waiting_count, case_count, checked_at)",
        ),
    )


def downgrade() -> None:
    # Going back is restoring the backup: the statements are evidence, and matches stand on them.
    raise RuntimeError("0006 holds statements and matches; restore a backup instead")
