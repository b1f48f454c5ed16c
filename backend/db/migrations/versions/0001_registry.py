"""Registry, identity and access."""

from importlib import resources

from backend.db import guards

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ADD = "SELECT, INSERT"


def upgrade() -> None:
    guards.run(guards.REFUSE_CHANGE)
    for part in ("registry", "identity", "access"):
        path = resources.files("backend.db.migrations") / "sql" / f"0001_{part}.sql"
        guards.run(path.read_text(encoding="utf-8"))
    for table in ("audit_record", "consent_notice"):
        guards.run(guards.append_only(table))
    guards.run(
        guards.grant(
            "estate",
            app=f"{ADD}, UPDATE (name_zh, name_en, district, faces_enabled, assessed_on,"
            " liveness_waiver_until, liveness_waiver_author, liveness_waiver_reason, fpir)",
            reader="SELECT (estate_id, name_zh, name_en, district, faces_enabled, assessed_on,"
            " liveness_waiver_until, liveness_waiver_author, liveness_waiver_reason, fpir, created_at)",
        ),
        guards.grant("building", app=f"{ADD}, UPDATE (name_zh, floors, units_per_floor)"),
        guards.grant("unit", app=ADD),
        guards.grant("door_group", app=ADD),
        guards.grant(
            "door",
            app=f"{ADD}, UPDATE (building_id, group_id, name_zh, name_en, credentials, way, protocol, active)",
        ),
        guards.grant("household", app=ADD),
        guards.grant("person", app=f"{ADD}, UPDATE (name, born_on)"),
        guards.grant("household_member", app=f"{ADD}, UPDATE (to_on)"),
        guards.grant("tenancy", app=f"{ADD}, UPDATE (to_on)"),
        guards.grant("door_right", app=f"{ADD}, UPDATE (ends_at)"),
        guards.grant("card", app=f"{ADD}, UPDATE (blocked, ended_at)"),
        guards.grant("consent_notice", app=ADD),
        guards.grant("consent", app=f"{ADD}, UPDATE (withdrawn_at, withdrawn_by)"),
        guards.grant("roster_version", app=f"{ADD}, UPDATE (version)"),
        guards.grant("roster_item", app=f"{ADD}, UPDATE (version, doc)"),
        guards.grant(
            "principal",
            app=f"{ADD}, UPDATE (password_hash, display_name, disabled_at)",
            reader="SELECT (principal_id, login, display_name, person_id, created_at, disabled_at)",
        ),
        guards.grant("principal_role", app=f"{ADD}, UPDATE (valid_to)"),
        guards.grant("login_session", app=f"{ADD}, UPDATE (seen_at, ended_at), DELETE", reader=""),
        guards.grant("gateway", app=f"{ADD}, UPDATE (revoked_at)"),
        guards.grant("gateway_scope", app=f"{ADD}, DELETE"),
        guards.grant(
            "gateway_credential",
            app=f"{ADD}, UPDATE (expires_at, revoked_at)",
            reader="SELECT (credential_id, gateway_id, created_at, expires_at, revoked_at)",
        ),
        guards.grant("rate_limit", app=f"{ADD}, UPDATE (window_started_at, hits), DELETE", reader=""),
        guards.grant("audit_record", app=ADD),
        guards.grant("access_passage", app=ADD),
        guards.grant("access_record", app=ADD),
        guards.grant(
            "device_state",
            app=f"{ADD}, UPDATE (estate_id, state, since, clock_offset_ms, gateway_id, reported_at)",
        ),
    )


def downgrade() -> None:
    # Going back is restoring the backup: dropping the audit log is not a step anyone should run.
    raise RuntimeError("0001 is the first migration; restore a backup instead")
