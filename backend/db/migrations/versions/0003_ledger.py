"""The sealed chain, periods and approvals."""

from importlib import resources

import sqlalchemy as sa
from alembic import op

from backend.db import guards
from estate.config import read_toml

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ADD = "SELECT, INSERT"


def upgrade() -> None:
    for part in ("approvals", "seals", "periods"):
        path = resources.files("backend.db.migrations") / "sql" / f"0003_{part}.sql"
        guards.run(path.read_text(encoding="utf-8"))
    guards.run(
        guards.grant("approval_kind", app="SELECT"),
        guards.grant(
            "approval_proposal",
            app=f"{ADD}, UPDATE (summary_zh, payload, reason, revision, changed_at, withdrawn_at)",
            # Summary, payload and reason may name a household.
            reader="SELECT (proposal_id, kind, estate_id, subject, proposed_by, proposed_at, revision,"
            " changed_at, withdrawn_at)",
        ),
        guards.append_only("approval_decision"),
        guards.grant("approval_decision", app=ADD),
        guards.append_only("approval_use"),
        guards.grant("approval_use", app=ADD),
        guards.append_only("seal"),
        guards.grant("seal", app="SELECT"),
        guards.grant("seal_progress", app="SELECT"),
        guards.grant("balance_day", app="SELECT"),
        f"GRANT EXECUTE ON FUNCTION seal_pending(integer) TO {guards.APP};",
        guards.append_only("period_change"),
        guards.grant("period_change", app=ADD),
        # A chart that had no account for something may name one that it has.
        f"GRANT UPDATE (role) ON account TO {guards.APP};",
    )
    _store_rights()


def downgrade() -> None:
    # What was sealed and who approved what is proof; dropping it is not a step anyone should run.
    raise RuntimeError("0003 holds seals and approvals; restore a backup instead")


def _store_rights() -> None:
    """The rights that come with the software, as a beginning."""
    with resources.as_file(resources.files("backend.approvals") / "rights.toml") as path:
        kinds = read_toml(path)["kind"]
    op.bulk_insert(
        sa.table("approval_kind", *(sa.column(name) for name in ("kind", "name_zh", "name_en")),
                 sa.column("propose_roles", sa.ARRAY(sa.Text)), sa.column("approve_roles", sa.ARRAY(sa.Text))),
        [
            {"kind": k["kind"], "name_zh": k["name_zh"], "name_en": k["name_en"],
             "propose_roles": k["propose"], "approve_roles": k["approve"]}
            for k in kinds
        ],
    )  # fmt: skip
