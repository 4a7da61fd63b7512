"""Settings of the registry."""

from __future__ import annotations

from dataclasses import dataclass

from skewless.settings import Secret, ServiceSettings, at_least, setting


@dataclass(frozen=True)
class Settings(ServiceSettings):
    """See `skewless.settings` for where they are read from."""

    database_url: Secret = setting(
        Secret("sqlite:///skewless-registry.db"),
        "database that keeps the catalogue: sqlite:///file or postgresql://user:password@host:port/database",
    )
    lock_wait_s: float = setting(
        10.0, "time that a change waits for another change of the catalogue, in seconds", check=at_least(0.1)
    )
    listen: str = setting("127.0.0.1:50051", "address to listen on, host:port; port 0: any free one")
    migrate: str = setting(
        "auto",
        "auto: bring an older schema of the database up to date at the start; never: wait until somebody did",
        check=lambda value: None if value in {"auto", "never"} else "must be auto or never",
    )
    look_every_s: float = setting(
        0.5,
        "time between two looks at the database, for health and for changes by other registries, in seconds",
        check=at_least(0.05),
    )
    threads: int = setting(16, "calls answered at once, beside watchers", check=at_least(1))
    max_watchers: int = setting(200, "watchers at once; each holds a thread that sleeps", check=at_least(1))
    max_message_bytes: int = setting(64 << 20, "largest message, in bytes", check=at_least(1 << 20))
    stop_grace_s: float = setting(5.0, "time that running calls have to end, in seconds", check=at_least(0))
