"""The examples of the chart as helm renders them: ``examples/<case>/rendered/`` from ``values.yaml`` beside it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

from tools.chart.settings import CHART

ROOT: Final = CHART.parents[1]
HELM: Final = ROOT / ".tools" / "bin" / "helm"
EXAMPLES: Final = CHART / "examples"
RELEASE: Final = "skewless"
NAMESPACE: Final = "features"


class HelmError(Exception):
    """Helm refused; the message is what it said."""


def cases() -> list[str]:
    """The examples' names."""
    return sorted(path.parent.name for path in EXAMPLES.glob("*/values.yaml"))


def values_of(case: str) -> Path:
    """Where an example's values are."""
    return EXAMPLES / case / "values.yaml"


def helm(*arguments: str | Path) -> str:
    """What helm prints. Raises HelmError if it refuses; FileNotFoundError, with the remedy, if it is not there."""
    if not HELM.is_file():
        raise FileNotFoundError(f"{HELM} is not there: run `make tools`")
    done = subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise HelmError(done.stderr + done.stdout)
    return done.stdout


def template(*arguments: str | Path) -> str:
    """What helm renders of the chart, all documents."""
    return helm("template", RELEASE, CHART, "--namespace", NAMESPACE, *arguments)


def files(rendered: str) -> dict[str, str]:
    """Rendered documents by the template they come from, such as ``services.yaml``."""
    found: dict[str, list[str]] = {}
    for document in re.split(r"^---\n", rendered, flags=re.MULTILINE):
        if source := re.match(r"# Source: \w+/templates/(\S+)\n", document):
            found.setdefault(source[1], []).append(document.rstrip() + "\n")
    return {name: "".join(f"---\n{text}" for text in texts) for name, texts in found.items()}


def renew(case: str) -> None:
    """Writes what an example renders, and removes what it no longer does."""
    folder = EXAMPLES / case / "rendered"
    fresh = files(template("--values", values_of(case)))
    for path in folder.rglob("*.yaml"):
        if str(path.relative_to(folder)) not in fresh:
            path.unlink()
    for name, text in fresh.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
