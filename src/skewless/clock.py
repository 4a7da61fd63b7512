"""The clock, passed in wherever an instant matters, so that a test can set it; and how long to wait after failures."""

from __future__ import annotations

import time
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double.

    first_s, longest_s: seconds after the first failure, and at most.
    """

    first_s: float
    longest_s: float

    def after(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, from 1."""
        return min(self.first_s * 2.0 ** min(failures - 1, 60), self.longest_s)


AWAY = Backoff(0.2, 5.0)
"""Between attempts to reach a part that is away."""
