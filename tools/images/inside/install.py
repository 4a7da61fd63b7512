"""Runs in an image build: ``install.py LAYER`` installs the wheels of a layer and puts its files by themselves.

Its wheels lie in ``/build/wheels/LAYER``, its requirements, with hashes, in ``/build/requirements/LAYER.txt``.
Everything is installed into the environment ``/opt/skewless``, where paths are right; what came is then put below
``/layers/LAYER``. No network is used.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

BUILD = Path("/build")
HOME = Path("/opt/skewless")
PYTHON = HOME / "bin" / "python"
# Parts of wheels that nothing here uses: for compilers and the packages' own tests, and of pyarrow what speaks Flight
# and second copies of its libraries.
DEAD_WEIGHT = (
    "**/*.a",
    "**/*.pxd",
    "**/*.pxi",
    "**/*.pyx",
    "**/pyarrow/_flight*.so",
    "**/pyarrow/include",
    "**/pyarrow/libarrow*.so",
    "**/pyarrow/libarrow*.so.*.*.*",
    "**/pyarrow/libarrow*flight*",
    "**/pyarrow/src",
    "**/pyarrow/tests",
)


def main() -> None:
    layer = sys.argv[1]
    before = files()
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", HOME], check=True)
    install(layer)
    strip()
    for path in files() - before:
        if path.suffix == ".py":
            # Mode unchecked-hash: a read-only root has no place for caches, and layers may lose modification times.
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            compileall.compile_file(path, quiet=1, invalidation_mode=mode)
    target = Path("/layers") / layer
    target.mkdir(parents=True)
    for path in sorted(files() - before):
        to = target / path.relative_to("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        if before:
            path.rename(to)
        else:  # other layers are installed upon this one
            shutil.copy2(path, to, follow_symlinks=False)
    for path in [target, *target.rglob("*")]:
        os.utime(path, (0, 0), follow_symlinks=False)  # equal contents are equal layers


def install(layer: str) -> None:
    """Runs pip from its own wheel, so that none is installed."""
    pip = next((BUILD / "pip").glob("pip-*.whl")) / "pip"
    command: list[str | Path] = [PYTHON, pip, "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    command += ["--no-cache-dir", "--disable-pip-version-check", "--root-user-action=ignore", "--require-hashes"]
    command += [f"--find-links={BUILD / 'wheels' / layer}", "--requirement", BUILD / "requirements" / f"{layer}.txt"]
    subprocess.run(command, check=True)


def strip() -> None:
    """Removes what nothing uses at run time."""
    for pattern in DEAD_WEIGHT:
        for path in list(HOME.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    for program in (HOME / "bin").iterdir():
        if not program.name.startswith("python") and program.name != "skewless":
            program.unlink()


def files() -> frozenset[Path]:
    """All files and links of the environment."""
    return frozenset(path for path in HOME.rglob("*") if path.is_symlink() or not path.is_dir())


if __name__ == "__main__":
    main()
