"""The Prometheus door: what the report says, as metrics, computed when they are asked for.

Labels are bounded by the definitions: projects, feature services, features, and the fixed sets of statuses and
statistics; never an entity or a request. `docs/validator.md` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.validator.domain.tally import Report
from services.validator.workflow import Validation

_PROJECT: Final = ("project",)
_FEATURE: Final = ("project", "feature_service", "feature")

_COUNTERS: Final[tuple[tuple[str, str, Callable[[Report], int]], ...]] = (
    ("skewless_served_vectors", "Vectors seen in the served log", lambda report: report.seen),
    ("skewless_replayed_vectors", "Vectors replayed and decided", lambda report: report.replayed),
    ("skewless_mismatched_vectors", "Vectors that are not what was served", lambda report: report.mismatches),
    ("skewless_unreplayed_vectors", "Vectors left out because only a share is replayed", lambda r: r.left_out),
    ("skewless_given_up_vectors", "Vectors undecided for too long", lambda report: report.given_up),
)


class ValidationCollector(Collector):
    """The metrics of a validation."""

    def __init__(self, validation: Validation) -> None:
        self._validation = validation

    def collect(self) -> Iterable[Metric]:
        """All metrics as they stand now."""
        reports = self._validation.reports()
        yield from _replays(reports)
        yield from _features(reports)
        state = self._validation.log_state()
        yield CounterMetricFamily(
            "skewless_malformed_served_records", "Records of the served log that are none", state.malformed
        )
        yield CounterMetricFamily(
            "skewless_dropped_served_records", "Records the topic dropped before they were read", state.dropped
        )
        yield GaugeMetricFamily(
            "skewless_unread_served_records", "Records of the served log not read yet", state.unread
        )
        yield CounterMetricFamily(
            "skewless_unprofiled_values", "Values of features beyond those that are profiled", state.unprofiled
        )


def _replays(reports: Iterable[Report]) -> Iterable[Metric]:
    counters = [(CounterMetricFamily(name, text, labels=_PROJECT), value) for name, text, value in _COUNTERS]
    consistency = GaugeMetricFamily(
        "offline_online_consistency", "Share of replayed vectors that are equal bit by bit, 0 to 1", labels=_PROJECT
    )
    pending = GaugeMetricFamily("skewless_pending_vectors", "Vectors to be replayed, undecided", labels=_PROJECT)
    oldest = GaugeMetricFamily(
        "skewless_oldest_pending_seconds", "How long the oldest undecided vector waits", labels=_PROJECT
    )
    for report in reports:
        labels = (report.project,)
        for counter, value in counters:
            counter.add_metric(labels, value(report))
        if report.consistency is not None:
            consistency.add_metric(labels, report.consistency)
        pending.add_metric(labels, report.pending)
        oldest.add_metric(labels, report.oldest_pending_s)
    return [*(counter for counter, _ in counters), consistency, pending, oldest]


def _features(reports: Iterable[Report]) -> Iterable[Metric]:
    missing = GaugeMetricFamily(
        "feature_missing_rate", "Share of served values that come without one, 0 to 1", labels=_FEATURE
    )
    stats = GaugeMetricFamily(
        "feature_distribution_stats", "Of the numeric values served: min, max, mean", labels=(*_FEATURE, "stat")
    )
    values = CounterMetricFamily("skewless_served_values", "Values served, by status", labels=(*_FEATURE, "status"))
    for report in reports:
        for profile in report.profiles:
            labels = (report.project, profile.feature_service, profile.feature)
            missing.add_metric(labels, profile.missing_rate)
            for stat, value in (("min", profile.min), ("max", profile.max), ("mean", profile.mean)):
                if value is not None:
                    stats.add_metric((*labels, stat), value)
            for status, count in profile.statuses.items():
                values.add_metric((*labels, status.name.lower()), count)
    return [missing, stats, values]
