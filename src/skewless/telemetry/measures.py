"""What a metric is, and counting by classes."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family


@dataclass(frozen=True, slots=True)
class Metric:
    """A declared metric.

    name: without the endings that the format adds (``_total``, ``_bucket``). services: those that have it.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...]
    services: tuple[str, ...]

    def of(self, samples: Iterable[tuple[Sequence[str], float]]) -> Family:
        """A counter or gauge with these values by labels."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 (when scraped)

        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = make(self.name, self.meaning, labels=self.labels)
        for labels, value in samples:
            family.add_metric(list(labels), value)
        return family

    def spread(self, samples: Iterable[tuple[Sequence[str], Snapshot]]) -> Family:
        """A histogram with these counts by labels."""
        from prometheus_client.core import Exemplar, HistogramMetricFamily  # noqa: PLC0415 (when scraped)

        family = HistogramMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, snapshot in samples:
            buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
            for bucket, found in zip(snapshot.cumulative(), snapshot.exemplars or repeat(None), strict=False):
                example = found and Exemplar({"trace_id": found.trace_id}, found.value, found.at_s)
                buckets.append((*bucket, example) if example else bucket)
            family.add_metric(list(labels), buckets, snapshot.total)
        return family


@dataclass(frozen=True, slots=True)
class Example:
    """A value that was measured in a trace. at_s: when, in seconds since 1970."""

    trace_id: str
    value: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counts of a histogram.

    ends: upper ends of the classes, ascending. counts: one per class, and a last one for what lies above all ends.
    total: the sum of all values. exemplars: a value of each class, where there is one; or none at all.
    """

    ends: Sequence[float]
    counts: Sequence[int]
    total: float
    exemplars: Sequence[Example | None] = ()

    def cumulative(self) -> list[tuple[str, float]]:
        """By upper end as text, how many values are not above it."""
        names = [*(repr(float(end)) for end in self.ends), "+Inf"]  # as OpenMetrics wants them: 1.0
        sums, seen = [], 0
        for count in self.counts:
            seen += count
            sums.append(float(seen))
        return list(zip(names, sums, strict=True))


class Histogram:
    """Counts values by classes. Safe to use from several threads.

    ends: upper ends of the classes, ascending.
    """

    def __init__(self, ends: Sequence[float]) -> None:
        self._ends = tuple(ends)
        self._counts = [0] * (len(self._ends) + 1)
        self._total = 0.0
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Counts one value."""
        with self._lock:
            self._counts[bisect.bisect_left(self._ends, value)] += 1
            self._total += value

    def add_ages(self, now_us: int, times_us: Sequence[int]) -> None:
        """Counts the age of each instant in seconds, at the cost of a few searches."""
        ordered = sorted(times_us)  # nearly sorted as they come
        with self._lock:
            younger = 0
            for place, end in enumerate(self._ends):
                until = len(ordered) - bisect.bisect_left(ordered, now_us - end * 1e6)
                self._counts[place] += until - younger
                younger = until
            self._counts[-1] += len(ordered) - younger
            self._total += (now_us * len(ordered) - sum(ordered)) / 1e6

    def snapshot(self) -> Snapshot:
        """As it stands."""
        with self._lock:
            return Snapshot(self._ends, tuple(self._counts), self._total)


def quantile(buckets: Mapping[float, float], q: float) -> float | None:
    """The value that a share ``q`` does not exceed, from counts by upper end (the last infinite); None without values.

    Within a class values are taken to lie evenly; above the last finite end the answer is that end.
    """
    ends = sorted(buckets)
    total = buckets[ends[-1]] if ends else 0.0
    if not total:
        return None
    below, lower = 0.0, 0.0
    for end in ends:
        if buckets[end] >= q * total:
            if end == float("inf"):
                return lower
            within = buckets[end] - below
            return lower + (end - lower) * ((q * total - below) / within if within else 1.0)
        below, lower = buckets[end], end
    return lower
