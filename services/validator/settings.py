"""What the validator is told at its start."""

from __future__ import annotations

from dataclasses import dataclass

from skewless.settings import BrokerSettings, at_least, between, setting

MOST_REQUEST_IDS = 10_000
"""As many ids as one replay takes, by its contract."""


@dataclass(frozen=True)
class Settings(BrokerSettings):
    """See `skewless.settings` for where they are read from."""

    listen: str = setting("127.0.0.1:50055", "address to listen on, host:port; port 0: any free one")
    offline: str = setting("127.0.0.1:50053", "address of the offline service")
    replay_share: float = setting(1.0, "share of the served requests that are replayed, 0 to 1", check=between(0, 1))
    replay_batch: int = setting(500, "requests replayed in one call at most", check=between(1, MOST_REQUEST_IDS))
    replay_interval_ms: int = setting(1_000, "pause between calls while batches are not full, in ms", check=at_least(1))
    replay_settle_ms: int = setting(
        2_000, "how long a vector is left alone before its first replay, while the logs are written, in ms",
        check=at_least(0),
    )  # fmt: skip
    replay_timeout_s: float = setting(120.0, "how long one call may take, in seconds", check=at_least(0.1))
    replay_queue: int = setting(
        100_000, "undecided requests held at most; reading pauses at this number", check=at_least(1)
    )
    replay_give_up_s: float = setting(
        86_400.0, "how long a request may stay undecided before it is given up and counted, in seconds",
        check=at_least(1),
    )  # fmt: skip
    profile_features: int = setting(10_000, "served features profiled at most", check=at_least(1))
    workers: int = setting(8, "calls answered at once", check=at_least(1))
