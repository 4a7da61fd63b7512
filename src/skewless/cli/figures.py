"""What the services of a mesh count, in figures: freshness, latency, rates. From their Prometheus endpoints."""

from __future__ import annotations

import http.client
import re
import time
import urllib.request
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from skewless.local.state import metrics_file
from skewless.telemetry.measures import quantile
from skewless.telemetry.metrics import EVENTS, FRESHNESS, LATENCY, PIPELINE_SUCCESS

_APART_S: Final = 0.5
"""Between the two looks that a rate is made of."""
_TIMEOUT_S: Final = 1.0
_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of a scrape."""

    name: str
    labels: Mapping[str, str]
    value: float


def figures(data: Path, services: Collection[str]) -> dict[str, Any]:
    """Of the mesh in this directory.

    services: those to ask.
    freshness: per project and view, seconds from the append of a record until it was readable, since the service
        started. serving: per call, its rate now and its latency since the service started, in ms. events_per_s: events
        taken into the event logs now. success: per pipeline, the share of its runs that went well.
    What is not known is null.
    """
    before, began = _scrape(data, services), time.monotonic()
    if before:
        time.sleep(_APART_S)
    after, seconds = _scrape(data, services), time.monotonic() - began

    def rate(name: str, **labels: str) -> float | None:
        if not _of(after, name):
            return None
        return max(0.0, _sum(after, name, labels) - _sum(before, name, labels)) / seconds

    return {
        "freshness": [
            {"project": project, "view": view, "p50_s": quantile(buckets, 0.5), "p99_s": quantile(buckets, 0.99)}
            for (project, view), buckets in _histograms(after, FRESHNESS.name, ("project", "view"))
        ],
        "serving": [
            {
                "call": call,
                "per_s": rate(f"{LATENCY.name}_count", call=call),
                **{f"p{q:g}_ms": _ms(quantile(buckets, q / 100)) for q in (50, 95, 99)},
            }
            for (call,), buckets in _histograms(after, LATENCY.name, ("call",))
        ],
        "events_per_s": rate(f"{EVENTS.name}_total"),
        "success": {sample.labels["pipeline"]: sample.value for sample in _of(after, PIPELINE_SUCCESS.name)},
    }


def lines(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is to be said, and its words; nothing of what has not happened."""
    for row in found["freshness"]:
        if row["p50_s"] is not None:
            yield f"{row['project']} {row['view']}", f"fresh in p50 {row['p50_s']:.3g} s, p99 {row['p99_s']:.3g} s"
    for row in found["serving"]:
        if row["p95_ms"] is not None:
            words = f"p50 {row['p50_ms']:.3g} ms, p95 {row['p95_ms']:.3g} ms, p99 {row['p99_ms']:.3g} ms"
            yield row["call"], f"{row['per_s']:.1f}/s, {words}"
    if found["events_per_s"] is not None:
        yield "events", f"{found['events_per_s']:.1f}/s"
    for pipeline, share in found["success"].items():
        yield pipeline, f"{100 * share:.4g} % of its runs went well"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def metrics_address(data: Path, service: str) -> str | None:
    """``host:port`` of a service's Prometheus endpoint; None if it has not told one."""
    try:
        return metrics_file(data, service).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _scrape(data: Path, services: Collection[str]) -> list[Sample]:
    """All samples of these services, as far as they answer."""
    addresses = [address for service in services if (address := metrics_address(data, service)) is not None]
    with ThreadPoolExecutor(len(addresses) or 1) as pool:
        return [sample for samples in pool.map(_read, addresses) for sample in samples]


def _read(address: str) -> list[Sample]:
    """None of an endpoint that does not answer, or of another program that has the port by now."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=_TIMEOUT_S) as answer:
            return list(parse(answer.read().decode()))
    except (OSError, http.client.HTTPException, ValueError):
        return []


def parse(text: str) -> Iterator[Sample]:
    """The samples of Prometheus' text format."""
    for line in text.splitlines():
        found = None if line.startswith("#") else _SAMPLE.match(line)
        if found:
            name, labels, value = found.groups()
            yield Sample(name, dict(_LABEL.findall(labels or "")), float(value))


def _of(samples: Sequence[Sample], name: str) -> list[Sample]:
    return [sample for sample in samples if sample.name == name]


def _sum(samples: Sequence[Sample], name: str, labels: Mapping[str, str]) -> float:
    return sum(sample.value for sample in _of(samples, name) if labels.items() <= sample.labels.items())


def _histograms(
    samples: Sequence[Sample], name: str, labels: Sequence[str]
) -> list[tuple[tuple[str, ...], dict[float, float]]]:
    found: dict[tuple[str, ...], dict[float, float]] = {}
    for sample in _of(samples, f"{name}_bucket"):
        key = tuple(sample.labels[label] for label in labels)
        found.setdefault(key, {})[float(sample.labels["le"])] = sample.value
    return sorted(found.items())
