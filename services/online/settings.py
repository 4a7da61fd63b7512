"""What the online service is told at its start."""

from __future__ import annotations

from dataclasses import dataclass

from skewless.settings import FunctionSettings, StoreSettings, at_least, between, setting


@dataclass(frozen=True)
class Settings(FunctionSettings, StoreSettings):
    """See `skewless.settings` for where they are read from."""

    listen: str = setting("127.0.0.1:50052", "address to listen on, host:port; port 0: any free one")
    registry: str = setting("127.0.0.1:50051", "address of the registry")
    store_timeout_ms: int = setting(
        250, "how long a read of the store may take, in ms; beyond, values are UNAVAILABLE", check=at_least(1)
    )
    threads: int = setting(2, "threads of the read path", check=between(1, 256))
    max_in_flight: int = setting(1024, "requests handled at once; more are refused", check=at_least(1))
    max_message_bytes: int = setting(4 << 20, "the largest request taken, in bytes", check=at_least(1024))
    served_log: bool = setting(True, "log every answer to skewless.served")
    served_queue: int = setting(65_536, "answers waiting to be logged; beyond, requests are refused", check=at_least(1))
    function_timeout_ms: int = setting(
        250,
        "how long the Python functions of a request may take, in ms; beyond, values are NOT_COMPUTED",
        check=at_least(1),
    )
    function_queue: int = setting(
        256, "calls of Python functions that wait for a process; beyond, values are NOT_COMPUTED", check=at_least(1)
    )
    grace_ms: int = setting(5_000, "how long running requests may take to end at a stop, in ms", check=at_least(0))
