"""The Prometheus door: what the read path counted, as metrics. gRPC is answered by the read path itself.

Labels are of fixed sets: calls, outcomes and statuses; never an entity or a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from services.online.ports import ReadPath
from skewless.functions.pool import FunctionPool
from skewless.telemetry import metrics
from skewless.telemetry.measures import Example, Snapshot

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

_OF_COUNTS: Final = {
    "rows": metrics.ROWS,
    "in_flight": metrics.IN_FLIGHT,
    "in_flight.limit": metrics.IN_FLIGHT_LIMIT,
    "shed": metrics.SHED,
    "store.failures": metrics.STORE_FAILURES,
    "store.unreadable_states": metrics.UNREADABLE,
    "store.connections": metrics.STORE_CONNECTIONS,
    "served.queued": metrics.SERVED_QUEUED,
    "served.refused": metrics.SERVED_REFUSED,
    "served.waiting": metrics.SERVED_WAITING,
    "spans.dropped": metrics.SPANS_DROPPED,
    "functions.waiting": metrics.FUNCTIONS_WAITING,
    "functions.failed": metrics.FUNCTIONS_FAILED,
    "functions.not_computed": metrics.FUNCTIONS_NOT_COMPUTED,
}
_MICROS: Final = 1e6


def collect(read_path: ReadPath, functions: FunctionPool) -> Iterable[Family]:
    """All metrics of a read path, and of the processes for its Python functions, as they stand now."""
    counts = read_path.counters()
    yield metrics.LATENCY.spread(_latencies("latency_us.", counts, _examples(read_path)))
    yield metrics.STAGE.spread(_latencies("stage_us.", counts, {}))
    requests = ((*name.rpartition("."), count) for name, count in _under("requests.", counts))
    yield metrics.REQUESTS.of(((call, outcome.lower()), count) for call, _, outcome, count in requests)
    yield metrics.VALUES.of(((status.lower(),), count) for status, count in _under("values.", counts))
    for name, metric in _OF_COUNTS.items():
        yield metric.of([((), counts[name])])
    yield metrics.function_processes(functions.counts)
    yield metrics.FUNCTION_CALLS.of(
        ((outcome,), counts[f"functions.{name}"]) for outcome, name in (("queued", "calls"), ("refused", "unasked"))
    )
    yield metrics.STORE_UP.of([((), float(read_path.store_error is None))])
    yield metrics.SERVED_REVISION.of([((), -1 if read_path.revision is None else read_path.revision)])


def _latencies(
    prefix: str, counts: Mapping[str, int], examples: Mapping[str, Mapping[int, Example]]
) -> Iterable[tuple[tuple[str], Snapshot]]:
    by_name: dict[str, dict[str, int]] = {}
    for name, count in _under(prefix, counts):
        what, _, end = name.rpartition(".")
        by_name.setdefault(what, {})[end] = count
    for what, classes in by_name.items():
        total = classes.pop("sum") / _MICROS
        ends = sorted(classes, key=float)  # the last is infinite
        found = examples.get(what, {})
        yield (
            (what,),
            Snapshot(
                [float(end) / _MICROS for end in ends[:-1]],
                [classes[end] for end in ends],
                total,
                [found.get(place) for place in range(len(ends))],
            ),
        )


def _examples(read_path: ReadPath) -> Mapping[str, Mapping[int, Example]]:
    """By call and class the newest call that was traced."""
    found: dict[str, dict[int, Example]] = {}
    for call, place, trace_id, took_us, ended_ns in read_path.exemplars():
        found.setdefault(call, {})[place] = Example(trace_id.hex(), took_us / _MICROS, ended_ns / 1e9)
    return found


def _under(prefix: str, counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return ((name.removeprefix(prefix), count) for name, count in counts.items() if name.startswith(prefix))
