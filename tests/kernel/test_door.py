"""What Python sees of the kernel: the declared types are the module, and the hash is the tree."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import skewless_kernel

from skewless import kernel

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3_600_000_000
MONDAY = 4 * 24 * HOUR


def tree_hash(root: Path) -> str:
    """The hash that kernel/py/build.rs describes, computed a second time."""
    names = [
        path.relative_to(root).as_posix()
        for path in (root / "kernel").rglob("*")
        if (path.suffix == ".rs" or path.name in {"Cargo.toml", "Cargo.lock"}) and path.is_file()
    ]
    names += [path.relative_to(root).as_posix() for path in (root / "protos").rglob("*.proto")]
    skipped = {"target", "python"}
    digest = hashlib.sha256()
    for name in sorted(names, key=str.encode):
        if any(part in skipped or part.startswith(".") for part in Path(name).parts):
            continue
        content = (root / name).read_bytes()
        digest.update(name.encode() + b"\0" + len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def test_the_built_kernel_is_the_kernel_of_this_tree() -> None:
    assert skewless_kernel.__build__ == tree_hash(ROOT), "the kernel was built from other sources: run `make setup`"


@pytest.mark.parametrize(
    ("t", "expected"),
    [
        (0, 0),
        (HOUR, HOUR),
        (HOUR + 1, HOUR),
        (2 * HOUR - 1, HOUR),
        (-1, -HOUR),
        (MONDAY, MONDAY),
    ],
)
def test_an_instant_goes_to_the_hop_at_or_before_it(t: int, expected: int) -> None:
    assert kernel.floor_to_hop(t, HOUR) == expected


def test_weeks_start_on_monday_unless_an_origin_is_given() -> None:
    week = 7 * 24 * HOUR
    assert kernel.floor_to_hop(0, week) == MONDAY - week
    assert kernel.floor_to_hop(0, week, origin=0) == 0


def test_the_default_hop_is_the_largest_that_is_fine_enough() -> None:
    assert kernel.default_hop(24 * HOUR) == HOUR // 4
    assert kernel.default_hop(1) is None


def test_a_bad_hop_names_itself() -> None:
    with pytest.raises(ValueError, match="hop must be a positive number of microseconds, got -5"):
        kernel.floor_to_hop(0, -5)


def test_an_instant_off_the_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="lies outside 64-bit microseconds"):
        kernel.floor_to_hop(-(2**63), HOUR)


def test_the_declared_types_are_those_of_the_module() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "skewless_kernel"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
