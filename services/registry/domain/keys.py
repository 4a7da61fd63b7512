"""API keys: what is kept of them, and how they are made."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

MOST_KEYS: Final = 1_000
"""Of a project, that are not revoked."""


@dataclass(frozen=True)
class ApiKey:
    """What is kept of a key; times are microseconds since 1970."""

    id: str
    project: str
    name: str
    feature_services: tuple[str, ...]
    """Names of the feature services that it may ask for; empty: everything of the project."""
    hash: bytes
    """SHA-256 of the key. A key has 256 random bits, which nobody finds by trying: a hash that is slow on purpose, as
    for passwords, would protect from nothing, and cost every call."""
    created_at_us: int
    expires_at_us: int | None = None
    revoked_at_us: int | None = None
    last_used_at_us: int | None = None


def make_key() -> tuple[str, str, bytes]:
    """A new id, the key that it is part of, and the key's hash."""
    key_id = secrets.token_hex(8)
    key = f"skewless_{key_id}_{secrets.token_hex(32)}"
    return key_id, key, hashlib.sha256(key.encode()).digest()
