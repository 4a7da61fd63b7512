"""The verdict over one record of an input log (docs/semantics.md, chapter V).

Works on what a JSON parser made of the payload; `protobuf` has the other form of payloads. Positions and duplicates
are the log's business.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import NoReturn

from tests.oracle.cells import Value
from tests.oracle.decimals import is_decimal, read
from tests.oracle.rounding import INT64_MAX, INT64_MIN, to_double

DEFAULT_TOLERANCE = 5_000_000
FIRST_INSTANT, LAST_INSTANT = -62_135_596_800_000_000, 253_402_300_799_999_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Column:
    """A declared column of a source."""

    name: str
    type: str
    nullable: bool = True


@dataclass(frozen=True)
class Verdict:
    """`row` and `t` only when accepted."""

    verdict: str
    t: int | None = None
    row: Mapping[str, Value] | None = None


class MalformedError(Exception):
    """The payload is not what the source declares."""


MALFORMED = Verdict("malformed")


@dataclass(frozen=True)
class Operation:
    """R9: the column that tells retractions, and the values of it."""

    column: str
    inserts: Sequence[Value]
    retracts: Sequence[Value]

    def judged(self, verdict: Verdict) -> Verdict:
        """R9: a record that does neither is malformed."""
        if verdict.row is None:
            return verdict
        found = verdict.row[self.column]
        return verdict if found in self.inserts or found in self.retracts else MALFORMED


def judge(
    payload: bytes,
    append_time: int,
    columns: Sequence[Column],
    event_time: str,
    tolerance: int = DEFAULT_TOLERANCE,
) -> Verdict:
    """V2 and V3 for a JSON record with its append time in microseconds."""
    try:
        declared = {event_time, *(c.name for c in columns)}
        record = json.loads(
            payload.decode(),
            parse_constant=_no_constant,
            parse_float=Written,
            object_pairs_hook=lambda pairs: pairs,
        )
        if not isinstance(record, list) or payload.lstrip()[:1] != b"{":
            return MALFORMED
        members = [name for name, _ in record if name in declared]
        if len(members) != len(set(members)):
            return MALFORMED
        record = dict(record)
        row = {c.name: cell(record.get(c.name), c) for c in columns if c.name != event_time}
        t = cell(record.get(event_time), Column(event_time, "timestamp", nullable=False))
    except (ValueError, MalformedError):
        return MALFORMED
    assert isinstance(t, int)
    return timed(t, row, append_time, tolerance)


class Written(float):
    """A double that knows how it was written."""

    def __init__(self, text: str) -> None:
        self.text = text


def timed(t: int, row: Mapping[str, Value], append_time: int, tolerance: int) -> Verdict:
    """V3: a row that can be read, by its event time."""
    if t - append_time > tolerance:
        return Verdict("too_far_future")
    return Verdict("accepted", t, row)


def cell(raw: object, column: Column) -> Value:
    """V2: one cell of the declared type."""
    if raw is None and column.nullable:
        return None
    value = _decimal(raw, column.type) if is_decimal(column.type) else _typed(raw, column.type)
    if value is None:
        raise MalformedError
    return value


def _decimal(raw: object, kind: str) -> Value:
    """V12."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    return read(raw.text if isinstance(raw, Written) else str(raw), kind)


def _typed(raw: object, kind: str) -> Value:
    """The cell, None when it is not of this type."""
    if isinstance(raw, bool):
        return raw if kind == "bool" else None
    if isinstance(raw, str):
        return in_years(instant(raw)) if kind == "timestamp" else raw if kind == "string" else None
    if isinstance(raw, int) and kind == "timestamp":
        return in_years(raw)
    if isinstance(raw, int) and kind == "int64":
        return raw if INT64_MIN <= raw <= INT64_MAX else None
    if isinstance(raw, int | float) and kind == "float64":
        return to_double(Fraction(raw)) if math.isfinite(raw) else None
    return None


def in_years(t: int) -> int | None:
    """V8: the years 1 to 9999."""
    return t if FIRST_INSTANT <= t <= LAST_INSTANT else None


_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]([01]\d:[0-5]\d:[0-5]\d|2[0-3]:[0-5]\d:[0-5]\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)


def instant(text: str) -> int:
    """V8: microseconds of a date and time with a zone; the year 0 has no instants."""
    parts = _INSTANT.fullmatch(text)
    if parts is None:
        raise MalformedError
    day, time, fraction, zone = parts.groups()
    local = datetime.fromisoformat(f"{day}T{time}+00:00") - _EPOCH
    micros = local // timedelta(microseconds=1) + int((fraction or "0")[:6].ljust(6, "0"))
    return micros - _offset(zone) * 60_000_000


def _offset(zone: str) -> int:
    """Minutes east of UTC."""
    if zone in {"Z", "z"}:
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise MalformedError
    return (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)


def _no_constant(name: str) -> NoReturn:
    raise MalformedError(name)
