"""Guards and seals of many entries at a time for less, and one lane a sealer."""

from importlib import resources

from backend.db import guards

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0020_many_entries.sql"
    guards.run(
        path.read_text(encoding="utf-8"),
        f"GRANT EXECUTE ON FUNCTION seal_pending(integer, integer) TO {guards.APP};",
    )


def downgrade() -> None:
    # The same is refused and the seals are the same either way; nobody goes back for them.
    raise RuntimeError("0020 only makes entries cheaper; restore a backup to go back further")
