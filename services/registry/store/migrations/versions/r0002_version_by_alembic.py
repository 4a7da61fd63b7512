"""The schema's version is what Alembic notes, and nothing beside it."""

from __future__ import annotations

from alembic import op

revision = "r0002"
down_revision: str | None = "r0001"


def upgrade() -> None:
    with op.batch_alter_table("catalogue") as catalogue:
        catalogue.drop_column("schema_version")
