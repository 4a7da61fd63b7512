"""What Alembic runs: the steps, on the connection and in the transaction that it was handed."""

from __future__ import annotations

from alembic import context

from services.registry.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,  # of SQLite Alembic does not expect it, but both undo a step that fails
)
context.run_migrations()
