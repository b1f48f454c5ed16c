"""PINs, rotating QR and visitor passes; guards' orders."""

from importlib import resources

from backend.db import guards

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ADD = "SELECT, INSERT"


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0009_credentials.sql"
    guards.run(path.read_text(encoding="utf-8"))
    guards.run(
        guards.grant(
            "pin",
            app=f"{ADD}, UPDATE (ended_at)",
            reader="SELECT (pin_id, estate_id, group_id, person_id, duress, issued_at, ended_at)",
        ),
        guards.grant(
            "qr_seed",
            app=f"{ADD}, UPDATE (ended_at)",
            reader="SELECT (qr_id, estate_id, person_id, created_at, ended_at)",
        ),
        guards.grant(
            "visitor_pass",
            app=f"{ADD}, UPDATE (ended_at)",
            reader="SELECT (pass_id, estate_id, group_id, host_id, made_by, starts_at, ends_at, uses_max,"
            " made_at, ended_at)",
        ),
        guards.grant("door_order", app=f"{ADD}, UPDATE (ended_at, ended_by)"),
        f"GRANT UPDATE (passback) ON estate TO {guards.APP};",
        f"GRANT SELECT (passback) ON estate TO {guards.READER};",
        f"GRANT UPDATE (hours) ON door TO {guards.APP};",
    )


def downgrade() -> None:
    # Going back is restoring the backup: people would stand before doors whose codes are gone.
    raise RuntimeError("0009 holds people's door codes; restore a backup instead")
