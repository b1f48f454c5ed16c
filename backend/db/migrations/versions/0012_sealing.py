"""Sealing that costs the same for each entry, whatever the size of the book."""

from importlib import resources

from backend.db import guards

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0012_sealing.sql"
    guards.run(path.read_text(encoding="utf-8"))


def downgrade() -> None:
    # The seals are the same either way; nobody goes back for them.
    raise RuntimeError("0012 only makes sealing cheaper; restore a backup to go back further")
