"""What the offline service is told at its start."""

from __future__ import annotations

from dataclasses import dataclass

from skewless.settings import FunctionSettings, StoreSettings, at_least, setting


@dataclass(frozen=True)
class Settings(FunctionSettings, StoreSettings):
    """See `skewless.settings` for where they are read from."""

    listen: str = setting("127.0.0.1:50053", "address to listen on, host:port; port 0: any free one")
    registry: str = setting("127.0.0.1:50051", "address of the registry")
    store_replicas: int = setting(
        0,
        "how many replicas of each primary of the store must have a run's rows before it is marked",
        check=at_least(0),
    )
    lake: str = setting("lake", "root of the offline tables: a directory or an object-store URL")
    sources: str = setting(".", "directory that the relative paths of batch sources begin at; none may leave it")
    served_commit_ms: int = setting(
        500, "how often served records are committed to their table, in ms", check=at_least(10)
    )
    workers: int = setting(8, "calls answered at once", check=at_least(1))
    memory_mb: int = setting(2048, "memory limit of SQL transforms, in MiB", check=at_least(64))
