"""Reading and writing API keys."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from services.registry.domain.keys import ApiKey
from services.registry.store.tables import API_KEYS


def read_keys(connection: sa.Connection, projects: Collection[str] | None) -> list[ApiKey]:
    """Of these projects (None: of all), in the order in which they were made."""
    query = sa.select(API_KEYS).order_by(API_KEYS.c.created_at_us, API_KEYS.c.id)
    if projects is not None:
        query = query.where(API_KEYS.c.project.in_(sorted(projects)))
    return [_key(row) for row in connection.execute(query).mappings()]


def add_key(connection: sa.Connection, key: ApiKey) -> None:
    services = json.dumps(key.feature_services)
    values = {**vars(key), "feature_services": services, "hash": key.hash.hex()}
    connection.execute(sa.insert(API_KEYS).values(values))


def revoke_key(connection: sa.Connection, key_id: str, at_us: int) -> None:
    connection.execute(sa.update(API_KEYS).where(API_KEYS.c.id == key_id).values(revoked_at_us=at_us))


def note_use(connection: sa.Connection, uses: Mapping[str, int]) -> None:
    """Later than what is known, or not at all. In one order, so that two who write do not wait for each other."""
    last = API_KEYS.c.last_used_at_us
    for key_id, at_us in sorted(uses.items()):
        known = sa.or_(last.is_(None), last < at_us)
        connection.execute(sa.update(API_KEYS).where(API_KEYS.c.id == key_id, known).values(last_used_at_us=at_us))


def _key(row: Mapping[Any, Any]) -> ApiKey:
    return ApiKey(
        id=row["id"],
        project=row["project"],
        name=row["name"],
        feature_services=tuple(json.loads(row["feature_services"])),
        hash=bytes.fromhex(row["hash"]),
        created_at_us=row["created_at_us"],
        expires_at_us=row["expires_at_us"],
        revoked_at_us=row["revoked_at_us"],
        last_used_at_us=row["last_used_at_us"],
    )
