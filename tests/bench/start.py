"""How long things take to start: the client's import, the command's help, the mesh on this machine.

    python tests/bench/start.py [--rounds N]

`import_s` is the import of `skewless.client` in a fresh interpreter, `help_s` all of `skewless --help`, `up_s` all of
`skewless up`, in a new directory and in one with data. Medians. JSON lines on stdout, progress on stderr.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from skewless.local.supervisor import DEFAULT_PORTS

SKEWLESS = (sys.executable, "-m", "skewless.cli")
IMPORT = "import time; began = time.perf_counter(); import skewless.client; print(time.perf_counter() - began)"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(*command: str) -> str:
    """What a command prints. Raises RuntimeError with its words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def import_s() -> float:
    """Seconds of one import."""
    return float(run(sys.executable, "-c", IMPORT))


def help_s() -> float:
    """Seconds of one `skewless --help`."""
    began = time.perf_counter()
    run(*SKEWLESS, "--help")
    return time.perf_counter() - began


def up_s(data: Path) -> float:
    """Seconds of one `skewless up`; the mesh is stopped again."""
    ports = [word for part in DEFAULT_PORTS for word in ("--port", f"{part}=0")]
    began = time.perf_counter()
    run(*SKEWLESS, "up", "--data", str(data), *ports)
    taken = time.perf_counter() - began
    run(*SKEWLESS, "down", "--data", str(data))
    return taken


def median(what: str, measure: Callable[[], float], rounds: int) -> float:
    """The middle of so many rounds, after one that is not counted."""
    measure()
    found = [measure() for _ in range(rounds)]
    say(f"{what}: {', '.join(f'{value:.3f}' for value in found)}")
    return statistics.median(found)


def measure(rounds: int) -> Iterator[tuple[str, str, float]]:
    """Case, metric and seconds."""
    with tempfile.TemporaryDirectory(prefix="skewless-bench-") as directory:
        root = Path(directory)
        fresh = iter(range(rounds + 1))
        yield "new", "up_s", median("up, new", lambda: up_s(root / f"new-{next(fresh)}"), rounds)
        yield "headline", "import_s", median("import", import_s, 2 * rounds + 1)
        yield "headline", "help_s", median("help", help_s, 2 * rounds + 1)
        yield "headline", "up_s", median("up again", lambda: up_s(root / "kept"), rounds)


def main() -> int:
    """The process. Non-zero if it could not measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="starts of the mesh per case")
    rounds = parser.parse_args().rounds
    versions = {"python": platform.python_version(), "grpcio": version("grpcio"), "typer": version("typer")}
    for case, metric, value in measure(rounds):
        params = {"case": case, "rounds": rounds}
        line = {"bench": "start", "metric": metric, "value": round(value, 3), "unit": "s"}
        print(json.dumps({**line, "params": params, "versions": versions}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
