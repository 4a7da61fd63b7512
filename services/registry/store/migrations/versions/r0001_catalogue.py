"""The tables of the first registry, which made them without Alembic."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision: str | None = None

_NAME = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")


def upgrade() -> None:
    catalogue = op.create_table(
        "catalogue",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(catalogue, [{"id": 1, "schema_version": 1, "revision": 0}])
    op.create_table(
        "meanings",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("json", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "definitions",
        sa.Column("project", _NAME, primary_key=True),
        sa.Column("kind_rank", sa.Integer, primary_key=True),
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("major", sa.Integer, primary_key=True),
        sa.Column("minor", sa.Integer, primary_key=True),
        sa.Column("patch", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("meaning_hash", sa.String(64), sa.ForeignKey("meanings.hash"), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("change", sa.String(32), nullable=False),
        sa.Column("project", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("ref", sa.String(160), nullable=False),
        sa.Column("meaning_hash", sa.String(64), nullable=False),
        sa.Column("differences", sa.Text, nullable=False),
    )
