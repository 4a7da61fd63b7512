"""Lengths of time as people write them: ``"90s"``, ``"15m"``, ``"1h"``, ``"7d"``."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final, TypeAlias

Duration: TypeAlias = str | dt.timedelta

UNITS: Final = {"us": 1, "ms": 1_000, "s": 10**6, "m": 60 * 10**6, "h": 3_600 * 10**6, "d": 86_400 * 10**6}
_FORM: Final = re.compile(r"([0-9]{1,12})(us|ms|s|m|h|d)")


def micros(duration: object) -> int:
    """Microseconds of a length of time. Raises ValueError that says the form."""
    if isinstance(duration, dt.timedelta):
        return duration // dt.timedelta(microseconds=1)
    found = _FORM.fullmatch(duration) if isinstance(duration, str) else None
    if not found:
        raise ValueError(
            f"expected a whole number with a unit (us, ms, s, m, h, d) such as '15m' or '7d', got {duration!r}"
        )
    return int(found[1]) * UNITS[found[2]]


def text(length_us: int) -> str:
    """The shortest way to write a length: 3600000000 is ``1h``."""
    for unit, size in sorted(UNITS.items(), key=lambda item: -item[1]):
        if length_us % size == 0 and length_us >= size:
            return f"{length_us // size}{unit}"
    return f"{length_us}us"
