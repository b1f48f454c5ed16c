"""One index less for each entry that stands, and parts of lines asked about once a statement."""

from importlib import resources

from backend.db import guards

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0021_lines.sql"
    guards.run(path.read_text(encoding="utf-8"))


def downgrade() -> None:
    # The same is refused either way; nobody goes back for it.
    raise RuntimeError("0021 only makes lines cheaper; restore a backup to go back further")
