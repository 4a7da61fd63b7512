"""Makes inputs up for the judges of kernel/core/tests/judges, one judge after the other.

python -m tests.fuzz [--seconds 120] [--work FOLDER] [JUDGE...]

An input that breaks a judge's word is left under FOLDER/found/JUDGE: shrink it (`cargo fuzz tmin`), put it under
tests/fuzz/found/JUDGE with a telling name, and mend the kernel.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz import seeds
from tests.fuzz.targets import HERE, TARGETS

LIMITS = ("-rss_limit_mb=2048", "-malloc_limit_mb=256", "-timeout=10", "-max_len=16384")
"""One input may not take this much memory, in all or at once, nor that many seconds."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("judges", nargs="*", metavar="JUDGE", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=int, default=120, help="for each judge")
    parser.add_argument("--work", type=Path, default=Path(".fuzz"), help="for inputs made up so far")
    given = parser.parse_args()
    unknown = sorted(set(given.judges) - set(TARGETS))
    if unknown:
        parser.error(f"no judge {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    seeds.write(given.work / "seeds")
    broken = [judge for judge in given.judges or TARGETS if not fuzz(judge, given.seconds, given.work)]
    print(f"{len(given.judges or TARGETS) - len(broken)} held, {len(broken)} broken {' '.join(broken)}")
    return 1 if broken else 0


def fuzz(judge: str, seconds: int, work: Path) -> bool:
    """Whether the judge's word held that long."""
    folders = {name: (work / name / judge).absolute() for name in ("corpus", "seeds", "found")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    # The sanitizer needs switches that a stable compiler has only for its own build.
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1"}
    command = ["cargo", "fuzz", "run", "--fuzz-dir", str(HERE), judge, str(folders["corpus"]), str(folders["seeds"])]
    told = [f"-max_total_time={seconds}", f"-artifact_prefix={folders['found']}/", "-print_final_stats=1"]
    print(f"--- {judge}", flush=True)
    return subprocess.run([*command, "--", *LIMITS, *told], env=environment, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
