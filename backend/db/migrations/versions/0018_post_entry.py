"""One entry through one function, many by fewer questions, and one lane a sealer."""

from importlib import resources

from backend.db import guards

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    folder = resources.files("backend.db.migrations") / "sql"
    guards.run(
        (folder / "0018_post_entry.sql").read_text(encoding="utf-8"),
        (folder / "0018_sealing.sql").read_text(encoding="utf-8"),
        f"GRANT EXECUTE ON FUNCTION post_entry, seal_pending, seal_book TO {guards.APP};",
        # The sealer looks whether entries arrive.
        f"GRANT SELECT ON SEQUENCE journal_entry_entry_id_seq TO {guards.APP};",
    )


def downgrade() -> None:
    # The same is refused either way; nobody goes back for it.
    raise RuntimeError("0018 only makes entries cheaper; restore a backup to go back further")
