"""The metrics of a real mesh are those that are declared, and those that the document lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from skewless.local.mesh import SERVICES
from skewless.telemetry.measures import Histogram, quantile
from skewless.telemetry.metrics import METRICS
from tests.telemetry.conftest import Observed

ROOT = Path(__file__).resolve().parents[2]


def of_services(name: str) -> dict[str, tuple[str, str]]:
    return {metric.name: (metric.kind, metric.meaning) for metric in METRICS if name in metric.services}


@pytest.mark.parametrize("service", SERVICES)
def test_a_scrape_has_the_declared_metrics(service: str, observed: Observed) -> None:
    found = list(text_string_to_metric_families(observed.scrapes[service]))
    assert {family.name: (family.type, family.documentation) for family in found} == of_services(service)
    labels = {metric.name: set(metric.labels) for metric in METRICS}
    for family in found:
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels[family.name]


def test_the_document_lists_every_metric() -> None:
    text = (ROOT / "docs/telemetry/metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    listed = {
        (name, kind, meaning, tuple(re.findall(r"\w+", labels)), tuple(re.findall(r"\w+", services)))
        for name, kind, meaning, labels, services in rows
    }
    assert listed == {(m.name, m.kind, m.meaning, m.labels, m.services) for m in METRICS}


def test_what_happened_is_counted(observed: Observed) -> None:
    def value(service: str, name: str, **labels: str) -> float:
        families = text_string_to_metric_families(observed.scrapes[service])
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    assert value("stream_agg", "skewless_events_total", log="shop.payments", verdict="accepted") == 1
    assert value("stream_agg", "skewless_events_total", log="shop.payments", verdict="malformed") == 1
    assert value("stream_agg", "skewless_dead_letters_total") == 1
    assert value("stream_agg", "skewless_consumer_lag") == 0
    assert value("stream_agg", "feature_freshness_count", view="by_user@1.0") == 2
    assert 0 < value("stream_agg", "feature_freshness_sum", view="by_shop@1.0") < 20
    assert value("stream_agg", "pipeline_success_rate", pipeline="stream:shop/shop.payments") == 1
    assert value("offline", "skewless_materialize_runs_total", outcome="ok") == 1
    assert value("offline", "skewless_materialized_rows_total", view="profile@1.0.0") == 5
    assert value("offline", "pipeline_success_rate", pipeline="materialize") == 1
    assert value("offline", "skewless_served_log_rows_total", project="shop") >= 2
    assert value("online", "serving_latency_count", call="get_online_features") >= 2
    assert value("online", "serving_latency_count", call="log_prediction") == 1
    for stage in ("check", "resolve", "fetch", "read", "compute", "answer"):
        assert value("online", "skewless_online_stage_seconds_count", stage=stage) >= 1
    assert 0 < value("online", "skewless_online_stage_seconds_sum") < 20  # of all: a clock may be too coarse for one
    assert value("validator", "offline_online_consistency") == 1
    assert value("registry", "skewless_registry_revision") == 1
    assert value("registry", "skewless_rpc_seconds_count", rpc="Apply", code="OK") == 1


def families(observed: Observed, service: str) -> Iterator[Metric]:
    """What OpenMetrics' own reader, which refuses what is against the format, finds."""
    text = observed.openmetrics[service]
    found: Iterator[Metric] = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_the_format_of_openmetrics_has_the_same_metrics(service: str, observed: Observed) -> None:
    found = {family.name: family for family in families(observed, service)}
    assert {name: (family.type, family.documentation) for name, family in found.items()} == of_services(service)


def test_a_traced_call_is_the_example_of_its_class(observed: Observed) -> None:
    (latency,) = (family for family in families(observed, "online") if family.name == "serving_latency")
    examples = {
        sample.exemplar.labels["trace_id"]: (sample.exemplar.value, float(sample.labels["le"]))
        for sample in latency.samples
        if sample.exemplar
    }
    assert examples
    calls = {span.trace_id: span for span in observed.spans.all if span.label.startswith("online: rpc.server ")}
    for trace_id, (value, end) in examples.items():
        span = calls[trace_id]
        assert value <= end
        assert value == pytest.approx((span.end_ns - span.start_ns) / 1e9, abs=5e-3)


def test_ages_fall_into_the_classes_of_their_upper_ends() -> None:
    histogram = Histogram((0.01, 0.1, 1.0))
    histogram.add_ages(10_000_000, [9_999_000, 9_990_000, 9_989_999, 9_900_000, 8_000_000])
    histogram.add(1.0)
    snapshot = histogram.snapshot()
    assert snapshot.counts == (2, 2, 1, 1)
    assert snapshot.cumulative() == [("0.01", 2), ("0.1", 4), ("1.0", 5), ("+Inf", 6)]
    assert snapshot.total == pytest.approx(0.001 + 0.01 + 0.010001 + 0.1 + 2.0 + 1.0)


def test_a_quantile_lies_within_its_class() -> None:
    buckets = {0.1: 50.0, 1.0: 90.0, float("inf"): 100.0}
    assert quantile(buckets, 0.25) == pytest.approx(0.05)
    assert quantile(buckets, 0.5) == pytest.approx(0.1)
    assert quantile(buckets, 0.7) == pytest.approx(0.55)
    assert quantile(buckets, 0.99) == 1.0
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0.0, float("inf"): 0.0}, 0.5) is None
