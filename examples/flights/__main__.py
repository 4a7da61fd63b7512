"""``make demo``: the flights example from nothing to its report, in one process tree that ends with it."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from examples.flights import data, definitions, demo
from examples.flights.publish import Publisher
from skewless.bus import Bus
from skewless.client import Store
from skewless.local import LocalMesh

console = Console()


def main() -> int:
    """Exit status 0: every served vector was replayed and none differs."""
    parser = argparse.ArgumentParser(prog="examples.flights", description=__doc__)
    parser.add_argument("--report", type=Path, default=Path("demo-report.json"), help="where to write the report")
    parser.add_argument("--setup-s", type=float, default=0.0, help="seconds that set-up took before this")
    parser.add_argument("--cold", action="store_true", help="set-up had to build or fetch something")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skewless-flights-") as directory:
        report = run(Path(directory))
    report |= {"setup_s": arguments.setup_s, "cold": arguments.cold}
    report["wall_s"] = round(report["wall_s"] + arguments.setup_s, 1)
    arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report, arguments.report)
    return 0 if report["mismatches"] == 0 and report["replayed"] >= demo.LEAST_VECTORS else 1


def run(directory: Path) -> dict[str, Any]:
    """The whole demonstration; its report."""
    begun = time.perf_counter()
    columns = (
        TextColumn("[progress.description]{task.description:<40}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        flights = data.load()
        demo.write_tables(flights, directory / "sources")
        environ = demo.SETTINGS | {"SKEWLESS_SOURCES": str(directory / "sources")}
        with LocalMesh(directory / "mesh", environ=environ) as mesh, _store(mesh) as store:
            plan = store.plan(definitions.project)
            store.apply(definitions.project, after=plan, reason="the flights example")
            publisher = Publisher(Bus(mesh.addresses["broker"]))
            demo.load_tables(store)
            started = time.perf_counter()
            asked = demo.serve_year(store, publisher, flights, progress)
            streamed_s = time.perf_counter() - started
            replayed = demo.replay(store, asked, progress)
            model, training_s, skewed = demo.learn(store, asked, progress)
            explained = demo.explain(store, asked)
            counts = demo.records(store)
    centiles = statistics.quantiles(asked.latencies_ms, n=100)
    return {
        "events": publisher.published,
        "events_per_s": round(publisher.published / streamed_s),
        "served": len(asked.request_ids),
        "serve_p50_ms": round(centiles[49], 2),
        "serve_p95_ms": round(centiles[94], 2),
        "training_rows": model.training_rows,
        "training_s": round(training_s, 1),
        "auc": round(model.auc, 4),
        "replayed": replayed.replayed,
        "mismatches": replayed.different,
        "skewed_features": skewed,
        **counts,
        "explained": explained,
        "wall_s": time.perf_counter() - begun,
    }


def _store(mesh: LocalMesh) -> Store:
    names = ("registry", "online", "offline", "stream_agg", "validator")
    return Store(definitions.PROJECT, **{name: mesh.addresses[name] for name in names}, timeout_s=30)


def show(report: dict[str, Any], path: Path) -> None:
    """The report in words."""
    explained = report["explained"]
    lines = (
        f"streamed    {report['events']:,} events, {report['events_per_s']:,} a second",
        f"served      {report['served']:,} vectors, p50 {report['serve_p50_ms']} ms, p95 {report['serve_p95_ms']} ms",
        (
            f"trained     on {report['training_rows']:,} rows in {report['training_s']} s; "
            f"AUC on October to December {report['auc']}"
        ),
        f"replayed    {report['replayed']:,} vectors, mismatches={report['mismatches']}",
        (
            f"skew        {len(report['skewed_features'])} features differ from event-time truth in some row: "
            "lateness and weekly loads, seen only because the served knowledge is kept"
        ),
        (
            f"explained   {explained['feature']} of {explained['entity']} at {explained['request_time']} "
            f"= {explained['value']}, from {len(explained['events'])} events"
        ),
        f"report      {path}",
    )
    console.print("\n".join(lines), highlight=False)


if __name__ == "__main__":
    sys.exit(main())
