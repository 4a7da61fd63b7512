"""Windowed features straight from the definition (docs/semantics.md, chapter W).

For each row asked, for each feature, look at every event. Slow, and plain enough to be checked by eye.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.oracle.aggregates import Aggregation, aggregate
from tests.oracle.cells import Cell, Row, Value
from tests.oracle.events import Event, Knowledge, by_identity
from tests.oracle.grid import DEFAULT_ORIGIN, floor_to_hop

Filter = Callable[[Row], Value]


@dataclass(frozen=True)
class WindowFeature:
    """One feature; width and hop in microseconds."""

    name: str
    what: Aggregation
    width: int
    hop: int


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
) -> list[list[Cell]]:
    """Per ask, per feature, the cell."""
    logged = by_identity(list(events))
    answers = []
    for ask in asks:
        cells = []
        for feature in features:
            window = contributing(feature, logged, ask, origin=origin, keep=keep)
            what = replace(feature.what, width=feature.width)
            cells.append(aggregate(what, window, ask.request_time))
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
    """W1, and in the order of Q4."""
    tail = floor_to_hop(ask.request_time - feature.width, feature.hop, origin)
    inside = []
    for event in events:
        of_key = event.key is not None and event.key == ask.key
        wanted = keep is None or keep(event.row) is True  # W5
        known = ask.knowledge.knows(event.position)
        in_time = tail <= event.t < ask.request_time
        if of_key and wanted and known and in_time:
            inside.append(event)
    return sorted(inside, key=lambda e: (e.t, e.position))
