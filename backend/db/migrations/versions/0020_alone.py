"""Guards read their tables alone, without those that inherit from them."""

from importlib import resources

from backend.db import guards

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0020_alone.sql"
    guards.run(path.read_text(encoding="utf-8"))


def downgrade() -> None:
    # More is refused than before; nobody goes back for less.
    raise RuntimeError("0020 only makes guards stricter; restore a backup to go back further")
