"""Tariffs, readings, dunning, messages and receipt documents."""

from importlib import resources

from backend.db import guards

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


ADD = "SELECT, INSERT"
# Whoever has the address of a receipt can open it.
READERS = {"receipt_link": "SELECT (payment_id, created_at)"}


def upgrade() -> None:
    for part in ("messaging", "charges", "pricing", "runs", "dunning", "receipts"):
        path = resources.files("backend.db.migrations") / "sql" / f"0004_{part}.sql"
        guards.run(path.read_text(encoding="utf-8"))
    for table in ("unit_area", "meter_reading", "dunning_step", "receipt_link", "fiscal_receipt"):
        guards.run(
            guards.append_only(table), guards.grant(table, app=ADD, reader=READERS.get(table, "SELECT"))
        )
    guards.run(
        guards.grant("tariff", app=f"{ADD}, UPDATE (to_on)"),
        guards.grant("relief_tier", app=f"{ADD}, UPDATE (to_on)"),
        guards.grant(
            "rent_run",
            app=f"{ADD}, UPDATE (next_estate_id, after_tenancy_id, charged, nothing_due, unpriced, amount_fen,"
            " prepaid_used_fen, finished_at)",
        ),
        guards.grant("dunning_case", app=f"{ADD}, UPDATE (closed_on)"),
        guards.grant("dunning_round", app=f"{ADD}, UPDATE (after_household_id, finished_at)"),
        f"GRANT USAGE ON SEQUENCE fiscal_serial TO {guards.APP};",
        guards.grant("meter", app=f"{ADD}, UPDATE (removed_on)"),
        f"GRANT UPDATE (ended_by) ON rent_term TO {guards.APP};",
        # Telephone numbers, and texts that name debts, are nothing for reports.
        guards.grant(
            "message_address", app=f"{ADD}, UPDATE (address, updated_at), DELETE", reader="SELECT (person_id)"
        ),
        guards.grant(
            "message",
            app=f"{ADD}, UPDATE (state, reason, messenger, messenger_ref, attempts, next_try_at, sent_at,"
            " finished_at)",
            reader="SELECT (message_id, estate_id, channel, state, reason, attempts, created_at, sent_at,"
            " finished_at)",
        ),
    )


def downgrade() -> None:
    # Charges are priced by what stands here, and demands proven by it.
    raise RuntimeError("0004 holds what charges were made of; restore a backup instead")
