"""What a feature answers: a value, a status, an event time (docs/semantics.md, chapter S)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any, TypeAlias

Value: TypeAlias = int | float | bool | str | Decimal | list[Any] | None
"""A cell. Timestamps are int microseconds (T1); None is null; a list has items of one type."""

Row: TypeAlias = Mapping[str, Value]


class Status(IntEnum):
    """S1 to S6."""

    PRESENT = 1
    NULL = 2
    NOT_FOUND = 3
    OUTSIDE_TTL = 4
    PARTIAL = 5
    OVERFLOW = 6
    OVER_BOUND = 7
    NOT_ANSWERABLE = 8
    REBUILDING = 9
    UNAVAILABLE = 10
    FUNCTION_FAILED = 11
    NOT_COMPUTED = 12


@dataclass(frozen=True)
class Cell:
    """One answer. `event_time` is microseconds, None where there is none."""

    value: Value
    status: Status
    event_time: int | None = None

    def same(self, other: "Cell") -> bool:
        """Equal bit for bit in value and status; event times are compared apart."""
        return self.status is other.status and same_value(self.value, other.value)


def same_value(a: Value, b: Value) -> bool:
    """Equal in type and bits: 1, 1.0 and True differ, and so do 0.0 and -0.0, and decimals of other digits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_value, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack(">d", a) == struct.pack(">d", b)
    if isinstance(a, Decimal) and isinstance(b, Decimal):
        return a.as_tuple() == b.as_tuple()
    return a == b
