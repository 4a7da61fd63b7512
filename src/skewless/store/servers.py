"""Servers of the online store: how one is connected to, and which of them hold what."""

from __future__ import annotations

from typing import Any, Final

from redis.connection import Connection, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.sentinel import Sentinel

from skewless.settings import NO_FILES, StoreAddress, TlsFiles

Place = tuple[str, int]
"""Host and port."""

SLOTS: Final = 16_384
_TIMEOUT_S: Final = 10.0


def connection(address: StoreAddress, server: Place, files: TlsFiles = NO_FILES) -> Any:
    """A connection to one of the store's servers, not opened yet."""
    made: Any = SSLConnection if address.tls else Connection  # the package has types for its commands alone
    return made(
        host=server[0],
        port=server[1],
        **_tls(address, files),
        db=address.database,
        username=address.username or None,
        password=address.password or None,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
    )


def _tls(address: StoreAddress, files: TlsFiles) -> dict[str, Any]:
    """What redis-py is told of TLS."""
    if not address.tls:
        return {}
    certificate, key = files.identity or (None, None)
    paths = {"ssl_ca_certs": files.ca, "ssl_certfile": certificate, "ssl_keyfile": key}
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        **{name: str(path) for name, path in paths.items() if path is not None},
    }


def primary(address: StoreAddress, files: TlsFiles = NO_FILES) -> Place:
    """The server that holds everything, as the Sentinels name it. Raises RedisError if none names one."""
    made: Any = Sentinel
    options = {**_tls(address, files), "ssl": address.tls}
    watchers = made(address.seeds, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, **options)
    try:
        host, port = watchers.discover_master(address.service)
    finally:
        for watcher in watchers.sentinels:
            watcher.close()
    return host, int(port)


def slots(address: StoreAddress, files: TlsFiles = NO_FILES) -> list[Place]:
    """Of a cluster, the primary of each slot, as the first seed tells it that answers.

    Raises RedisError if none answers, or if a slot has no primary.
    """
    fault: Exception | None = None
    for seed in address.seeds:
        asked = connection(address, seed, files)
        try:
            asked.connect()
            asked.send_command("CLUSTER", "SLOTS")
            return _placed(asked.read_response(), seed)
        except (RedisError, OSError) as error:
            fault = error
        finally:
            asked.disconnect()
    raise RedisConnectionError(f"no member of the cluster {address} answers: {fault}") from fault


def _placed(ranges: list[Any], asked: Place) -> list[Place]:
    """From CLUSTER SLOTS: start, end, [host, port, ...] of the primary, replicas."""
    placed: list[Place | None] = [None] * SLOTS
    for first, last, (host, port, *_), *_replicas in ranges:
        # A member that does not know its own host leaves it out: it is the one that was asked.
        named = host.decode() if host else asked[0]
        placed[first : last + 1] = [(named, int(port))] * (last + 1 - first)
    missing = placed.count(None)
    if missing:
        raise RedisConnectionError(f"{missing} of its {SLOTS} slots have no primary")
    return [found for found in placed if found is not None]
