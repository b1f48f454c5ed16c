"""References of standings asked once a statement; matches and cases stay."""

from importlib import resources

from backend.db import guards

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0019_standings.sql"
    guards.run(path.read_text(encoding="utf-8"))


def downgrade() -> None:
    # More is refused than before; nobody goes back for less.
    raise RuntimeError("0019 only makes standings cheaper; restore a backup to go back further")
