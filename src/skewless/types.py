"""Value types, statuses and instants: the vocabulary that every part shares.

A cell is ``None`` (null), ``int``, ``float``, ``bool``, ``str``, ``Decimal``, or a ``list`` of one of these without
null. A decimal cell has as many digits after the point as its type.
A timestamp cell is an ``int``: microseconds since 1970-01-01T00:00:00Z. ``datetime`` objects stop at the
edge: `to_micros` and `from_micros` convert them.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
import re
from collections.abc import Callable
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final, TypeAlias, cast

from skewless.errors import NaiveTimestampError, WrongTypeError

Scalar: TypeAlias = int | float | bool | str | Decimal
Cell: TypeAlias = Scalar | list[Scalar] | None

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
SECOND_US: Final = 1_000_000
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TIMELESS_US: Final = -62_135_596_800_000_000
"""The event time of rows of a batch source that has none: 0001-01-01T00:00:00Z."""


MOST_DIGITS: Final = 18
"""Of a decimal: its units fit 64 bits."""
_DECIMAL: Final = re.compile(r"(list<)?decimal\(([1-9][0-9]?),(0|[1-9][0-9]?)\)(?(1)>)")
_EXACT: Final = Context(prec=2 * MOST_DIGITS, traps=[Inexact, InvalidOperation])


class ValueType(enum.StrEnum):
    """The type of a column, a request field or a feature. The value is its name in definitions.

    The types of decimals, of which there are many, are found by their names: ``ValueType("decimal(12,2)")``.
    """

    INT64 = "int64"
    FLOAT64 = "float64"
    BOOL = "bool"
    STRING = "string"
    TIMESTAMP = "timestamp"
    INT64_LIST = "list<int64>"
    FLOAT64_LIST = "list<float64>"
    BOOL_LIST = "list<bool>"
    STRING_LIST = "list<string>"
    TIMESTAMP_LIST = "list<timestamp>"

    @classmethod
    def _missing_(cls, value: object) -> ValueType | None:
        found = _DECIMAL.fullmatch(value) if isinstance(value, str) else None
        if found is None or not int(found[3]) <= int(found[2]) <= MOST_DIGITS:
            return None
        kind = str.__new__(cls, found[0])
        kind._name_ = kind._value_ = found[0]
        return cast("ValueType", cls._value2member_map_.setdefault(found[0], kind))

    @property
    def decimal(self) -> tuple[int, int] | None:
        """How many digits, and how many of them after the point; None for what is no single decimal."""
        found = _DECIMAL.fullmatch(self.value)
        return None if found is None or found[1] else (int(found[2]), int(found[3]))

    @property
    def element(self) -> ValueType | None:
        """The type of the items of a list; None for a single value."""
        name = self.value.removeprefix("list<")
        return None if name == self.value else ValueType(name.removesuffix(">"))

    @property
    def numeric(self) -> bool:
        """Whether arithmetic takes it; timestamps are not numbers."""
        return self in {ValueType.INT64, ValueType.FLOAT64}


KEY_TYPES: Final = frozenset({ValueType.INT64, ValueType.STRING})
"""The types that may identify an entity."""


class Status(enum.IntEnum):
    """What a value is. Only PRESENT and PARTIAL come with one. The integers are those of the contracts."""

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

    @property
    def has_value(self) -> bool:
        """Whether a value comes with it."""
        return self in {Status.PRESENT, Status.PARTIAL}


def to_micros(instant: dt.datetime, *, field: str = "timestamp") -> int:
    """Microseconds since 1970-01-01T00:00:00Z of an aware ``datetime``, exactly.

    Raises NaiveTimestampError, naming ``field``, if the instant has no zone: it is never guessed.
    """
    if instant.tzinfo is None or instant.utcoffset() is None:
        raise NaiveTimestampError(field=field, value=instant.isoformat(sep=" "))
    return (instant - EPOCH) // dt.timedelta(microseconds=1)


def from_micros(micros: int) -> dt.datetime:
    """The instant as an aware ``datetime`` in UTC. Raises OverflowError outside the years 1 to 9999."""
    return EPOCH + dt.timedelta(microseconds=micros)


def check_cell(value: object, expected: ValueType, *, field: str) -> Cell:
    """The value as a cell of the expected type; ``None`` passes as null.

    An ``int`` is taken for FLOAT64 if a double holds it exactly, and for a decimal if it has not too many digits; a
    ``datetime`` is taken for TIMESTAMP.
    Raises WrongTypeError, naming ``field``, for anything else, for NaN and the infinities, and for integers
    outside 64 bits.
    """
    if value is None:
        return None
    if isinstance(value, dt.datetime) and expected is ValueType.TIMESTAMP:
        return to_micros(value, field=field)
    if (element := expected.element) is not None:
        return _check_list(value, element, field=field, expected=expected)
    if (digits := expected.decimal) is not None:
        exact = _exact(value, *digits)
        if exact is None:
            raise WrongTypeError(field=field, expected=f"{expected.value}, a Decimal or an int", got=describe(value))
        return exact
    if _TESTS[expected](value):
        return float(value) if expected is ValueType.FLOAT64 else value  # type: ignore[arg-type,return-value]
    raise WrongTypeError(field=field, expected=expected.value, got=describe(value))


def _check_list(value: object, element: ValueType, *, field: str, expected: ValueType) -> Cell:
    if not isinstance(value, list | tuple):
        raise WrongTypeError(field=field, expected=expected.value, got=describe(value))
    items = [check_cell(item, element, field=f"{field}[{place}]") for place, item in enumerate(value)]
    if None in items:
        raise WrongTypeError(field=f"{field}[{items.index(None)}]", expected=element.value, got="None")
    return cast("list[Scalar]", items)


def _exact(value: object, precision: int, scale: int) -> Decimal | None:
    """With so many digits after the point; None if the value is no such number exactly."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    if not number.is_finite() or number.adjusted() > MOST_DIGITS:
        return None
    try:
        exact = number.quantize(Decimal((0, (1,), -scale)), context=_EXACT)
    except (Inexact, InvalidOperation):
        return None
    # A negative zero is zero.
    return (exact or abs(exact)) if abs(exact) < 10 ** (precision - scale) else None


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and INT64_MIN <= value <= INT64_MAX


def _real(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and _whole(value) and int(float(value)) == value


def _text(value: object) -> bool:
    """Half of a surrogate pair is no character, and no other language takes it."""
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value))


_TESTS: Final[dict[ValueType, Callable[[object], bool]]] = {
    ValueType.INT64: _whole,
    ValueType.TIMESTAMP: _whole,
    ValueType.FLOAT64: _real,
    ValueType.BOOL: lambda value: isinstance(value, bool),
    ValueType.STRING: _text,
}


def describe(value: object) -> str:
    """A short name of what a value is, for messages; long values are cut."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 (a message about a value must not fail with the value)
        text = "that cannot be shown"
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
