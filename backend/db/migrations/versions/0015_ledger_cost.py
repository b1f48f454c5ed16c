"""Guards of an entry in fewer questions, and two sealers side by side."""

from importlib import resources

from backend.db import guards

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0015_ledger_cost.sql"
    guards.run(
        path.read_text(encoding="utf-8"),
        guards.grant("seal_lane", app="SELECT"),
        f"GRANT EXECUTE ON FUNCTION seal_pending(integer), seal_book(text) TO {guards.APP};",
    )


def downgrade() -> None:
    # The same is refused and the seals are the same either way; nobody goes back for them.
    raise RuntimeError("0015 only makes entries cheaper; restore a backup to go back further")
