"""Which instants there are: those of the years 1 to 9999, as everywhere else."""

from __future__ import annotations

from typing import Final

from skewless.errors import InvalidArgumentError, Violation
from skewless.types import TIMELESS_US

EARLIEST_US: Final = TIMELESS_US
LATEST_US: Final = 253_402_300_799_999_999


def check_instant(at_us: int, field: str) -> int:
    """The instant. Raises InvalidArgumentError, naming the field, for one outside the years 1 to 9999."""
    if EARLIEST_US <= at_us <= LATEST_US:
        return at_us
    text = f"{at_us} is no instant of the years 1 to 9999; give microseconds since 1970 in UTC"
    raise InvalidArgumentError([Violation(field, text, "OUT_OF_RANGE")])


def clamp(at_us: int) -> int:
    """The nearest instant that there is, for bounds of what is read."""
    return min(max(at_us, EARLIEST_US), LATEST_US)
