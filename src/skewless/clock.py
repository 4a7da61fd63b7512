"""The clock, passed in wherever an instant matters, so that a test can set it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z."""

    def monotonic(self) -> float:
        """Seconds since some instant; never goes back. For durations and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Returns after that many seconds."""


class SystemClock:
    """The clock of the machine."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
