"""Retention, evidence, obligations."""

from importlib import resources

from backend.db import guards

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ADD = "SELECT, INSERT"
ADDED_ONLY = ("audit_link", "purpose_basis", "hand_over", "impact_assessment", "retention_run")
EVIDENCE = (
    "evidence_id, estate_id, kind, person_id, media_type, size_bytes, sha256, added_by, added_at, erased_at"
)


def upgrade() -> None:
    path = resources.files("backend.db.migrations") / "sql" / "0008_people.sql"
    guards.run(path.read_text(encoding="utf-8"))
    for table in ADDED_ONLY:
        # The chain is written by its trigger alone.
        guards.run(
            guards.append_only(table), guards.grant(table, app="SELECT" if table == "audit_link" else ADD)
        )
    guards.run(
        guards.grant("erasure_order", app=f"{ADD}, UPDATE (certificate_id, certified_at)"),
        guards.grant("vault_key", app=ADD),
        guards.grant("erasure_certificate", app=f"{ADD}, DELETE"),
        guards.grant("household_seen", app=f"{ADD}, DELETE"),
        guards.grant("legal_hold", app=f"{ADD}, UPDATE (released_at, released_by)"),
        # Sealed files are the application's alone.
        guards.grant(
            "evidence",
            app=f"{ADD}, UPDATE (wrapped_key, sealed, erased_at)",
            reader=f"SELECT ({EVIDENCE})",
        ),
        guards.grant("face_count", app=f"{ADD}, UPDATE (persons)"),
        guards.grant("refused_payload", app=f"{ADD}, UPDATE (times)"),
        # What their clocks let go of.
        "GRANT DELETE ON card, access_passage, roster_item TO estate_app;",
        "GRANT UPDATE (floor) ON roster_version TO estate_app;",
        "GRANT UPDATE (removed_at) ON roster_item TO estate_app;",
    )


def downgrade() -> None:
    # Going back is restoring the backup: dropping certificates and the audit chain is not a step to run.
    raise RuntimeError("0008 holds certificates and the audit chain; restore a backup instead")
