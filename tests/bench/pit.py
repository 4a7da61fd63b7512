"""Windowed features of many rows at their own times: the kernel's frames against the best SQL for DuckDB.

    python tests/bench/pit.py [--rows N] [--events N] [--duckdb-share F] [--large]

The events are of entities of very different activity over 60 days, in the order of a log: nearly that of time, some
late. Each row asks for one entity and instant: windows of 1 h, 24 h, 7 d and 30 d by count, sum, min, max, avg, stddev
and count_distinct, 28 features. Each measurement is a process of its own, so that its memory is its own; its CPU
seconds are those of all threads between having the inputs and having the answers. DuckDB has the same events in its own
tables, with whole numbers for entities, and answers the same question in SQL; both answers are compared cell by cell.
JSON lines on stdout, progress on stderr; the last line is `cpu_ratio_duckdb` of the headline case.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import ipc

import skewless as sk
from skewless import kernel

MINUTE_US, DAY_US = 60_000_000, 86_400_000_000
HOUR_US = 60 * MINUTE_US
DAYS = 60
ORIGIN_US = 1_767_571_200_000_000 // DAY_US * DAY_US
WINDOWS = {"1h": (HOUR_US, MINUTE_US), "24h": (DAY_US, 15 * MINUTE_US), "7d": (7 * DAY_US, HOUR_US)}
WINDOWS["30d"] = (30 * DAY_US, 6 * HOUR_US)
GRID_ORIGIN_US = 345_600_000_000
BOUND = 10_000
CHUNK = 1 << 18


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- Inputs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """What is generated; equal shapes are equal inputs."""

    rows: int
    events: int
    entities: int
    hot: bool = False
    seed: int = 1


def generate(shape: Shape, directory: Path) -> None:
    """Writes events and rows as Arrow files: `number` is the entity to DuckDB, `entity_id` to the kernel."""
    rnd = np.random.default_rng(shape.seed)
    weights = rnd.lognormal(0.0, 1.5, shape.entities)
    if shape.hot:
        weights[0] = weights[1:].sum() / 2
    entity_of = np.cumsum(weights / weights.sum())

    def entities(count: int) -> np.ndarray[Any, Any]:
        found = np.searchsorted(entity_of, rnd.random(count))
        return np.minimum(found, shape.entities - 1).astype(np.int64)

    ids = pa.array([f"s.user-{n:07d}" for n in range(shape.entities)])
    times = np.sort(ORIGIN_US + rnd.integers(0, DAYS * DAY_US, shape.events))
    late = rnd.random(shape.events) < 0.02
    times[late] -= (rnd.exponential(10 * MINUTE_US, int(late.sum()))).astype(np.int64)
    own = entities(shape.events)
    amounts = np.round(rnd.lognormal(3.0, 1.2, shape.events), 2)
    shops = rnd.zipf(1.4, shape.events) % 5_000
    events = pa.table(
        {
            "entity_id": ids.take(pa.array(own)),
            "number": own,
            "event_time_us": times,
            "partition": pa.array(np.zeros(shape.events, np.int32)),
            "offset": np.arange(shape.events, dtype=np.int64),
            "c_amount": amounts,
            "c_shop": shops.astype(np.int64),
        }
    )
    asked = entities(shape.rows)
    rows = pa.table(
        {
            "entity_id": ids.take(pa.array(asked)),
            "number": asked,
            "request_time_us": ORIGIN_US + rnd.integers(30 * DAY_US, DAYS * DAY_US, shape.rows),
            "row": np.arange(shape.rows, dtype=np.int64),
        }
    )
    for name, table in (("events", events), ("rows", rows)):
        with ipc.new_file(directory / f"{name}.arrow", table.schema) as writer:
            writer.write_table(table, max_chunksize=CHUNK)


def load(directory: Path, name: str, columns: list[str]) -> pa.Table:
    """One of the tables, in memory and in chunks as a reader gives it."""
    with pa.OSFile(str(directory / f"{name}.arrow")) as file:
        table = ipc.open_file(file).read_all().select(columns)
    return pa.Table.from_batches([pa.record_batch(copied(batch)) for batch in table.to_batches()])


def copied(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Of its own memory, so that columns that were not selected are let go."""
    everything = pa.array(np.arange(batch.num_rows))
    return {name: batch.column(name).take(everything) for name in batch.schema.names}


# --- The two sides ------------------------------------------------------------------------------------------


def view_meaning() -> bytes:
    """The view of 28 features."""
    user = sk.Entity("user")
    source = sk.StreamSource(
        "payments",
        topic="payments",
        record_key=["user"],
        event_time="at",
        columns={"at": "timestamp", "user": "string", "amount": "float64", "shop": "int64"},
    )
    windows = list(WINDOWS)
    features = [
        sk.count("n", windows=windows),
        *(of(name, "amount", windows=windows) for name, of in AGGREGATES.items()),
        sk.count_distinct("shops", "shop", windows=windows, bound=BOUND),
    ]
    view = sk.StreamFeatureView("spending", entity=user, source=source, features=features, state_limit_bytes=1 << 20)
    for made in sk.Project("bench", view).definitions():
        if made.kind.is_view:
            return made.meaning_json
    raise RuntimeError("the project has no view")


AGGREGATES = {"total": sk.sum, "least": sk.min, "most": sk.max, "mean": sk.avg, "spread": sk.stddev}
NAMES = ["n", *AGGREGATES, "shops"]
EXACT = {"n", "least", "most", "shops"}


def by_kernel(directory: Path) -> tuple[pa.Table, dict[str, float]]:
    events = load(directory, "events", ["entity_id", "event_time_us", "partition", "offset", "c_amount", "c_shop"])
    rows = load(directory, "rows", ["entity_id", "request_time_us"]).combine_chunks().to_batches()[0]
    view = kernel.StreamView(view_meaning())
    with Measured() as measured:
        answer = pa.record_batch(view.frame(events.to_reader(), rows))
    names = [f"{name}_{window}" for window in WINDOWS for name in NAMES]
    return pa.table({name: answer.column(name) for name in names}), measured.figures


def by_duckdb(directory: Path) -> tuple[pa.Table, dict[str, float]]:
    events = load(directory, "events", ["number", "event_time_us", "offset", "c_amount", "c_shop"])
    rows = load(directory, "rows", ["number", "request_time_us", "row"])
    with duckdb.connect() as con:
        con.register("given_events", events)
        con.register("given_rows", rows)
        # Loading into its own tables is not counted.
        con.execute(
            'CREATE TABLE events AS SELECT number AS k, event_time_us AS t, "offset" AS o, c_amount AS x, c_shop AS s '
            "FROM given_events"
        )
        con.execute("CREATE TABLE asked AS SELECT number AS k, request_time_us AS t, row AS r FROM given_rows")
        con.unregister("given_events")
        con.unregister("given_rows")
        del events, rows
        with Measured() as measured:
            answer = con.sql(question()).to_arrow_table()
    return answer.sort_by("r"), measured.figures


def question() -> str:
    """The quickest of the SQL that was tried: range joins with filtered aggregates, the same with shared parts (this
    one), and window functions over the union of events and rows.

    Each event that a row sees goes into the narrowest window that holds it, so that it is aggregated once and not once
    per window. A value is new to a window when it stood last before its edge, which counts distinct values without
    sets of them.
    """
    edges = [
        f"{GRID_ORIGIN_US} + ((t - {width} - {GRID_ORIGIN_US}) // {hop}) * {hop} AS e{place}"
        for place, (width, hop) in enumerate(WINDOWS.values())
    ]
    count = len(WINDOWS)
    narrowest = "CASE " + " ".join(f"WHEN {{0}} >= e{n} THEN {n}" for n in range(count)) + f" ELSE {count} END"
    new = [f"count(*) FILTER (pw > {n}) AS d{n}" for n in range(count)]
    features = []
    for n, window in enumerate(WINDOWS):
        inside = f"FILTER (WHERE w <= {n})"
        many, total = f"coalesce(sum(n) {inside}, 0)", f"sum(s) {inside}"
        # The spread about the mean of all parts, from that about the mean of each.
        about = f"sum(n * v) {inside} + sum(s * s / n) {inside} - {total} * {total} / {many}"
        features += [
            f"{many}::BIGINT AS n_{window}",
            f"coalesce({total}, 0) AS total_{window}",
            f"min(low) {inside} AS least_{window}",
            f"max(high) {inside} AS most_{window}",
            f"{total} / {many} AS mean_{window}",
            f"CASE WHEN {many} > 1 THEN sqrt(greatest({about}, 0) / ({many} - 1)) END AS spread_{window}",
            f"coalesce(sum(d{n}) {inside}, 0)::BIGINT AS shops_{window}",
        ]
    return f"""
        WITH rows AS (SELECT k, t, r, {", ".join(edges)} FROM asked),
        seen AS MATERIALIZED (SELECT k, t, x, lag(t) OVER (PARTITION BY k, s ORDER BY t, o) AS p FROM events),
        pairs AS (
            SELECT r, x, {narrowest.format("e.t")} AS w, {narrowest.format("e.p")} AS pw
            FROM rows AS q JOIN seen AS e ON e.k = q.k AND e.t < q.t AND e.t >= q.e{count - 1}
        ),
        parts AS (
            SELECT r, w, count(*) AS n, sum(x) AS s, min(x) AS low, max(x) AS high, var_pop(x) AS v, {", ".join(new)}
            FROM pairs GROUP BY r, w
        )
        SELECT asked.r AS r, {", ".join(features)}
        FROM asked LEFT JOIN parts ON parts.r = asked.r GROUP BY asked.r
    """  # noqa: S608 (made of constants)


class Measured:
    """CPU, wall and memory between two points of this process."""

    figures: dict[str, float]

    def __enter__(self) -> Measured:
        # Begins the count of the most memory anew.
        Path("/proc/self/clear_refs").write_text("5")
        self.held = status_mb("VmRSS")
        self.wall = time.monotonic()
        self.cpu = cpu_s()
        return self

    def __exit__(self, *_: object) -> None:
        self.figures = {
            "cpu_s": cpu_s() - self.cpu,
            "wall_s": time.monotonic() - self.wall,
            "peak_over_inputs_mb": status_mb("VmHWM") - self.held,
            "inputs_mb": self.held,
        }


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def status_mb(name: str) -> float:
    """A figure of this process's memory, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no {name}")


# --- The comparison -----------------------------------------------------------------------------------------

SIDES = {"kernel": by_kernel, "duckdb": by_duckdb}


def child(side: str, directory: Path) -> int:
    """One measurement in this process: its figures on stdout, its answers beside the inputs."""
    answer, figures = SIDES[side](directory)
    with ipc.new_file(directory / f"{side}.arrow", answer.schema) as writer:
        writer.write_table(answer)
    print(json.dumps(figures), flush=True)
    return 0


def run(side: str, directory: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--side", side, "--directory", str(directory)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    figures: dict[str, float] = json.loads(done.stdout)
    say(f"  {side}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()))
    return figures


def compare(directory: Path) -> float:
    """The greatest difference of a sum, mean or deviation, relative to the mean cell. Raises where a cell that is exact
    differs, and where one side has a value and the other none."""
    tables = {}
    for side in SIDES:
        with pa.memory_map(str(directory / f"{side}.arrow")) as file:
            tables[side] = ipc.open_file(file).read_all()
    worst = 0.0
    for window in WINDOWS:
        for name in NAMES:
            column = f"{name}_{window}"
            own, other = (tables[side].column(column).combine_chunks() for side in SIDES)
            if not own.is_null().equals(other.is_null()):
                raise RuntimeError(f"{column}: one side has a value where the other has none")
            if name in EXACT:
                if not own.equals(other):
                    raise RuntimeError(f"{column} differs")
                continue
            a, b = (array.drop_null().to_numpy() for array in (own, other))
            scale = np.maximum(np.maximum(np.abs(a), np.abs(b)), 1.0)
            worst = max(worst, float(np.max(np.abs(a - b) / scale, initial=0.0)))
    if worst > ROUNDING:
        raise RuntimeError(f"sums, means or deviations differ by {worst}")
    return worst


ROUNDING = 1e-6
"""DuckDB adds doubles in the order they come; the kernel's sums are exact."""


class Report:
    """Lines of the result."""

    def __init__(self) -> None:
        self.versions = {
            "python": platform.python_version(),
            "pyarrow": pa.__version__,
            "duckdb": duckdb.__version__,
            "semantics": str(kernel.SEMANTICS_REVISION),
        }

    def line(self, case: str, shape: Shape, metric: str, value: float, unit: str) -> None:
        params = {"case": case, "rows": shape.rows, "events": shape.events, "entities": shape.entities}
        params |= {"features": len(NAMES) * len(WINDOWS), "windows": list(WINDOWS), "cpus": os.cpu_count() or 0}
        found = {"bench": "pit", "metric": metric, "value": round(value, 6), "unit": unit, "params": params}
        print(json.dumps(found | {"versions": self.versions}), flush=True)

    def figures(self, case: str, shape: Shape, side: str, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.line(case, shape, f"{side}_{name}", value, "MiB" if name.endswith("mb") else "s")


def measure(report: Report, case: str, shape: Shape, *sides: str) -> dict[str, dict[str, float]]:
    """The figures of each side, from inputs of this shape; with both, their answers are compared."""
    say(f"{case}: {shape.rows} rows, {shape.events} events, {shape.entities} entities")
    with tempfile.TemporaryDirectory(prefix="skewless-bench-") as name:
        directory = Path(name)
        generate(shape, directory)
        found = {side: run(side, directory) for side in sides}
        for side, figures in found.items():
            report.figures(case, shape, side, figures)
        if len(sides) > 1:
            report.line(case, shape, "greatest_relative_difference", compare(directory), "")
    return found


def main() -> int:
    """The process. Non-zero if it could not measure, or if the answers differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000, help="asked rows of the headline case")
    parser.add_argument("--events", type=int, default=10_000_000, help="events of the headline case")
    parser.add_argument("--duckdb-share", type=float, default=1.0, help="DuckDB's slice, where all take too long")
    parser.add_argument("--large", action="store_true", help="five times as many rows and events as well")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return child(args.side, args.directory)
    report = Report()
    headline = Shape(args.rows, args.events, args.events // 100)

    def part(share: float, *, hot: bool = False) -> Shape:
        events = int(args.events * share)
        return Shape(int(args.rows * share), events, events // 100, hot)

    if args.duckdb_share < 1:
        own = measure(report, "headline", headline, "kernel")["kernel"]
        case, compared = "slice", part(args.duckdb_share)
        both = measure(report, case, compared, "kernel", "duckdb")
    else:
        case, compared = "headline", headline
        both = measure(report, case, compared, "kernel", "duckdb")
        own = both["kernel"]
    fifth = measure(report, "fifth", part(0.2), "kernel")["kernel"]
    report.line("headline", headline, "cpu_per_event_to_a_fifth", own["cpu_s"] / fifth["cpu_s"] / 5, "")
    if args.large:
        large = measure(report, "large", part(5.0), "kernel")["kernel"]
        report.line("large", part(5.0), "cpu_per_event_to_headline", large["cpu_s"] / own["cpu_s"] / 5, "")
    hot = measure(report, "hot_key", part(1.0, hot=True), "kernel")["kernel"]
    report.line("hot_key", part(1.0, hot=True), "cpu_to_headline", hot["cpu_s"] / own["cpu_s"], "")
    report.line(case, compared, "cpu_ratio_duckdb", both["duckdb"]["cpu_s"] / both["kernel"]["cpu_s"], "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
