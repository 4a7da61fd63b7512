"""The program around an example: its arguments, its progress bars, the mesh's addresses, and its report."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from examples.shared.asking import Asked
from examples.shared.learning import Learned
from skewless.client import Replay, Store
from skewless.local import LocalMesh

console = Console()

SETTINGS: Mapping[str, str] = {
    "SKEWLESS_COMMIT_MS": "5000",
    "SKEWLESS_FLUSH_MS": "3",
    "SKEWLESS_SERVED_COMMIT_MS": "2000",
    "SKEWLESS_REPLAY_SHARE": "0.1",
    "SKEWLESS_REPLAY_INTERVAL_MS": "60000",
}
"""Weeks and months in minutes: states are written sooner, since the run waits for them; commits are larger and rarer;
and the validator replays a sample on the way, since the run itself replays every vector at its end."""


def main(
    name: str,
    description: str | None,
    run: Callable[[Path], dict[str, Any]],
    words: Callable[[Mapping[str, Any]], Iterable[str]],
    faults: Callable[[Mapping[str, Any]], list[str]],
) -> int:
    """Runs an example in a temporary directory, writes its report and prints it.

    run: the whole demonstration; gives its report.
    words: the report in lines.
    faults: what of the report is not as it must be.

    Gives the exit status: 0 without faults, else 1.
    """
    parser = argparse.ArgumentParser(prog=f"examples.{name}", description=description)
    parser.add_argument("--report", type=Path, default=Path("demo-report.json"), help="where to write the report")
    parser.add_argument("--setup-s", type=float, default=0.0, help="seconds that set-up took before this")
    parser.add_argument("--cold", action="store_true", help="set-up had to build or fetch something")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=f"skewless-{name}-") as directory:
        report = run(Path(directory))
    wall_s = time.perf_counter() - begun + arguments.setup_s
    report |= {"wall_s": round(wall_s, 1), "setup_s": arguments.setup_s, "cold": arguments.cold}
    arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console.print("\n".join((*words(report), f"report      {arguments.report}")), highlight=False)
    found = faults(report)
    for fault in found:
        console.print(f"[bold red]fault[/]       {fault}", highlight=False)
    return 1 if found else 0


def progress_bars() -> Progress:
    """Bars with counts, time spent and time left."""
    return Progress(
        TextColumn("[progress.description]{task.description:<40}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def open_store(mesh: LocalMesh, project: str) -> Store:
    """The client of a mesh that runs all services."""
    at = mesh.addresses
    return Store(
        project,
        registry=at["registry"],
        online=at["online"],
        offline=at["offline"],
        stream_agg=at["stream_agg"],
        validator=at["validator"],
        timeout_s=30,
    )


def figures(published: int, streamed_s: float, asked: Asked, learned: Learned, replayed: Replay) -> dict[str, Any]:
    """The keys that every example's report begins with."""
    centiles = statistics.quantiles(asked.latencies_ms, n=100)
    return {
        "events": published,
        "events_per_s": round(published / streamed_s),
        "served": len(asked.request_ids),
        "serve_p50_ms": round(centiles[49], 2),
        "serve_p95_ms": round(centiles[94], 2),
        "training_rows": learned.model.training_rows,
        "training_s": round(learned.training_s, 1),
        "auc": round(learned.model.auc, 4),
        "replayed": replayed.replayed,
        "mismatches": replayed.different,
        "skewed_features": learned.skewed,
    }


def common_words(report: Mapping[str, Any], *, tested: str, skew: str) -> list[str]:
    """The figures and the explanation in lines.

    tested: of which rows the AUC is.
    skew: where the difference to hindsight comes from.
    """
    explained = report["explained"]
    return [
        f"streamed    {report['events']:,} events, {report['events_per_s']:,} a second",
        f"served      {report['served']:,} vectors, p50 {report['serve_p50_ms']} ms, p95 {report['serve_p95_ms']} ms",
        f"trained     on {report['training_rows']:,} rows in {report['training_s']} s; AUC on {tested} {report['auc']}",
        f"replayed    {report['replayed']:,} vectors, mismatches={report['mismatches']}",
        (
            f"skew        {len(report['skewed_features'])} features differ from event-time truth in some row: "
            f"{skew}, seen only because the served knowledge is kept"
        ),
        (
            f"explained   {explained['feature']} of {explained['entity']} at {explained['request_time']} "
            f"= {explained['value']}, from {len(explained['events'])} events"
        ),
    ]


def common_faults(report: Mapping[str, Any], least_vectors: int) -> list[str]:
    """Vectors that differ, and too few of them to say so."""
    faults = []
    if report["mismatches"]:
        faults.append(f"{report['mismatches']} served vectors are not what is computed at the same knowledge")
    if report["replayed"] < least_vectors:
        faults.append(f"{report['replayed']} vectors were replayed, at least {least_vectors} must be")
    return faults
