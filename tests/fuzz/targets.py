"""Where the judges and their inputs lie."""

from pathlib import Path

HERE = Path(__file__).parent
TARGETS = sorted(path.stem for path in (HERE / "targets").glob("*.rs"))
"""The judges: each has a target that makes inputs up for it."""
FOUND = HERE / "found"
"""Inputs that once broke something; `cargo test` goes over them for ever."""
