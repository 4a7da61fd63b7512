"""What builds images: Docker if an engine answers, else buildah."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tools.images import base
from tools.images.command import run, succeeds

DOCKERFILE: Final = Path(__file__).resolve().parents[2] / "Dockerfile"
# Of buildah; shared by all checkouts of a user.
STORAGE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skewless" / "containers"
INSTALL: Final = (
    "no Docker engine answers, and these programs are missing: {missing}. Start Docker, or on Debian and Ubuntu: "
    "apt-get install --no-install-recommends buildah mmdebstrap"
)


class EngineError(Exception):
    """There is nothing to build images with."""


@dataclass(frozen=True)
class Recipe:
    """One image: its stage of the Dockerfile, the Dockerfile's arguments, its labels, its name with tag."""

    target: str
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    reference: str


class Engine(Protocol):
    """Builds images."""

    @property
    def name(self) -> str: ...

    @property
    def base(self) -> str:
        """The base, as a reference; empty for the Dockerfile's own."""

    def build(self, recipe: Recipe, context: Path, tar: Path) -> None:
        """Builds an image and writes it as a docker-archive. Raises CommandError."""


class Docker:
    """Docker, or what answers in its place."""

    name = "docker"

    def __init__(self, base_image: str) -> None:
        self.base = base_image

    def build(self, recipe: Recipe, context: Path, tar: Path) -> None:
        base_flags = [f"--build-arg=BASE={self.base}"] if self.base else []
        run("docker", "build", *_flags(recipe), *base_flags, str(context))
        partial = tar.with_suffix(".partial")
        run("docker", "save", f"--output={partial}", recipe.reference)
        partial.rename(tar)


class Buildah:
    """buildah without a daemon, with a storage of its own; a base of Debian's packages unless another is named."""

    name = "buildah"

    def __init__(self, base_image: str, work: Path) -> None:
        wanted = ("buildah",) if base_image else ("buildah", "mmdebstrap")
        if missing := [program for program in wanted if not shutil.which(program)]:
            raise EngineError(INSTALL.format(missing=", ".join(missing)))
        # In mount namespaces of their own, because builds leave layers mounted.
        apart = ["unshare", "--mount"] if os.geteuid() == 0 else []
        self._command = _with_driver([*apart, "buildah", f"--root={STORAGE}", f"--runroot={STORAGE}/run"])
        self.base = base_image or self._debian(work)

    def build(self, recipe: Recipe, context: Path, tar: Path) -> None:
        flags = ["--isolation=chroot", "--layers", "--pull-never", *_flags(recipe), f"--build-arg=BASE={self.base}"]
        run(*self._command, "build", *flags, str(context))
        partial = tar.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        run(*self._command, "push", "--quiet", recipe.reference, f"docker-archive:{partial}:{recipe.reference}")
        partial.rename(tar)

    def _debian(self, work: Path) -> str:
        """The base of this week, made if it is not there."""
        made_by = hashlib.sha256(Path(base.__file__).read_bytes()).hexdigest()[:12]
        reference = f"localhost/skewless-base:{made_by}-{base.week()}"
        if not succeeds(*self._command, "inspect", "--type=image", reference):
            # Nothing that stands on an older base is of use any more.
            run(*self._command, "rmi", "--all", "--force")
            work.mkdir(parents=True, exist_ok=True)
            base.make(work / "base.tar")
            recipe = "FROM scratch\nADD base.tar /\n"
            run(*self._command, "build", f"--tag={reference}", "--file=-", "--", str(work), text=recipe)
            (work / "base.tar").unlink()
        return reference


def engine(base_image: str, work: Path) -> Engine:
    """What there is; the base is a reference, or empty for the usual one. Raises EngineError if there is nothing."""
    if succeeds("docker", "info"):
        return Docker(base_image)
    return Buildah(base_image, work)


def _with_driver(command: list[str]) -> list[str]:
    """Overlay where the file system can, which keeps layers once; else vfs, which copies them."""
    overlay = [*command, "--storage-driver=overlay"]
    return overlay if succeeds(*overlay, "info") else [*command, "--storage-driver=vfs"]


def _flags(recipe: Recipe) -> list[str]:
    arguments = [f"--build-arg={name}={value}" for name, value in recipe.arguments.items()]
    labels = [f"--label={name}={value}" for name, value in recipe.labels.items()]
    named = [f"--file={DOCKERFILE}", f"--target={recipe.target}", f"--tag={recipe.reference}"]
    return [*named, *arguments, *labels]
