"""The tables as the newest migration leaves them.

`catalogue` (one row: the revision), `meanings` (bytes by hash), `definitions` (what has which meaning), `audit` (who
changed what, when and why; only ever added to), `api_keys` (of keys their hashes, never the keys).
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

METADATA: Final = sa.MetaData()

_NAME: Final = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
"""Ordered by bytes in every database, as listings are."""

CATALOGUE: Final = sa.Table(
    "catalogue",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
)
MEANINGS: Final = sa.Table(
    "meanings",
    METADATA,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("json", sa.LargeBinary, nullable=False),
)
DEFINITIONS: Final = sa.Table(
    "definitions",
    METADATA,
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
AUDIT: Final = sa.Table(
    "audit",
    METADATA,
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
API_KEYS: Final = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("id", _NAME, primary_key=True),
    sa.Column("project", _NAME, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("feature_services", sa.Text, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("created_at_us", sa.BigInteger, nullable=False),
    sa.Column("expires_at_us", sa.BigInteger),
    sa.Column("revoked_at_us", sa.BigInteger),
    sa.Column("last_used_at_us", sa.BigInteger),
)
ORDER: Final = tuple(DEFINITIONS.c[name] for name in ("project", "kind_rank", "name", "major", "minor", "patch"))
"""The order of listings."""
