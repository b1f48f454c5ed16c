"""Books, rent and payments."""

from importlib import resources

from backend.db import guards

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ADD = "SELECT, INSERT"
POSTED = (
    "book",
    "journal_entry",
    "posting",
    "rent_charge",
    "rent_charge_line",
    "payment",
    "payment_allocation",
)


def upgrade() -> None:
    for part in ("ledger", "rent", "payments"):
        path = resources.files("backend.db.migrations") / "sql" / f"0002_{part}.sql"
        guards.run(path.read_text(encoding="utf-8"))
    for table in POSTED:
        guards.run(guards.append_only(table), guards.grant(table, app=ADD))
    guards.run(
        guards.grant("account", app=f"{ADD}, UPDATE (name_zh, name_en)"),
        guards.grant("rent_term", app=f"{ADD}, UPDATE (to_on)"),
        guards.grant(
            "checkout",
            app=f"{ADD}, UPDATE (state, provider_ref, url, reason, next_check_at, checks, payment_id)",
            # The address of an open checkout lets its holder see the amount.
            reader="SELECT (checkout_id, estate_id, household_id, principal_id, provider, method, amount_fen,"
            " state, provider_ref, reason, created_at, expires_at, next_check_at, checks, payment_id)",
        ),
        guards.grant(
            "provider_notice",
            app=f"{ADD}, UPDATE (state, reason, attempts, next_try_at, finished_at, payment_id)",
            # A notice's body may hold what the provider knows of the payer.
            reader="SELECT (notice_id, provider, event_id, received_at, state, reason, attempts, next_try_at,"
            " finished_at, payment_id)",
        ),
        f"GRANT USAGE ON SEQUENCE receipt_serial TO {guards.APP};",
    )


def downgrade() -> None:
    # Going back is restoring the backup: dropping the books is not a step anyone should run.
    raise RuntimeError("0002 holds the books; restore a backup instead")
