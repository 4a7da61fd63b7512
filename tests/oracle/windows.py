"""Windowed features straight from the definition (docs/semantics.md, chapter W).

For each row asked, for each feature, look at every event. Slow, and plain enough to be checked by eye.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.oracle.aggregates import Aggregation, aggregate
from tests.oracle.calendar import calendar_edges
from tests.oracle.cells import Cell, Row, Status, Value
from tests.oracle.events import Event, Knowledge, by_identity
from tests.oracle.grid import DEFAULT_ORIGIN, floor_to_hop
from tests.oracle.retractions import net

Filter = Callable[[Row], Value]


@dataclass(frozen=True)
class Shape:
    """The kind of a window; `bound` of an exact one, `lag` of a lagged one in microseconds, `unit` and `zone` of one of
    a calendar."""

    kind: str = "sliding"
    bound: int = 0
    lag: int = 0
    unit: str = ""
    zone: str = ""


SLIDING = Shape()


@dataclass(frozen=True)
class WindowFeature:
    """One feature; width and hop in microseconds, 0 where its window has none."""

    name: str
    what: Aggregation
    width: int
    hop: int
    shape: Shape = SLIDING


@dataclass(frozen=True)
class Ask:
    """One row of a request: an entity, T, and P."""

    key: str | None
    request_time: int
    knowledge: Knowledge


def window_values(
    features: Sequence[WindowFeature],
    events: Sequence[Event],
    asks: Sequence[Ask],
    *,
    origin: int = DEFAULT_ORIGIN,
    keep: Filter | None = None,
    signed: bool = False,
) -> list[list[Cell]]:
    """Per ask, per feature, the cell. `signed`: the source has retractions (R10)."""
    logged = by_identity(list(events))
    answers = []
    for ask in asks:
        cells = []
        for feature in features:
            window = contributing(feature, logged, ask, origin=origin, keep=keep)
            what = replace(feature.what, width=feature.width)
            cell = net(what, window) if signed else aggregate(what, window, ask.request_time)
            if feature.shape.kind == "exact" and len(window) > feature.shape.bound:  # W11
                cell = Cell(None, Status.OVER_BOUND, cell.event_time)
            cells.append(cell)
        answers.append(cells)
    return answers


def contributing(
    feature: WindowFeature,
    events: Sequence[Event],
    ask: Ask,
    *,
    origin: int = DEFAULT_ORIGIN,
    keep: Filter | None = None,
) -> list[Event]:
    """W1 or its like of the other kinds, and in the order of Q4."""
    lower, upper = edges(feature, ask.request_time, origin)
    inside = []
    for event in events:
        of_key = event.key is not None and event.key == ask.key
        wanted = keep is None or keep(event.row) is True  # W5
        known = ask.knowledge.knows(event.position)
        in_time = upper > event.t and (lower is None or event.t >= lower)
        if of_key and wanted and known and in_time:
            inside.append(event)
    return sorted(inside, key=lambda e: (e.t, e.position))


def edges(feature: WindowFeature, request_time: int, origin: int) -> tuple[int | None, int]:
    """Where a window begins (None: never) and ends, for a request."""
    if feature.shape.zone:  # W15, W18
        shape = feature.shape
        begun, before = calendar_edges(shape.unit, shape.zone, request_time, feature.hop, origin)
        return (begun, request_time) if shape.kind == "calendar" else (before, begun)
    return _edges(feature, request_time, origin)


def _edges(feature: WindowFeature, request_time: int, origin: int) -> tuple[int | None, int]:
    width = feature.width
    if feature.shape.kind == "sliding":  # W1
        return floor_to_hop(request_time - width, feature.hop, origin), request_time
    if feature.shape.kind == "tumbling":  # W9
        return floor_to_hop(request_time, width, origin), request_time
    if feature.shape.kind == "lifetime":  # W10
        return None, request_time
    if feature.shape.kind == "previous":  # W12
        open_bucket = floor_to_hop(request_time, width, origin)
        return open_bucket - width, open_bucket
    if feature.shape.kind == "lag":  # W13
        ended = request_time - feature.shape.lag
        return floor_to_hop(ended - width, feature.hop, origin), floor_to_hop(ended, feature.hop, origin)
    assert feature.shape.kind == "exact"  # W11
    return request_time - width, request_time
