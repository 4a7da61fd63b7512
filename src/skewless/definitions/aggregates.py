"""Aggregates over windows, as users write them: one call makes one feature per window.

    count("departures", windows=["1h", "24h"])        # departures_1h, departures_24h
    avg("delay", "dep_delay", windows={"delay_now": "1h"})

A mapping of windows names each feature itself. Windows that do not slide are made by functions of their own
(:mod:`skewless.definitions.windows`). ``hop`` sets the step of the windows' lower edge for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from skewless import kernel
from skewless.definitions.building import Build, pairs
from skewless.definitions.durations import Duration
from skewless.definitions.windows import Windows, listed, window_of
from skewless.errors import WrongTypeError
from skewless.types import ValueType, check_cell

_LAWS: Final = {law.name: law for law in kernel.aggregations()}


@dataclass(frozen=True)
class Aggregate:
    """An aggregate over one or several windows."""

    name: str
    agg: str
    column: str | None
    windows: Windows
    hop: Duration | None = None
    bound: int | None = None
    where: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    """Members that only this aggregation has, written in millionths."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Other members that only this aggregation has."""

    def features(self, build: Build, columns: Mapping[str, str]) -> list[dict[str, Any]]:
        """One feature per window, as in the document."""
        own: dict[str, Any] = dict(self.own)
        if "edges" in own:
            own["edges"] = _edges(own["edges"], columns.get(self.column or ""))
        for member, share in self.shares.items():
            with build.at(member):
                own[f"{member}_millionths"] = _millionths(build, share)
        if self.where is not None:
            with build.at("where"):
                own["where"] = build.expression(self.where)
        return [
            self._feature(build, columns, name or f"{self.name}_{_suffix(width, place)}", width) | own
            for place, (name, width) in enumerate(pairs(listed(self.windows)))
        ]

    def _feature(self, build: Build, columns: Mapping[str, str], name: str, window: object) -> dict[str, Any]:
        return {
            "name": name,
            "agg": self.agg,
            "column": self.column,
            **window_of(window).members(build, self.hop),
            "bound": self.bound,
            "type": self._type(columns),
        }

    def _type(self, columns: Mapping[str, str]) -> str:
        """The type of the value; that of the column where the kernel will refuse the two together."""
        law = _LAWS[self.agg]
        if self.column is None:
            return dict(law.results).get(None) or ValueType.FLOAT64.value
        column = columns.get(self.column, ValueType.FLOAT64.value)
        return law.result(column) or column


def _millionths(build: Build, share: float) -> int:
    """The decimal as written, so that 0.95 is 950,000 and no neighbour of it."""
    written = Fraction(repr(share)) * 1_000_000 if math.isfinite(share) else Fraction(1, 2)
    if written.denominator != 1:
        build.fault(f"{share!r} is no decimal of at most six digits after the point", "OUT_OF_RANGE")
        return 500_000
    return int(written)


def _edges(edges: Sequence[float | Decimal], column: str | None) -> list[Any]:
    """Over integers and decimals as text: numbers of JSON lose digits there. What is no edge, the kernel refuses."""
    if column is not None and column.startswith("decimal("):
        return [_decimal_edge(edge, column) for edge in edges]
    if column == ValueType.INT64.value:
        return [str(edge) if isinstance(edge, int) else edge for edge in edges]
    return [float(edge) if isinstance(edge, int) and float(edge) == edge else edge for edge in edges]


def _decimal_edge(edge: object, column: str) -> object:
    try:
        return f"{check_cell(edge, ValueType(column), field='edges'):f}"
    except (ValueError, WrongTypeError):
        return str(edge) if isinstance(edge, Decimal) else edge


def _suffix(window: object, place: int) -> str:
    """What a window adds to the name of its feature: its width and kind; its place if that is not a window."""
    return window_of(window).suffix() or f"window{place}"


def count(name: str, column: str | None = None, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """How many events; with a column, how many with a valid value there. int64; 0 over nothing."""
    return Aggregate(name, "count", column, windows, hop)


def count_where(name: str, where: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """How many events of which ``where``, an SQL condition on an event, is true. int64; 0 over nothing."""
    return Aggregate(name, "count_where", None, windows, hop, where=where)


def sum_(name: str, column: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The exact sum, rounded once, of the column's type; 0 over nothing."""
    return Aggregate(name, "sum", column, windows, hop)


def avg(name: str, column: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The exact mean, rounded once. float64; null over nothing."""
    return Aggregate(name, "avg", column, windows, hop)


def min_(name: str, column: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The least value, of the column's type; null over nothing."""
    return Aggregate(name, "min", column, windows, hop)


def max_(name: str, column: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The greatest value, of the column's type; null over nothing."""
    return Aggregate(name, "max", column, windows, hop)


def variance(name: str, column: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The sample variance (n - 1). float64; null below two values."""
    return Aggregate(name, "variance", column, windows, hop)


def stddev(name: str, column: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The root of the sample variance. float64; null below two values."""
    return Aggregate(name, "stddev", column, windows, hop)


def variance_pop(name: str, column: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The variance of the values as the whole population (n). float64; null over nothing."""
    return Aggregate(name, "variance_pop", column, windows, hop)


def stddev_pop(name: str, column: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The root of the variance of the population. float64; null over nothing."""
    return Aggregate(name, "stddev_pop", column, windows, hop)


def count_distinct(
    name: str,
    column: str,
    *,
    windows: Windows,
    hop: Duration | None = None,
    bound: int = 1000,
    precision: int | None = None,
) -> Aggregate:
    """How many different values, exact up to ``bound``. Beyond it the status OVER_BOUND, or with a ``precision`` of 4
    12 an estimate from ``2 ** precision`` registers: 9 errs by 5 % or so, 11 by half of that. int64."""
    own = {} if precision is None else {"precision": precision}
    return Aggregate(name, "count_distinct", column, windows, hop, bound, own=own)


def last(name: str, column: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The value of the newest event, of the column's type; null if it is null there, and over nothing."""
    return Aggregate(name, "last", column, windows, hop)


def first(name: str, column: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The value of the oldest event, of the column's type; null if it is null there, and over nothing."""
    return Aggregate(name, "first", column, windows, hop)


def first_n(name: str, column: str, n: int, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The ``n`` oldest values that are not null, oldest first. A list, empty over nothing."""
    return Aggregate(name, "first_n", column, windows, hop, own={"n": n})


def last_n(name: str, column: str, n: int, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The ``n`` newest values that are not null, newest first. A list, empty over nothing."""
    return Aggregate(name, "last_n", column, windows, hop, own={"n": n})


def last_distinct_n(name: str, column: str, n: int, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """The ``n`` different values that came last, the one of the newest event first. A list, empty over nothing."""
    return Aggregate(name, "last_distinct_n", column, windows, hop, own={"n": n})


def top_n(
    name: str, column: str, n: int, *, windows: Windows, hop: Duration | None = None, bound: int = 20
) -> Aggregate:
    """The ``n`` most frequent values, the most frequent first, of equally frequent ones the least. With more than
    ``bound`` different ones in the window the status OVER_BOUND. A list, empty over nothing."""
    return Aggregate(name, "top_n", column, windows, hop, bound, own={"n": n})


def histogram(
    name: str, column: str, edges: Sequence[float | Decimal], *, windows: Windows, hop: Duration | None = None
) -> Aggregate:
    """How many values lie below the first of the rising ``edges``, from there up to the next, and so on, and from the
    last on: a list of one number more than edges, zeros over nothing."""
    return Aggregate(name, "histogram", column, windows, hop, own={"edges": list(edges)})


def rate(name: str, column: str | None = None, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """Events per hour of the window's width; with a column, its sum per hour. float64; 0 over nothing."""
    return Aggregate(name, "rate", column, windows, hop)


def quantile(
    name: str,
    column: str,
    q: float,
    *,
    windows: Windows,
    hop: Duration | None = None,
    accuracy: float = 0.01,
    bins: int = 48,
) -> Aggregate:
    """The value that a share ``q`` of the others lies below, within ``accuracy`` of itself as long as the values of the
    window lie in no more than ``bins`` bins; beyond that, within twice, four times, ... of it. float64; null over
    nothing."""
    shares = {"q": float(q), "accuracy": float(accuracy)}
    return Aggregate(name, "quantile", column, windows, hop, shares=shares, own={"bins": bins})


def time_since_last(name: str, *, windows: Windows, hop: Duration | None = None) -> Aggregate:
    """From the newest event to the request time, in microseconds. int64; null over nothing."""
    return Aggregate(name, "time_since_last", None, windows, hop)
