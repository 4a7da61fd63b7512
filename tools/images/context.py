"""Fills the build context: wheels, requirements, programs. Only what changed is made again; images use no network."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tools.images import kernel, trials
from tools.images.command import run
from tools.images.components import COMPONENTS, Component
from tools.images.requirements import Locked, export, layers

ROOT: Final = Path(__file__).resolve().parents[2]
UV: Final = ROOT / ".tools" / "uv" / "bin" / "uv"
INSIDE: Final = Path(__file__).parent / "inside"
# The oldest base there may be has glibc 2.36.
PLATFORMS: Final = [
    *(f"manylinux_2_{minor}_x86_64" for minor in range(36, 4, -1)),
    *("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"),
]


def fill(context: Path) -> None:
    """Brings the context of all images up to date. Raises CommandError."""
    (context / "requirements").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(context / "inside", ignore_errors=True)
    shutil.copytree(INSIDE, context / "inside", ignore=shutil.ignore_patterns("__pycache__"))
    locked = {part.name: export(UV, ROOT, part) for part in COMPONENTS if part.extra or part.group}
    python = {part.name: locked[part.name] for part in COMPONENTS if part.extra}
    for layer, packages in layers(python).items():
        if layer != "plain":
            require(context, layer, [package.line for package in packages])
            fetch(context / "wheels" / layer, packages)
    images = export(UV, ROOT, Component("images", "", group="images"))
    fetch(context / "pip", [package for package in images if package.name == "pip"])
    local(context, "kernel", kernel.build(ROOT, context.parent / "kernel"))
    local(context, "product", product(context.parent / "product"))
    for name in ("trial-valkey", "trial-postgres"):
        wheels = context.parent / "trials" / name
        fetch(wheels, [package for package in locked[name] if package.name in trials.PACKAGES])
        trials.unpack(name, wheels, context / "trees" / name)
    trials.broker(ROOT, context / "trees" / "trial-kafka")


def require(context: Path, layer: str, lines: Iterable[str]) -> None:
    """Writes a layer's requirements."""
    file = context / "requirements" / f"{layer}.txt"
    text = "".join(f"{line}\n" for line in sorted(lines))
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def fetch(to: Path, packages: Iterable[Locked]) -> None:
    """Downloads wheels for Linux and Python 3.11, checked against the lock's hashes, if they are not there."""
    text = "".join(sorted(f"{package.line}\n" for package in packages))
    stamp = to.with_name(f".{to.name}.requirements")
    if to.is_dir() and stamp.exists() and stamp.read_text() == text:
        return
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    stamp.write_text(text)
    if text:
        flags = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        flags += ["--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none"]
        flags += [f"--platform={platform}" for platform in PLATFORMS]
        try:
            run(sys.executable, "-m", "pip", "download", *flags, f"--dest={to}", f"--requirement={stamp}")
        except BaseException:
            stamp.unlink()
            raise


def local(context: Path, layer: str, wheel: Path) -> None:
    """Makes a wheel of this checkout a layer."""
    content = wheel.read_bytes()
    to = context / "wheels" / layer / wheel.name
    if not to.exists() or to.read_bytes() != content:
        shutil.rmtree(to.parent, ignore_errors=True)
        to.parent.mkdir(parents=True)
        to.write_bytes(content)
    name, version, *_ = wheel.name.split("-")
    require(context, layer, [f"{name}=={version} --hash=sha256:{hashlib.sha256(content).hexdigest()}"])


def product(out: Path) -> Path:
    """The wheel of the package `skewless`."""
    with tempfile.TemporaryDirectory() as fresh:
        flags = ["--target", "wheel", "--directory", fresh]
        run(sys.executable, "-m", "hatchling", "build", *flags, cwd=ROOT)  # which sets all times to a fixed one
        (wheel,) = Path(fresh).glob("*.whl")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy2(wheel, out))
