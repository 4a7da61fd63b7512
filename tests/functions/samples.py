"""The sample package, on the path of this process and of those that it starts."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from skewless.functions.environment import FunctionRef

INSTALLED = Path(__file__).parent / "installed"
SCORING = "sample_functions.scoring"
SOURCE = hashlib.sha256((INSTALLED / "sample_functions" / "scoring.py").read_bytes()).digest()


def install() -> None:
    """Makes the package importable."""
    for known in (sys.path, paths := os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        if str(INSTALLED) not in known:
            known.insert(0, str(INSTALLED))
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)


def ref(name: str, kind: str, arguments: tuple[str, ...], budget_us: int = 50_000) -> FunctionRef:
    """A function of `sample_functions.scoring` as a meaning names it."""
    return FunctionRef(SCORING, name, SOURCE, arguments, kind, budget_us)
