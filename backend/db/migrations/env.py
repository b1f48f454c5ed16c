"""Alembic's entry: runs the migrations on the connection that `backend.db.migrate` opened."""

from alembic import context

from backend.db import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # One transaction for all steps: a failed migration leaves the database as it was.
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
