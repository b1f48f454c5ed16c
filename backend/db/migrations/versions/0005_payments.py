"""Several providers, others who pay, the counter; refunds, disputes and deposits."""

from importlib import resources

from backend.db import guards

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ADD = "SELECT, INSERT"
POSTED = ("counter_slip", "payment_return", "money_evidence", "deposit_deduction", "deposit_return")


def upgrade() -> None:
    for part in ("payments", "money_back"):
        path = resources.files("backend.db.migrations") / "sql" / f"0005_{part}.sql"
        guards.run(path.read_text(encoding="utf-8"))
    for table in POSTED:
        guards.run(guards.append_only(table))
    guards.run(
        guards.grant("counter_slip", app=ADD),
        guards.grant("payment_return", app=ADD),
        guards.grant("deposit_deduction", app=ADD),
        guards.grant(
            "pay_link",
            app=f"{ADD}, UPDATE (revoked_at)",
            reader="SELECT (link_id, estate_id, household_id, principal_id, amount_fen, created_at, expires_at,"
            " revoked_at)",
        ),
        guards.grant(
            "autopay",
            app=f"{ADD}, UPDATE (card_ref, ended_at, ended_why)",
            reader="SELECT (autopay_id, estate_id, household_id, principal_id, kind, provider,"
            " consent_version, limit_fen, consented_at, ended_at, ended_why)",
        ),
        guards.grant("autopay_run", app=f"{ADD}, UPDATE (checkout_id, skipped_why)"),
        f"GRANT UPDATE (shown, closed_reason) ON checkout TO {guards.APP};",
        f"GRANT SELECT (shown, charge_ids, link_id, autopay_id, keep_card, closed_reason) ON checkout"
        f" TO {guards.READER};",
        f"GRANT UPDATE (principal_id) ON provider_notice TO {guards.APP};",
        f"GRANT SELECT (principal_id) ON provider_notice TO {guards.READER};",
        guards.grant(
            "refund",
            app=f"{ADD}, UPDATE (state, provider_ref, detail, entry_id, reversal_entry_id, finished_at,"
            " next_check_at, checks)",
            # Whose account a transfer goes to is nobody's business who only reads.
            reader="SELECT (refund_id, payment_id, estate_id, household_id, amount_fen, provider, payment_ref,"
            " state, proposal_id, provider_ref, detail, entry_id, reversal_entry_id, created_at, finished_at,"
            " next_check_at, checks)",
        ),
        guards.grant(
            "dispute",
            app=f"{ADD}, UPDATE (state, answer_by, evidence_zh, evidence_id, answered_by, answered_at,"
            " opened_entry_id, ended_entry_id, ended_at, next_check_at, checks)",
        ),
        guards.grant(
            "money_evidence",
            app=ADD,
            reader="SELECT (evidence_id, estate_id, name_zh, media_type, sha256, principal_id, kept_at)",
        ),
        guards.grant(
            "deposit_settlement",
            app=f"{ADD}, UPDATE (settled_on, due_on, released_entry_id, reminded_at)",
        ),
        guards.grant(
            "deposit_return",
            app=ADD,
            reader="SELECT (tenancy_id, amount_fen, proposal_id, transfer_ref, entry_id, returned_at)",
        ),
    )


def downgrade() -> None:
    # As in 0002: going back is restoring the backup.
    raise RuntimeError("0005 holds money that went back; restore a backup instead")
