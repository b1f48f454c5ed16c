"""Sealing that costs the same for each entry, whatever the size of the book."""

from importlib import resources

from backend.db import guards

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0014_sealing.sql"
    guards.run(path.read_text(encoding="utf-8"))


def downgrade() -> None:
    # The seals are the same either way; nobody goes back for them.
    raise RuntimeError("0014 only makes sealing cheaper; restore a backup to go back further")
