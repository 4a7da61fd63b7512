"""Reading an image's tar (a docker-archive): names, configuration, layers, files."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import zlib
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Layer:
    """One layer: the digest of its content, and its size in bytes, as it is and as a registry would keep it."""

    digest: str
    size: int
    compressed: int


@dataclass(frozen=True)
class Image:
    """What a tar holds: one image with its ``reference``, its configuration, and its layers from the bottom."""

    reference: str
    config: dict[str, Any]
    layers: tuple[Layer, ...]


def read(tar: Path, known: MutableMapping[str, int] | None = None) -> Image:
    """Reads a tar with one image.

    known: compressed sizes by digest, looked up and noted there because compressing takes seconds; without it they
    are 0.
    """
    with tarfile.open(tar) as archive:
        manifest, config = _head(archive)
        layers = []
        for digest, name in zip(config["rootfs"]["diff_ids"], manifest["Layers"], strict=True):
            if known is not None and digest not in known:
                with _member(archive, name) as content:
                    known[digest] = _compressed(content)
            layers.append(Layer(digest, archive.getmember(name).size, known[digest] if known else 0))
    return Image(manifest["RepoTags"][0], config["config"], tuple(layers))


def unpack(tar: Path, to: Path) -> None:
    """Writes the image's file system into a new directory, with owners if this is root."""
    with tarfile.open(tar) as archive:
        manifest, _ = _head(archive)
        for name in manifest["Layers"]:
            with _member(archive, name) as content, tarfile.open(fileobj=content) as layer:
                for entry in layer:
                    folder, _, base = entry.name.rpartition("/")
                    if base.startswith(".wh."):
                        gone = to / folder / base.removeprefix(".wh.")
                        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
                    else:
                        layer.extract(entry, to, filter="fully_trusted")


def last(tar: Path, path: str) -> bytes:
    """The content of a file that one of the layers holds; the uppermost counts. Raises KeyError."""
    with tarfile.open(tar) as archive:
        manifest, _ = _head(archive)
        for name in reversed(manifest["Layers"]):
            with _member(archive, name) as content, tarfile.open(fileobj=content) as layer:
                for entry in layer:
                    if entry.name == path and (file := layer.extractfile(entry)):
                        return file.read()
    raise KeyError(path)


def digest_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _head(archive: tarfile.TarFile) -> tuple[dict[str, Any], dict[str, Any]]:
    with _member(archive, "manifest.json") as content:
        (manifest,) = json.load(content)
    with _member(archive, manifest["Config"]) as content:
        return manifest, json.load(content)


@contextmanager
def _member(archive: tarfile.TarFile, name: str) -> Iterator[IO[bytes]]:
    content = archive.extractfile(name)
    if content is None:
        raise KeyError(name)
    with content:
        yield content


def _compressed(content: IO[bytes]) -> int:
    packer, size = zlib.compressobj(6), 0
    while chunk := content.read(_CHUNK):
        size += len(packer.compress(chunk))
    return size + len(packer.flush())
