"""Open charges in one pass, whatever the size of a book."""

from importlib import resources

from backend.db import guards

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0012_open_charges.sql"
    guards.run(path.read_text(encoding="utf-8"))


def downgrade() -> None:
    # The step before holds sealed evidence; what this one replaces gave the same rows, only later.
    raise RuntimeError("0012 stands on 0011, which has sealed evidence; restore a backup instead")
