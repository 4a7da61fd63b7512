"""The Prometheus door: what the report says, as metrics, computed when they are asked for.

Labels are bounded by the definitions: projects, feature services, features, and the fixed sets of statuses and
statistics; never an entity or a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from services.validator.domain.tally import Report
from services.validator.workflow import Validation
from skewless.telemetry import metrics
from skewless.telemetry.measures import Metric

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

_OF_PROJECTS: Final[tuple[tuple[Metric, Callable[[Report], float | None]], ...]] = (
    (metrics.SERVED_VECTORS, lambda report: report.seen),
    (metrics.REPLAYED_VECTORS, lambda report: report.replayed),
    (metrics.MISMATCHED, lambda report: report.mismatches),
    (metrics.UNREPLAYED, lambda report: report.left_out),
    (metrics.GIVEN_UP, lambda report: report.given_up),
    (metrics.NOT_REPLAYED, lambda report: report.not_replayed),
    (metrics.CONSISTENCY, lambda report: report.consistency),
    (metrics.PENDING, lambda report: report.pending),
    (metrics.OLDEST_PENDING, lambda report: report.oldest_pending_s),
)


def collect(validation: Validation) -> Iterable[Family]:
    """All metrics of a validation as they stand now."""
    reports = validation.reports()
    for metric, value in _OF_PROJECTS:
        found = (((report.project,), value(report)) for report in reports)
        yield metric.of((labels, number) for labels, number in found if number is not None)
    yield from _features(reports)
    state = validation.log_state()
    yield metrics.MALFORMED.of([((), state.malformed)])
    yield metrics.DROPPED.of([((), state.dropped)])
    yield metrics.UNREAD.of([((), state.unread)])
    yield metrics.UNPROFILED.of([((), state.unprofiled)])


def _features(reports: Iterable[Report]) -> Iterable[Family]:
    profiles = [
        ((report.project, profile.feature_service, profile.feature), profile)
        for report in reports
        for profile in report.profiles
    ]
    yield metrics.MISSING.of((labels, profile.missing_rate) for labels, profile in profiles)
    yield metrics.STATS.of(
        ((*labels, stat), value)
        for labels, profile in profiles
        for stat, value in (("min", profile.min), ("max", profile.max), ("mean", profile.mean))
        if value is not None
    )
    yield metrics.SERVED_VALUES.of(
        ((*labels, status.name.lower()), count)
        for labels, profile in profiles
        for status, count in profile.statuses.items()
    )
