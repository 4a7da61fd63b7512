"""Images as tars: what they are called, how large they are, and into the cluster with them."""

from __future__ import annotations

import json
import re
import shlex
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.k8s.shell import SuiteError, run

PARTS = (
    "registry",
    "online",
    "offline",
    "stream-agg",
    "validator",
    "cli",
    "trial-valkey",
    "trial-kafka",
    "trial-postgres",
)
_NAME = re.compile(r"^(?:docker\.io/)?(?P<repository>.+)/(?P<part>[^/:]+):(?P<tag>[^/:]+)$")


@dataclass(frozen=True)
class Image:
    """One image: the tar that holds it, and its name ``repository/part:tag``."""

    tar: Path
    repository: str
    part: str
    tag: str

    @property
    def name(self) -> str:
        return f"{self.repository}/{self.part}:{self.tag}"

    @property
    def bytes(self) -> int:
        return self.tar.stat().st_size


@dataclass(frozen=True)
class Images:
    """All images of one commit, by part."""

    by_part: dict[str, Image]

    @property
    def repository(self) -> str:
        return self.by_part["cli"].repository

    @property
    def tag(self) -> str:
        return self.by_part["cli"].tag

    def sizes(self) -> dict[str, float]:
        """MiB of each image's tar, which is not compressed."""
        return {part: round(image.bytes / (1 << 20), 1) for part, image in self.by_part.items()}

    def load(self, command: str) -> None:
        """Gives each tar to a command, as its last argument, through a shell."""
        for image in self.by_part.values():
            run(["/bin/sh", "-c", f"{command} {shlex.quote(str(image.tar))}"], timeout_s=180)


def found_in(directory: Path) -> Images:
    """The images of a directory, a tar for each part. Raises SuiteError unless all are there, of one tag."""
    missing = [part for part in PARTS if not (directory / f"{part}.tar").is_file()]
    if missing:
        raise SuiteError(f"{directory} lacks {', '.join(f'{part}.tar' for part in missing)}: run `make images`")
    images = {part: _read(directory / f"{part}.tar", part) for part in PARTS}
    kinds = {(image.repository, image.tag) for image in images.values()}
    if len(kinds) > 1:
        raise SuiteError(f"the images of {directory} are not of one kind: {sorted(map('/*:'.join, kinds))}")
    return Images(images)


def _read(tar: Path, part: str) -> Image:
    for name in _names(tar):
        match = _NAME.match(name)
        if match and match["part"] == part:
            return Image(tar, match["repository"], part, match["tag"])
    raise SuiteError(f"{tar} holds no image whose name ends with /{part}:TAG, but {', '.join(_names(tar)) or 'none'}")


def _names(tar: Path) -> list[str]:
    """The names in a docker-archive or an OCI archive."""
    with tarfile.open(tar) as archive:
        if "manifest.json" in archive.getnames():
            return [name for entry in _member(archive, "manifest.json") for name in entry["RepoTags"] or ()]
        entries = _member(archive, "index.json")["manifests"]
        keys = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
        return [entry["annotations"][key] for entry in entries for key in keys if key in entry.get("annotations", {})]


def _member(archive: tarfile.TarFile, name: str) -> Any:
    content = archive.extractfile(name)
    if content is None:
        raise SuiteError(f"{archive.name!r} holds a {name} that is no file")
    return json.load(content)
