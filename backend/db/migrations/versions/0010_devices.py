"""Panels, alarms and device life."""

from importlib import resources

from backend.db import guards

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ADD = "SELECT, INSERT"


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0010_devices.sql"
    guards.run(path.read_text(encoding="utf-8"))
    guards.run(guards.append_only("panel_erasure"))
    guards.run(
        f"GRANT UPDATE (panel_lease_days) ON estate TO {guards.APP};",
        f"GRANT SELECT (panel_lease_days) ON estate TO {guards.READER};",
        f"GRANT UPDATE (contact, battery_percent) ON device_state TO {guards.APP};",
        guards.grant(
            "device_alarm",
            app=f"{ADD}, UPDATE (repeated_at, times, cleared_at, reported_at, seen_at, seen_by)",
        ),
        guards.grant(
            "panel_state",
            app=f"{ADD}, UPDATE (estate_id, people, refused, missing, extra, nameless, strangers,"
            " reconciled_at, gateway_id, reported_at)",
        ),
        guards.grant("panel_leaving", app=f"{ADD}, UPDATE (since, until_at), DELETE"),
        guards.grant("panel_erasure", app=ADD),
    )


def downgrade() -> None:
    # Going back is restoring the backup: the erasures that panels have confirmed are evidence.
    raise RuntimeError("0010 holds confirmed erasures; restore a backup instead")
