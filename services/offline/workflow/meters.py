"""What the service counts of its own work, and tells of it as spans and metrics."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skewless.definitions.meanings import LatestView
from skewless.telemetry import metrics, names, spans
from skewless.telemetry.measures import Histogram

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

_OUTCOMES = ("ok", "failed")


class Meters:
    """Counts since the service started. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: Counter[tuple[str, str, str]] = Counter()
        self._rows: Counter[tuple[str, str]] = Counter()
        self._seconds: dict[tuple[str, str], Histogram] = {}
        self._served: Counter[str] = Counter()
        self._commits: Counter[str] = Counter()

    @contextmanager
    def run(self, view: LatestView) -> Iterator[RunMeter]:
        """Inside, a run of the view."""
        meter = RunMeter()
        began = time.monotonic()
        outcome = "failed"
        attributes = {
            names.PROJECT: view.project,
            names.VIEW: view.ref,
            names.MEANING: view.meaning_hash.hex(),
        }
        try:
            with spans.span(names.MATERIALIZE, attributes) as span:
                yield meter
                span.set(names.RUN, meter.run_seq)
                span.set(names.ROWS, meter.rows)
            outcome = "ok"
        finally:
            key = (view.project, view.ref)
            with self._lock:
                self._runs[*key, outcome] += 1
                self._rows[key] += meter.rows
                seconds = self._seconds.setdefault(key, Histogram(metrics.DURATION_S))
            seconds.add(time.monotonic() - began)

    def logged(self, project: str, rows: int) -> None:
        """So many records were appended to the project's served log."""
        with self._lock:
            self._served[project] += rows

    def committed(self, *, ok: bool) -> None:
        """A commit of served records went well, or the reading has to begin again."""
        with self._lock:
            self._commits["ok" if ok else "failed"] += 1

    def collect(self) -> Iterable[Family]:
        """All metrics as they stand now."""
        with self._lock:
            runs, rows, commits = dict(self._runs), dict(self._rows), dict(self._commits)
            seconds, served = dict(self._seconds), dict(self._served)
        yield metrics.MATERIALIZE.of(runs.items())
        yield metrics.MATERIALIZE_ROWS.of(rows.items())
        yield metrics.MATERIALIZE_SECONDS.spread((key, histogram.snapshot()) for key, histogram in seconds.items())
        yield metrics.SERVED_LOGGED.of(((project,), count) for project, count in served.items())
        good, bad = (sum(count for key, count in runs.items() if key[2] == outcome) for outcome in _OUTCOMES)
        logged, failed = (commits.get(outcome, 0) for outcome in _OUTCOMES)
        yield from metrics.pipelines({"materialize": (good, bad), "served-log": (logged, failed)})


class RunMeter:
    """What a run tells of itself before it ends."""

    run_seq: int = 0
    rows: int = 0
