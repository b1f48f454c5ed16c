"""Closes that are asked for and done by the worker, and the two signatures under a close sheet."""

from importlib import resources

from backend.db import guards

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

ADD = "SELECT, INSERT"


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0016_close_desk.sql"
    guards.run(path.read_text(encoding="utf-8"))
    guards.run(
        guards.grant("close_request", app=f"{ADD}, UPDATE (started_at, finished_at, refused_zh, refused_en)"),
        guards.append_only("close_signature"),
        guards.grant("close_signature", app=ADD),
    )


def downgrade() -> None:
    # Who signed which head is proof; dropping it is not a step anyone should run.
    raise RuntimeError("0016 holds signatures; restore a backup instead")
