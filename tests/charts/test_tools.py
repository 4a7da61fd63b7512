"""helm and kubectl come out of a wheel, pinned."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools.chart.rendered import HELM, ROOT
from tools.kube.unpack import unpack


def wheel(path: Path, *programs: str) -> Path:
    """One that is made as the real one: a zip in a package in a zip."""
    layer, package = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(layer, "w") as inner:
        for program in programs:
            inner.writestr(f"{program}/{program}", f"the program {program}")
    with tarfile.open(fileobj=package, mode="w:gz") as outer:
        member = tarfile.TarInfo("package/lib/layer.zip")
        member.size = len(layer.getvalue())
        outer.addfile(member, io.BytesIO(layer.getvalue()))
    with zipfile.ZipFile(path, "w") as whole:
        whole.writestr("some/layer@1.jsii.tgz", package.getvalue())
    return path


def test_programs_are_unpacked_and_can_be_run(tmp_path: Path) -> None:
    unpack(wheel(tmp_path / "a.whl", "helm", "kubectl", "other"), tmp_path / "bin")
    found = {path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in (tmp_path / "bin").iterdir()}
    assert found == {"helm": ("the program helm", 0o755), "kubectl": ("the program kubectl", 0o755)}


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one file that ends in helm/helm"):
        unpack(wheel(tmp_path / "a.whl", "kubectl"), tmp_path / "bin")


@pytest.mark.parametrize("arguments", [("helm", "version"), ("kubectl", "version", "--client")])
def test_the_programs_are_those_that_are_named(arguments: tuple[str, ...]) -> None:
    program, *rest = arguments
    said = subprocess.run([HELM.parent / program, *rest], capture_output=True, text=True, check=True).stdout
    named = re.search(rf"{program} (\d+\.\d+\.\d+)", (ROOT / "tools" / "kube" / "requirements.txt").read_text())
    assert named is not None
    assert f"v{named[1]}" in said
