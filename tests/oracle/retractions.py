"""What each aggregation makes of insertions and retractions (docs/semantics.md, R9 to R13).

Each event counts +1 or -1; from there every value is a formula over exact sums.
"""

import itertools
import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from tests.oracle.aggregates import Aggregation, exactly, is_valid, per_hour, summed
from tests.oracle.cells import Cell, Status, Value
from tests.oracle.events import Event
from tests.oracle.rounding import root, to_double


def net(what: Aggregation, window: Sequence[Event]) -> Cell:
    """The value over the signed events of a window. No event time is told (R12)."""
    if what.agg == "count_where":
        assert what.where is not None
        return Cell(sum(sign(e) for e in window if what.where(e.row)), Status.PRESENT)
    if what.column is None:
        events = sum(sign(e) for e in window)
        return Cell(per_hour(Fraction(events), what) if what.agg == "rate" else events, Status.PRESENT)
    column = what.column
    invalid = sum(sign(e) for e in window if not is_valid(e.row.get(column), what.agg))
    cells = [(sign(e), e.row[column]) for e in window if _counts(e.row.get(column), what.agg)]
    value = _value(what, cells)
    if value is None:
        return Cell(None, Status.OVERFLOW if what.agg == "sum" else Status.NULL)
    return Cell(value, Status.PARTIAL if invalid != 0 else Status.PRESENT)


def sign(event: Event) -> int:
    """R10."""
    return -1 if event.retracts else 1


def _counts(cell: Value, agg: str) -> bool:
    return cell is not None and is_valid(cell, agg)


def _value(what: Aggregation, cells: Sequence[tuple[int, Value]]) -> Value:
    n = sum(s for s, _ in cells)
    if what.agg == "count":
        return n
    if what.agg == "histogram":
        pairs = itertools.pairwise([-math.inf, *what.edges, math.inf])
        return [sum(s for s, x in cells if low <= _plain(x) < high) for low, high in pairs]
    total = sum((s * exactly(x) for s, x in cells), Fraction(0))
    if what.agg == "sum":
        return summed(total, what.column_type)
    if what.agg == "rate":
        return per_hour(total, what)
    if what.agg == "avg":
        return to_double(total / n) if n > 0 else None
    return _spread(what, cells, n, total)


def _spread(what: Aggregation, cells: Sequence[tuple[int, Value]], n: int, total: Fraction) -> Value:
    population = what.agg.endswith("_pop")
    freedom = n if population else n - 1
    if freedom < 1:
        return None
    squares = sum((s * exactly(x) ** 2 for s, x in cells), Fraction(0))
    spread = n * squares - total**2
    if spread < 0:
        return None
    rounded = to_double(spread / (n * freedom))
    assert isinstance(rounded, float)
    return root(rounded) if what.agg.startswith("stddev") else rounded


def _plain(cell: Value) -> Fraction:
    assert isinstance(cell, int | float | Decimal)
    return Fraction(cell)
