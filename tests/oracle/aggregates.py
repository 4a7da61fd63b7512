"""What each aggregation makes of the events of one window (docs/semantics.md, chapters A and N).

Written to be read beside the clauses: one function per aggregation, over a plain list, all of it exact.
"""

import itertools
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.oracle.blake3 import blake3
from tests.oracle.cells import Cell, Row, Status, Value
from tests.oracle.decimals import is_decimal, scale_of, to_decimal
from tests.oracle.events import Event
from tests.oracle.grid import HOUR
from tests.oracle.rounding import FIXED_SCALE, FLOAT_RANGE, root, to_double, to_fixed, to_int64

DEFAULT_BOUNDS = {"count_distinct": 1000, "top_n": 20}
LONGEST_TEXT = 128
INLINE_TEXT = 15
HIGHEST_RANK = 24
ALPHA = 831_657_068_615_270_155


@dataclass(frozen=True)
class Aggregation:
    """`agg` over `column` (None where the aggregation takes none) of `column_type`; `width` only matters to a
    rate, `where` to count_where, `q`, `accuracy` (both in millionths) and `bins` to a quantile, `items` to lists of
    cells, `edges` to a histogram, `precision` to a distinct count."""

    agg: str
    column: str | None = None
    column_type: str | None = None
    bound: int | None = None
    width: int = 0
    where: Callable[[Row], bool] | None = None
    q: int = 500_000
    accuracy: int = 10_000
    bins: int = 48
    items: int = 1
    edges: Sequence[int | float | Decimal] = ()
    precision: int | None = None


def aggregate(what: Aggregation, window: Sequence[Event], request_time: int) -> Cell:
    """The value over the events of a window; `request_time` is T."""
    newest = max(window, key=lambda e: (e.t, e.position), default=None)
    event_time = None if newest is None else newest.t  # W8
    if what.agg == "count" and what.column is None:
        return Cell(len(window), Status.PRESENT, event_time)  # A1
    if what.agg == "rate" and what.column is None:
        return Cell(per_hour(Fraction(len(window)), what), Status.PRESENT, event_time)  # A12
    if what.agg == "count_where":
        assert what.where is not None
        return Cell(sum(what.where(e.row) for e in window), Status.PRESENT, event_time)  # A14
    if what.agg == "time_since_last":
        if newest is None:
            return Cell(None, Status.NULL)
        return Cell(request_time - newest.t, Status.PRESENT, event_time)  # A10
    assert what.column is not None
    assert what.column_type is not None
    valid = [e for e in window if is_valid(e.row.get(what.column), what.agg)]
    if what.agg in _IN_ORDER:
        value, status = _IN_ORDER[what.agg](valid, what)
    else:
        cells = [c for c in (as_read(e.row.get(what.column)) for e in valid) if c is not None]
        value, status = _BY_NAME[what.agg](cells, what)
    if value is None and status is Status.PRESENT:
        status = Status.NULL
    if len(valid) < len(window) and status is Status.PRESENT:
        status = Status.PARTIAL  # N2
    return Cell(value, status, event_time)


GIVE_BACK = {"min", "max", "first", "last", "first_n", "last_n", "last_distinct_n", "top_n"}


def is_valid(cell: Value, agg: str) -> bool:
    """N1 and N9. Null is not invalid: each aggregation has its own say about it."""
    if isinstance(cell, str):
        return agg not in GIVE_BACK or len(cell.encode()) <= LONGEST_TEXT
    return not isinstance(cell, float) or (math.isfinite(cell) and abs(Fraction(cell)) < FLOAT_RANGE)


def as_read(cell: Value) -> Value:
    """N3."""
    return 0.0 if isinstance(cell, float) and cell == 0 else cell


Outcome = tuple[Value, Status]


def last(valid: Sequence[Event], what: Aggregation) -> Outcome:
    """A9."""
    if not valid:
        return None, Status.NULL
    newest = max(valid, key=lambda e: (e.t, e.position))
    return as_read(newest.row.get(str(what.column))), Status.PRESENT


def first(valid: Sequence[Event], what: Aggregation) -> Outcome:
    """A11."""
    if not valid:
        return None, Status.NULL
    oldest = min(valid, key=lambda e: (e.t, e.position))
    return as_read(oldest.row.get(str(what.column))), Status.PRESENT


def in_order(valid: Sequence[Event], what: Aggregation) -> Outcome:
    """A15, A16."""
    ordered = sorted(valid, key=lambda e: (e.t, e.position), reverse=what.agg != "first_n")
    cells: list[Any] = []
    for event in ordered:
        cell = as_read(event.row.get(str(what.column)))
        again = what.agg == "last_distinct_n" and cell in cells
        if cell is not None and not again:
            cells.append(cell)
    return cells[: what.items], Status.PRESENT


def histogram(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A17."""
    bounds = [-math.inf, *what.edges, math.inf]
    pairs = itertools.pairwise(bounds)
    return [sum(low <= exactly_as_it_is(c) < high for c in cells) for low, high in pairs], Status.PRESENT


def exactly_as_it_is(cell: Value) -> Fraction:
    """N5."""
    assert isinstance(cell, int | float | Decimal)
    return Fraction(cell)


def top_n(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A18."""
    different: list[Value] = []
    for cell in cells:
        if cell not in different:
            different.append(cell)
    if len(different) > (what.bound or DEFAULT_BOUNDS["top_n"]):
        return None, Status.OVER_BOUND
    different.sort(key=lambda cell: (-sum(c == cell for c in cells), order(cell)))
    return different[: what.items], Status.PRESENT


def count(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A2."""
    del what
    return len(cells), Status.PRESENT


def total(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A3."""
    value = summed(sum((exactly(c) for c in cells), Fraction(0)), what.column_type)
    return (value, Status.PRESENT) if value is not None else (None, Status.OVERFLOW)  # N7


def summed(exact: Fraction, kind: str | None) -> Value:
    """A3, A27: in the type of the sum; None where it does not fit."""
    if kind == "int64":
        return to_int64(int(exact))
    return to_decimal(exact, scale_of(kind)) if is_decimal(kind) else to_double(exact)


def mean(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A4."""
    del what
    if not cells:
        return None, Status.NULL
    return to_double(sum((exactly(c) for c in cells), Fraction(0)) / len(cells)), Status.PRESENT


def least(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A5."""
    del what
    return min(cells, key=order, default=None), Status.PRESENT


def greatest(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A5."""
    del what
    return max(cells, key=order, default=None), Status.PRESENT


def variance(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A6."""
    del what
    return spread(cells, len(cells) - 1), Status.PRESENT


def variance_pop(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A13."""
    del what
    return spread(cells, len(cells)), Status.PRESENT


def stddev_pop(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A13."""
    rounded, status = variance_pop(cells, what)
    return (root(rounded), status) if isinstance(rounded, float) else (None, status)


def spread(cells: Sequence[Value], freedom: int) -> float | None:
    """A6, A13: the squared distances from the mean, added up and divided by `freedom`."""
    if freedom < 1:
        return None
    numbers = [exactly(c) for c in cells]
    mean = sum(numbers, Fraction(0)) / len(numbers)
    return to_double(sum(((x - mean) ** 2 for x in numbers), Fraction(0)) / freedom)


def rate(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A12."""
    return per_hour(sum((exactly(c) for c in cells), Fraction(0)), what), Status.PRESENT


def per_hour(total: Fraction, what: Aggregation) -> float | None:
    """A12: by the declared width, not by what lies between the edges."""
    return to_double(total * HOUR / what.width)


def stddev(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A7."""
    rounded, status = variance(cells, what)
    return (root(rounded), status) if isinstance(rounded, float) else (None, status)


def count_distinct(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A8."""
    different: list[Value] = []
    for cell in cells:
        if cell not in different:
            different.append(cell)
    bound = DEFAULT_BOUNDS["count_distinct"] if what.bound is None else what.bound
    if len(different) > bound:
        if what.precision is not None:
            return max(estimate(different, what), bound + 1), Status.PRESENT  # A21
        return None, Status.OVER_BOUND
    return len(different), Status.PRESENT


def estimate(different: Sequence[Value], what: Aggregation) -> int:
    """A21."""
    assert what.precision is not None
    assert what.column_type is not None
    p = what.precision
    registers = [0] * (1 << p)
    for value in different:
        hashed = int.from_bytes(blake3(identity(value, what.column_type))[:8])
        rest = hashed & ((1 << (64 - p)) - 1)
        rank = min(64 - p - rest.bit_length() + 1, HIGHEST_RANK)
        registers[hashed >> (64 - p)] = max(registers[hashed >> (64 - p)], rank)
    m = len(registers)
    one = 1 << 60
    x = registers.count(0) * one // m
    s, weight = x, 1
    while (x := x * x // one) > 0:
        s, weight = s + weight * x, weight * 2
    z = m * s + sum(one >> rank for rank in registers if rank > 0)
    return math.floor(Fraction(ALPHA * m * m, z) + Fraction(1, 2))


def identity(value: Value, kind: str) -> bytes:
    """A21: the bytes that tell a cell from others (N9 for texts)."""
    if isinstance(value, str):
        text = value.encode()
        return text if len(text) <= INLINE_TEXT else blake3(text)[:16]
    if kind == "bool":
        return bytes([bool(value)])
    if isinstance(value, Decimal):
        return struct.pack(">q", int(Fraction(value) * 10 ** scale_of(kind)))  # A26
    assert value is not None
    return struct.pack(">d" if kind == "float64" else ">q", value)


def quantile(cells: Sequence[Value], what: Aggregation) -> Outcome:
    """A20."""
    if not cells:
        return None, Status.NULL
    scale = FIXED_SCALE if what.column_type == "float64" else 1
    if is_decimal(what.column_type):
        scale = 10 ** scale_of(what.column_type)  # A28
    units = sorted(int(exactly(c) * scale) for c in cells)
    r = next(r for r in range(32) if Fraction(1, 2 ** (r + 1)) <= Fraction(what.accuracy, 1_000_000))
    j = next(j for j in range(32) if len({joined_bin(u, r, j) for u in units}) <= what.bins)
    found = units[math.floor(Fraction(what.q, 1_000_000) * (len(units) - 1))]
    if found == 0:
        return 0.0, Status.PRESENT
    bin_of_found = joined_bin(abs(found), r, j)[1]
    least = first_of(bin_of_found << j, r)
    greatest = first_of((bin_of_found + 1) << j, r) - 1
    middle = Fraction(least + greatest, 2) / scale
    return to_double(middle if found > 0 else -middle), Status.PRESENT


def joined_bin(units: int, r: int, j: int) -> tuple[int, int]:
    """A20: the sign and the bin of a number of units."""
    if units == 0:
        return 0, 0
    u = abs(units)
    e = u.bit_length() - 1
    bin_number = (e << r) + math.floor((Fraction(u, 2**e) - 1) * 2**r)
    return (1 if units > 0 else -1), bin_number >> j


def first_of(bin_number: int, r: int) -> int:
    """A20: the least number of units in this bin or a later one."""
    e, part = divmod(bin_number, 1 << r)
    return min(math.ceil((1 + Fraction(part, 1 << r)) * (1 << e)), 1 << 127)


def exactly(cell: Value) -> Fraction:
    """The number that a sum sees (N4, N6)."""
    if isinstance(cell, float):
        return Fraction(to_fixed(cell), FIXED_SCALE)
    assert isinstance(cell, int | Decimal), f"{cell!r} is no number"
    return Fraction(cell)


def order(cell: Value) -> tuple[bytes, int | float | Decimal]:
    """A5: numbers by size, strings by their UTF-8 bytes."""
    if isinstance(cell, str):
        return cell.encode(), 0
    assert isinstance(cell, int | float | Decimal)
    return b"", cell


_IN_ORDER = {
    "first": first,
    "last": last,
    "first_n": in_order,
    "last_n": in_order,
    "last_distinct_n": in_order,
}
_BY_NAME: dict[str, Callable[[Sequence[Value], Aggregation], Outcome]] = {
    "count": count,
    "sum": total,
    "avg": mean,
    "min": least,
    "max": greatest,
    "variance": variance,
    "stddev": stddev,
    "rate": rate,
    "variance_pop": variance_pop,
    "stddev_pop": stddev_pop,
    "count_distinct": count_distinct,
    "histogram": histogram,
    "top_n": top_n,
    "quantile": quantile,
}
