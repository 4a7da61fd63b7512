"""What the chart's notes and the guide tell people to type, typed."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path

from tests.k8s.cluster import Cluster
from tests.k8s.shell import SuiteError, run

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "operations" / "kubernetes.md"
NAMESPACE = "features"
"""The namespace in the guide."""
_HEADING = "The first feature"
_SEEN = re.compile(r"^spending:n_1h +\d+ +PRESENT ", re.MULTILINE)


def in_notes(notes: str) -> str:
    """The commands under the notes' heading, up to what they say of the end."""
    found = re.search(rf"^{_HEADING}:\n(.*?)^`helm ", notes, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SuiteError(f"the notes have no commands under {_HEADING!r}:\n{notes}")
    return textwrap.dedent(found[1])


def in_guide(namespace: str) -> str:
    """The commands under the guide's heading, for another namespace."""
    section = re.search(rf"^## {_HEADING}\n(.*?)^## ", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```bash\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL) if section else []
    if not blocks:
        raise SuiteError(f"{GUIDE} has no commands under {_HEADING!r}")
    return "\n".join(blocks).replace(f"--namespace {NAMESPACE} ", f"--namespace {namespace} ")


def type_in(cluster: Cluster, commands: str) -> None:
    """Runs the commands in a shell; the last vector that they ask for must have its values."""
    path = f"{Path(cluster.kubectl).resolve().parent}{os.pathsep}{os.environ['PATH']}"
    environment = ["env", f"PATH={path}", f"KUBECONFIG={cluster.kubeconfig}"]
    said = run([*environment, "bash", "-euo", "pipefail", "-c", commands], timeout_s=120)
    if not _SEEN.search(said):
        raise SuiteError(f"the commands lead to no feature; they print:\n{said}")
