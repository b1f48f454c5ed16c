"""Month close and take-over."""

from importlib import resources

from backend.db import guards

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for part in ("reports", "closing"):
        path = resources.files("backend.db.migrations") / "sql" / f"0007_{part}.sql"
        guards.run(path.read_text(encoding="utf-8"))
    for view in ("account_day", "due_account", "household_account", "household_label"):
        guards.run(guards.grant(view, app="SELECT"))
    guards.run(guards.append_only("month_close"), guards.grant("month_close", app="SELECT, INSERT"))


def downgrade() -> None:
    # Going back is restoring the backup: dropping the record of closed months is not a step anyone should run.
    raise RuntimeError("0007 holds the closed months; restore a backup instead")
