"""Balances of accounts that books share."""

from importlib import resources

from backend.db import guards

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0017_shared_accounts.sql"
    guards.run(path.read_text(encoding="utf-8"))
    for table in ("shared_balance", "close_share"):
        guards.run(guards.append_only(table), guards.grant(table, app="SELECT, INSERT"))


def downgrade() -> None:
    # Going back is restoring the backup: closed months stand on what was stated.
    raise RuntimeError("0017 holds stated balances; restore a backup instead")
