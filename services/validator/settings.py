"""What the validator is told at its start."""

from __future__ import annotations

from dataclasses import dataclass

from skewless.settings import ServiceSettings, at_least, setting

MOST_REQUEST_IDS = 10_000
"""As many ids as one replay takes, by its contract."""


def _share(value: float) -> str | None:
    return None if 0 <= value <= 1 else "must be from 0 to 1"


def _batch(value: int) -> str | None:
    return None if 1 <= value <= MOST_REQUEST_IDS else f"must be from 1 to {MOST_REQUEST_IDS}"


@dataclass(frozen=True)
class Settings(ServiceSettings):
    """Read from the environment, ``SKEWLESS_<NAME>``."""

    listen: str = setting("127.0.0.1:50055", "address to listen on; port 0: any free one")
    broker: str = setting("127.0.0.1:9092", "address of the Kafka broker")
    offline: str = setting("127.0.0.1:50053", "address of the offline service")
    replay_share: float = setting(1.0, "share of the served requests that are replayed, 0 to 1", check=_share)
    replay_batch: int = setting(500, "requests replayed in one call at most", check=_batch)
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
