"""What the stream aggregator is told at its start."""

from __future__ import annotations

from dataclasses import dataclass

from skewless.settings import BrokerSettings, StoreSettings, at_least, setting


@dataclass(frozen=True)
class Settings(BrokerSettings, StoreSettings):
    """See `skewless.settings` for where they are read from."""

    listen: str = setting("127.0.0.1:50054", "address to listen on, host:port; port 0: any free one")
    registry: str = setting("127.0.0.1:50051", "address of the registry")
    store_replicas: int = setting(
        0,
        "how many replicas of each primary of the store must have a state before its offset is committed",
        check=at_least(0),
    )
    lake: str = setting("lake", "root of the offline tables: a directory or an object-store URL")
    flush_ms: int = setting(10, "how long events gather before states are written, in ms", check=at_least(1))
    flush_records: int = setting(5_000, "at most so many records gather", check=at_least(1))
    commit_ms: int = setting(1_000, "how often event-log rows and offsets are committed, in ms", check=at_least(10))
    commit_rows: int = setting(50_000, "rows that make a commit come sooner", check=at_least(1))
    cache_mb: int = setting(256, "memory for cached states per view and partition, in MiB", check=at_least(1))
    calls: int = setting(64, "calls answered at once; a waiting Status holds one", check=at_least(1))
