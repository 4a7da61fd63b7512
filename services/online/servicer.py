"""The Prometheus door: what the read path counted, as metrics. gRPC is answered by the read path itself.

Labels are of fixed sets: calls, outcomes and statuses; never an entity or a request. `docs/online.md` lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from services.online.ports import ReadPath

_COUNTERS: Final = (
    ("rows", "skewless_online_rows", "Rows answered"),
    ("store.failures", "skewless_online_store_failures", "Reads that the store did not answer"),
    ("store.unreadable_states", "skewless_online_unreadable_states", "Requests in which a state could not be read"),
    ("store.connections", "skewless_online_store_connections", "Connections to the store that were made"),
    ("served.queued", "skewless_served_log_queued", "Records handed to the served log"),
    ("served.refused", "skewless_served_log_refused", "Requests refused because the served log took no more records"),
)
_GAUGES: Final = (
    ("in_flight", "skewless_online_requests_in_flight", "Requests being answered"),
    ("served.waiting", "skewless_served_log_waiting", "Records that wait for the broker"),
)
_MICROS: Final = 1e6


class ReadPathCollector(Collector):
    """The metrics of a read path."""

    def __init__(self, read_path: ReadPath) -> None:
        self._read_path = read_path

    def collect(self) -> Iterable[Metric]:
        """All metrics as they stand now."""
        counts = self._read_path.counters()
        yield _latency(counts)
        yield _requests(counts)
        values = CounterMetricFamily("skewless_online_values", "Values answered, by status", labels=("status",))
        for status, count in _under("values.", counts):
            values.add_metric((status.lower(),), count)
        yield values
        for key, name, text in _COUNTERS:
            yield CounterMetricFamily(name, text, counts[key])
        for key, name, text in _GAUGES:
            yield GaugeMetricFamily(name, text, counts[key])
        up = float(self._read_path.store_error is None)
        yield GaugeMetricFamily("skewless_online_store_up", "Whether the store answers, 1 or 0", up)
        yield GaugeMetricFamily(
            "skewless_online_revision",
            "Revision of the definitions served; -1: none yet",
            -1 if self._read_path.revision is None else self._read_path.revision,
        )


def _latency(counts: Mapping[str, int]) -> Metric:
    """Classes of the read path, which are apart, as those of Prometheus, which hold the smaller ones."""
    metric = HistogramMetricFamily(
        "serving_latency", "Seconds to answer or refuse a call, at the server", labels=("call",)
    )
    by_call: dict[str, dict[str, int]] = {}
    for name, count in _under("latency_us.", counts):
        call, _, end = name.rpartition(".")
        by_call.setdefault(call, {})[end] = count
    for call, classes in by_call.items():
        total = classes.pop("sum")
        buckets: list[tuple[str, float]] = []
        below = 0
        for end in sorted(classes, key=float):
            below += classes[end]
            buckets.append(("+Inf" if end == "inf" else str(int(end) / _MICROS), below))
        metric.add_metric((call,), buckets, sum_value=total / _MICROS)
    return metric


def _requests(counts: Mapping[str, int]) -> Metric:
    metric = CounterMetricFamily(
        "skewless_online_requests", "Calls, by outcome: ok or the reason of the refusal", labels=("call", "outcome")
    )
    for name, count in _under("requests.", counts):
        call, _, outcome = name.rpartition(".")
        metric.add_metric((call, outcome.lower()), count)
    return metric


def _under(prefix: str, counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return ((name.removeprefix(prefix), count) for name, count in counts.items() if name.startswith(prefix))
