"""The online store as the offline service writes it: the newest row of each entity of a batch view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import redis

from skewless.errors import DependencyUnavailableError
from skewless.kernel import WRITE_LATEST_ROW
from skewless.settings import Secret
from skewless.telemetry import names
from skewless.telemetry.spans import OFF, span

_BATCH: Final = 2_000


class ValkeyRows:
    """Writes by one server-side function per key, which keeps the winning row and never goes back."""

    def __init__(self, url: Secret) -> None:
        self._redis = redis.Redis.from_url(url.reveal(), socket_timeout=10, socket_connect_timeout=5)
        connection = self._redis.connection_pool.connection_kwargs
        self._address = f"{connection.get('host')}:{connection.get('port')}"
        self._write = self._redis.register_script(WRITE_LATEST_ROW)

    def ask(self) -> None:
        """Returns if the store answers. Raises DependencyUnavailableError."""
        try:
            self._redis.ping()
        except redis.RedisError as error:
            raise self._unavailable(error) from error

    def synced(self, marker: str) -> int:
        """The run up to which the view's rows are online; 0: none, or the store has lost them."""
        try:
            found = self._redis.get(marker)
        except redis.RedisError as error:
            raise self._unavailable(error) from error
        return int(found) if isinstance(found, bytes) else 0

    def trusted(self, sentinel: str) -> bool:
        """Whether the sentinel is there."""
        try:
            return bool(self._redis.exists(sentinel))
        except redis.RedisError as error:
            raise self._unavailable(error) from error

    def write(self, rows: Sequence[tuple[str, bytes, int | None]]) -> int:
        """Writes (key, value, expiry in ms since 1970 or None). Gives how many keys have another row now."""
        won: set[str] = set()
        with span(names.STORE_WRITE, {names.DB_SYSTEM: "redis", names.DB_BATCH: len(rows)}) if rows else OFF:
            try:
                for start in range(0, len(rows), _BATCH):
                    pipeline = self._redis.pipeline(transaction=False)
                    for key, value, expire_at_ms in rows[start : start + _BATCH]:
                        expiry = "" if expire_at_ms is None else str(expire_at_ms)
                        self._write(keys=[key], args=[value, expiry], client=pipeline)
                    written = zip(rows[start : start + _BATCH], pipeline.execute(), strict=True)
                    won.update(key for (key, _, _), reply in written if int(reply))
            except redis.RedisError as error:
                raise self._unavailable(error) from error
        return len(won)

    def mark(self, marker: str, run_seq: int, sentinel: str, meaning_hash: bytes) -> None:
        """Says that all runs up to this one are online, and that the view's keys can be trusted."""
        try:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.set(marker, run_seq)
            pipeline.set(sentinel, meaning_hash.hex())
            pipeline.execute()
        except redis.RedisError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> DependencyUnavailableError:
        return DependencyUnavailableError(what="the online store", address=self._address, detail=str(error))
