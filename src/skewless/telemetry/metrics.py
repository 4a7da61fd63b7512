"""The metrics, each declared once; ``docs/telemetry/metrics.md`` lists them.

A service hands functions that give its metrics as they stand now to `skewless.telemetry.scrape.publish`; they are
called when they are asked for. Labels are bounded by the definitions and by fixed sets: never an entity or a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from skewless.telemetry.measures import Metric

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

FRESHNESS_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0, 3600.0)
"""Ends of the classes of freshness, in seconds."""
DURATION_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
"""Ends of the classes of how long calls and runs take, in seconds."""

_LOG: Final = ("project", "log")
_RUN: Final = ("project", "view")
_PROJECT: Final = ("project",)
_FEATURE: Final = ("project", "feature_service", "feature")
_STREAM: Final = ("stream_agg",)
_ONLINE: Final = ("online",)
_OFFLINE: Final = ("offline",)
_VALIDATOR: Final = ("validator",)

RPC_SECONDS: Final = Metric(
    "skewless_rpc_seconds",
    "histogram",
    "How long calls took, in seconds, by gRPC code",
    ("rpc", "code"),
    ("registry", "stream_agg", "offline", "validator"),
)
REVISION: Final = Metric(
    "skewless_registry_revision",
    "gauge",
    "Revision of the catalogue",
    (),
    ("registry",),
)
PIPELINE_RUNS: Final = Metric(
    "skewless_pipeline_runs",
    "counter",
    "Runs of a pipeline, by outcome (ok, failed): cycles of a stream, materializations, commits of the served log",
    ("pipeline", "outcome"),
    ("stream_agg", "offline"),
)
PIPELINE_SUCCESS: Final = Metric(
    "pipeline_success_rate",
    "gauge",
    "Share of a pipeline's runs that went well since the service started, 0 to 1",
    ("pipeline",),
    ("stream_agg", "offline"),
)

FRESHNESS: Final = Metric(
    "feature_freshness",
    "histogram",
    "From the append of a record to its source until the view has it readable, in seconds",
    _RUN,
    _STREAM,
)
LAG: Final = Metric(
    "skewless_consumer_lag", "gauge", "Records of a log that are not readable yet", (*_LOG, "partition"), _STREAM
)
EVENTS: Final = Metric(
    "skewless_events",
    "counter",
    "Records since the log was first read, by verdict",
    (*_LOG, "verdict"),
    _STREAM,
)
LATE: Final = Metric(
    "skewless_late_events",
    "counter",
    "Accepted events that came more than the head slack behind the newest, since the log was first read",
    _LOG,
    _STREAM,
)
DEAD_LETTERS: Final = Metric(
    "skewless_dead_letters", "counter", "Refused records sent to the dead letters", _LOG, _STREAM
)
STOPPED: Final = Metric(
    "skewless_log_stopped", "gauge", "1 while a log or a part of it is not worked on; Status says why", _LOG, _STREAM
)

LATENCY: Final = Metric(
    "serving_latency", "histogram", "Seconds to answer or refuse a call, at the server", ("call",), _ONLINE
)
STAGE: Final = Metric(
    "skewless_online_stage_seconds",
    "histogram",
    "Seconds that a stage of get_online_features took, of one request in 16",
    ("stage",),
    _ONLINE,
)
REQUESTS: Final = Metric(
    "skewless_online_requests",
    "counter",
    "Calls, by outcome: ok or the reason of the refusal",
    ("call", "outcome"),
    _ONLINE,
)
VALUES: Final = Metric("skewless_online_values", "counter", "Values answered, by status", ("status",), _ONLINE)
ROWS: Final = Metric("skewless_online_rows", "counter", "Rows answered", (), _ONLINE)
IN_FLIGHT: Final = Metric("skewless_online_requests_in_flight", "gauge", "Requests being answered", (), _ONLINE)
IN_FLIGHT_LIMIT: Final = Metric(
    "skewless_online_in_flight_limit", "gauge", "Requests that may be answered at once, fewer while late", (), _ONLINE
)
SHED: Final = Metric("skewless_online_shed", "counter", "Requests refused because threads were late", (), _ONLINE)
STORE_FAILURES: Final = Metric(
    "skewless_online_store_failures", "counter", "Reads that the store did not answer", (), _ONLINE
)
UNREADABLE: Final = Metric(
    "skewless_online_unreadable_states", "counter", "Requests in which a state could not be read", (), _ONLINE
)
STORE_CONNECTIONS: Final = Metric(
    "skewless_online_store_connections", "counter", "Connections to the store that were made", (), _ONLINE
)
STORE_UP: Final = Metric("skewless_online_store_up", "gauge", "Whether the store answers, 1 or 0", (), _ONLINE)
SERVED_REVISION: Final = Metric(
    "skewless_online_revision", "gauge", "Revision of the definitions served; -1: none yet", (), _ONLINE
)
SERVED_QUEUED: Final = Metric("skewless_served_log_queued", "counter", "Records handed to the served log", (), _ONLINE)
SERVED_REFUSED: Final = Metric(
    "skewless_served_log_refused",
    "counter",
    "Requests refused because the served log took no more records",
    (),
    _ONLINE,
)
SERVED_WAITING: Final = Metric("skewless_served_log_waiting", "gauge", "Records that wait for the broker", (), _ONLINE)
SPANS_DROPPED: Final = Metric(
    "skewless_online_dropped_spans", "counter", "Spans that found no room before they were exported", (), _ONLINE
)

FUNCTION_CALLS: Final = Metric(
    "skewless_online_function_calls",
    "counter",
    "Calls of Python functions for all rows of a request: queued, or refused because none are run or too many wait",
    ("outcome",),
    _ONLINE,
)
FUNCTIONS_FAILED: Final = Metric(
    "skewless_online_function_failed_rows", "counter", "Rows for which a Python function raised", (), _ONLINE
)
FUNCTIONS_NOT_COMPUTED: Final = Metric(
    "skewless_online_function_not_computed_rows",
    "counter",
    "Rows for which a Python function gave no answer in time or was not called",
    (),
    _ONLINE,
)
FUNCTIONS_WAITING: Final = Metric(
    "skewless_online_function_calls_waiting", "gauge", "Calls of Python functions that wait for a process", (), _ONLINE
)
FUNCTION_PROCESSES: Final = Metric(
    "skewless_function_processes",
    "counter",
    "Processes for Python functions: started, stuck (ended over a budget), lost (ended by themselves)",
    ("event",),
    ("online", "offline"),
)

MATERIALIZE: Final = Metric(
    "skewless_materialize_runs", "counter", "Runs of batch views, by outcome (ok, failed)", (*_RUN, "outcome"), _OFFLINE
)
MATERIALIZE_SECONDS: Final = Metric(
    "skewless_materialize_seconds", "histogram", "How long runs of batch views took, in seconds", _RUN, _OFFLINE
)
MATERIALIZE_ROWS: Final = Metric(
    "skewless_materialized_rows", "counter", "Rows that runs of batch views have written", _RUN, _OFFLINE
)
SERVED_LOGGED: Final = Metric(
    "skewless_served_log_rows", "counter", "Records appended to the served log's table", _PROJECT, _OFFLINE
)

SERVED_VECTORS: Final = Metric(
    "skewless_served_vectors", "counter", "Vectors seen in the served log", _PROJECT, _VALIDATOR
)
REPLAYED_VECTORS: Final = Metric(
    "skewless_replayed_vectors", "counter", "Vectors replayed and decided", _PROJECT, _VALIDATOR
)
MISMATCHED: Final = Metric(
    "skewless_mismatched_vectors", "counter", "Vectors that are not what was served", _PROJECT, _VALIDATOR
)
UNREPLAYED: Final = Metric(
    "skewless_unreplayed_vectors", "counter", "Vectors left out because only a share is replayed", _PROJECT, _VALIDATOR
)
GIVEN_UP: Final = Metric("skewless_given_up_vectors", "counter", "Vectors undecided for too long", _PROJECT, _VALIDATOR)
NOT_REPLAYED: Final = Metric(
    "skewless_not_replayed_vectors",
    "counter",
    "Vectors with a value of a Python function that was not computed again",
    _PROJECT,
    _VALIDATOR,
)
CONSISTENCY: Final = Metric(
    "offline_online_consistency",
    "gauge",
    "Share of replayed vectors that are equal bit by bit, 0 to 1",
    _PROJECT,
    _VALIDATOR,
)
PENDING: Final = Metric("skewless_pending_vectors", "gauge", "Vectors to be replayed, undecided", _PROJECT, _VALIDATOR)
OLDEST_PENDING: Final = Metric(
    "skewless_oldest_pending_seconds", "gauge", "How long the oldest undecided vector waits", _PROJECT, _VALIDATOR
)
MISSING: Final = Metric(
    "feature_missing_rate", "gauge", "Share of served values that come without one, 0 to 1", _FEATURE, _VALIDATOR
)
STATS: Final = Metric(
    "feature_distribution_stats",
    "gauge",
    "Of the numeric values served: min, max, mean",
    (*_FEATURE, "stat"),
    _VALIDATOR,
)
SERVED_VALUES: Final = Metric(
    "skewless_served_values", "counter", "Values served, by status", (*_FEATURE, "status"), _VALIDATOR
)
MALFORMED: Final = Metric(
    "skewless_malformed_served_records", "counter", "Records of the served log that are none", (), _VALIDATOR
)
DROPPED: Final = Metric(
    "skewless_dropped_served_records", "counter", "Records the topic dropped before they were read", (), _VALIDATOR
)
UNREAD: Final = Metric(
    "skewless_unread_served_records", "gauge", "Records of the served log not read yet", (), _VALIDATOR
)
UNPROFILED: Final = Metric(
    "skewless_unprofiled_values", "counter", "Values of features beyond those that are profiled", (), _VALIDATOR
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


def function_processes(counts: Mapping[str, int]) -> Family:
    """The counts of a pool of processes that run functions."""
    return FUNCTION_PROCESSES.of(((event,), counts.get(event, 0)) for event in ("started", "stuck", "lost"))


def pipelines(runs: Mapping[str, tuple[int, int]]) -> Iterable[Family]:
    """The counts and the success rate of pipelines, by name: (runs that went well, runs that failed)."""
    yield PIPELINE_RUNS.of(
        ((name, outcome), count)
        for name, counts in runs.items()
        for outcome, count in zip(("ok", "failed"), counts, strict=True)
    )
    yield PIPELINE_SUCCESS.of(((name,), good / (good + bad)) for name, (good, bad) in runs.items() if good + bad)
