"""Take-over of an estate's old books, recoveries of what was written off, nothing above what stands there."""

from importlib import resources

from backend.db import guards

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ADD = "SELECT, INSERT"


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0013_take_over.sql"
    guards.run(path.read_text(encoding="utf-8"))
    for table in ("take_over_file", "take_over", "recovery"):
        guards.run(guards.append_only(table))
    guards.run(
        # The old system's file says what every household owes, by number: the reader has the books instead.
        guards.grant(
            "take_over_file",
            app=ADD,
            reader="SELECT (file_id, estate_id, month, name_zh, sha256, principal_id, kept_at)",
        ),
        guards.grant("take_over", app=ADD),
        guards.grant("recovery", app=ADD),
    )


def downgrade() -> None:
    # Going back is restoring the backup: opening entries are in the books, and what they came from is evidence.
    raise RuntimeError("0013 holds taken-over books; restore a backup instead")
