"""CPU time of the kernel's smallest steps: one event to a writer, one request to a reader, eight expressions a row.

    python tests/bench/kernel.py [--rows N]

The state is that of count, sum, min, max and stddev over 1 h, 24 h, 7 d and 30 d of one entity, with 1, 20 and 500
events a month; the amounts are int64 or float64. An update decodes it, adds the next event of the log and encodes it,
with whatever the advance of time folds, closes and drops; a read answers the 20 features from the stored bytes; a merge
answers from the folded state. Expressions are evaluated one row at a time inside the kernel, and in batches through the
Arrow door. Figures are CPU time, the least of several runs. Each has a reference in the same run: the same moments by
hour as a JSON document (update), the features from the raw events in doubles (read), NumPy (batches). Tiles have the
sizes of a prototype as reference, which kept nothing else; its 13 bytes for one event hold no double, so that whole
amounts are compared. JSON lines on stdout, progress on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import skewless as sk
from skewless import kernel

ROOT = Path(__file__).resolve().parents[2]
DAY_US = 86_400_000_000
CLOCK_US = 1_767_571_200_000_000 + 61 * 60_000_000
"""When the writer has folded everything: a minute past a full hour."""
WINDOWS = ["1h", "24h", "7d", "30d"]

PROTOTYPE_BYTES = {1: 13, 20: 206, 500: 2058}
"""Bytes of tiles of count, sum, min, max and sum of squares by events a month, when the form was designed."""
UPDATE_US = {20: 3.0, 500: 20.0}
MERGE_US = {500: 5.0}
TILES_TO_PROTOTYPE = 1.3
ROW_US = 2.0
BATCH_S = 1.0
"""What figures may at most be."""

EXPRESSIONS = {
    "ratio": "amount / usual",
    "deviation": "(amount - usual) / greatest(spread, 0.01)",
    "logged": "ln(abs(amount) + 1)",
    "capped": "clip(amount, 0.0, 50.0)",
    "is_high": "amount > usual + 3 * spread and n > 5",
    "kind": "CASE WHEN amount < 0 THEN 0 WHEN amount < 20 THEN 1 ELSE 2 END",
    "filled": "coalesce(usual, amount, 0.0) * rate",
    "far": "sqrt(amount * amount + usual * usual)",
}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- Inputs -------------------------------------------------------------------------------------------------


def meanings(kind: str) -> tuple[str, str]:
    """The window view of 20 features of amounts of a type, and the view of eight expressions."""
    user = sk.Entity("user")
    columns = {"at": "timestamp", "user": "string", "amount": kind}
    source = sk.StreamSource("payments", topic="payments", record_key=["user"], event_time="at", columns=columns)
    makers = {"total": sk.sum, "least": sk.min, "most": sk.max, "spread": sk.stddev}
    features: list[Any] = []
    for window in WINDOWS:
        features.append(sk.count(f"n{window}", windows=[window]))
        features += [of(f"{name}{window}", "amount", windows=[window]) for name, of in makers.items()]
    view = sk.StreamFeatureView("spending", entity=user, source=source, features=features)
    request = sk.RequestSource({"amount": "float64", "rate": "float64"})
    inputs = {"n": view["n30d_30d"], "usual": view["spread7d_7d"], "spread": view["spread30d_30d"]}
    deal = sk.OnDemandFeatureView("deal", request=request, inputs=inputs, features=EXPRESSIONS)
    found = {str(made.kind): made.meaning_json.decode() for made in sk.Project("bench", view, deal).definitions()}
    return found["window_view"], found["on_demand_view"]


def events(rnd: np.random.Generator, a_month: int, days: tuple[int, int]) -> list[tuple[int, float]]:
    """Events at random times between so many days from the clock."""
    low, high = (CLOCK_US + day * DAY_US for day in days)
    many = a_month * (days[1] - days[0]) // 30
    times = np.sort(rnd.integers(low, high, many))
    amounts = np.round(rnd.lognormal(3.0, 1.2, many), 2)
    return [(int(t), float(x)) for t, x in zip(times, amounts, strict=True)]


CASES = [(kind, a_month) for kind in ("int64", "float64") for a_month in PROTOTYPE_BYTES]


# --- The two doors ------------------------------------------------------------------------------------------


def inside(directory: Path) -> dict[str, dict[str, float]]:
    """What the Rust benchmark measures."""
    rnd = np.random.default_rng(1)
    cases = []
    for kind, n in CASES:
        before, coming = events(rnd, n, (-60, 0)), events(rnd, n, (0, 30))
        if kind == "int64":
            before, coming = ([(t, float(round(100 * x))) for t, x in some] for some in (before, coming))
        name = f"{kind} {n}"
        cases.append({"name": name, "window_view": meanings(kind)[0], "events": before, "coming": coming})
    given = {"on_demand_view": meanings("float64")[1], "clock_us": CLOCK_US, "cases": cases}
    path = directory / "given.json"
    path.write_text(json.dumps(given))
    command = ["cargo", "bench", "--quiet", "--locked", "--manifest-path", str(ROOT / "kernel" / "Cargo.toml")]
    command += ["-p", "skewless-core", "--bench", "kernel", "--", str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


@dataclass(frozen=True)
class Batch:
    """CPU seconds of all rows."""

    kernel: float
    numpy: float


def batches(rows: int) -> Batch:
    """Eight expressions over many rows, through the door and in NumPy."""
    rnd = np.random.default_rng(2)
    values: dict[str, np.ndarray[Any, Any]] = {
        name: rnd.normal(20.0, 30.0, rows) for name in ("amount", "rate", "usual", "spread")
    }
    values["n"] = rnd.integers(0, 50, rows)
    columns: dict[str, pa.Array] = {}
    for name, column in values.items():
        columns[name] = pa.array(column)
        if name not in ("amount", "rate"):
            columns[f"{name}__status"] = pa.array(np.zeros(rows, np.uint8) + PRESENT)
    batch = pa.record_batch(columns)
    times = pa.array(np.full(rows, CLOCK_US))
    view = kernel.OnDemandView(meanings("float64")[1].encode())
    own = pa.record_batch(view.evaluate(batch, times))
    for name, other in by_numpy(values).items():
        found = own[name].to_numpy(zero_copy_only=False)
        if not np.allclose(found.astype(np.float64), other.astype(np.float64)):
            raise RuntimeError(f"{name}: the kernel and NumPy differ")
    return Batch(least(lambda: view.evaluate(batch, times)), least(lambda: by_numpy(values)))


PRESENT = 1


def by_numpy(of: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """The eight expressions over columns that have no nulls."""
    amount, usual, spread = of["amount"], of["usual"], of["spread"]
    return {
        "ratio": amount / usual,
        "deviation": (amount - usual) / np.maximum(spread, 0.01),
        "logged": np.log(np.abs(amount) + 1),
        "capped": np.clip(amount, 0.0, 50.0),
        "is_high": (amount > usual + 3 * spread) & (of["n"] > 5),
        "kind": np.select([amount < 0, amount < 20], [0, 1], 2),
        "filled": usual * of["rate"],
        "far": np.sqrt(amount * amount + usual * usual),
    }


def least(work: Any) -> float:
    """CPU seconds of the quickest of some runs."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


# --- Lines --------------------------------------------------------------------------------------------------


class Report:
    """Lines of the result."""

    def __init__(self) -> None:
        self.versions = {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pyarrow": pa.__version__,
            "semantics": str(kernel.SEMANTICS_REVISION),
        }

    def line(self, metric: str, value: float, unit: str, *, most: float | None = None, **params: Any) -> None:
        params |= {"cpus": os.cpu_count() or 0}
        if most is not None:
            params |= {"target": most}
            case = params.get("column", ""), params.get("events_a_month", "")
            say(f"  {metric} {case}: {value:.3g} {unit} of {most:g}{'' if value <= most else ': MISSED'}")
        found = {"bench": "kernel", "metric": metric, "value": round(value, 6), "unit": unit, "params": params}
        print(json.dumps(found | {"versions": self.versions}), flush=True)


def main() -> int:
    """The process. Non-zero if it could not measure, or if answers differ from those of the references."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of a batch of expressions")
    args = parser.parse_args()
    report = Report()
    say("updates, reads and expressions inside the kernel")
    with tempfile.TemporaryDirectory(prefix="skewless-bench-") as directory:
        found = inside(Path(directory))
    for kind, n in CASES:
        figures = found[f"{kind} {n}"]
        size: dict[str, Any] = {"column": kind, "events_a_month": n, "features": int(figures["features"])}
        report.line("update", figures["update_us"], "us", most=UPDATE_US.get(n), **size)
        report.line("update_to_json", figures["update_us"] / figures["update_json_us"], "", **size)
        report.line("merge", figures["merge_us"], "us", most=MERGE_US.get(n), **size)
        report.line("read", figures["read_us"], "us", **size)
        report.line("read_to_raw_events", figures["read_us"] / figures["by_hand_us"], "", **size)
        report.line("state_head", figures["head_bytes"], "B", **size)
        report.line("state_body", figures["body_bytes"], "B", **size)
        if kind == "int64":
            prototype = PROTOTYPE_BYTES[n]
            ratio = figures["body_bytes"] / prototype
            report.line("tiles_to_prototype", ratio, "", most=TILES_TO_PROTOTYPE, prototype_bytes=prototype, **size)
    count = int(found["expressions"]["features"])
    report.line("expressions_row", found["expressions"]["row_us"], "us", most=ROW_US, expressions=count)
    say(f"batches of {args.rows} rows")
    batch = batches(args.rows)
    own = batch.kernel * 1e6 / args.rows
    report.line("expressions_batch", own, "s per 1M rows", most=BATCH_S, expressions=count, rows=args.rows)
    report.line("expressions_batch_to_numpy", batch.kernel / batch.numpy, "", expressions=count, rows=args.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
