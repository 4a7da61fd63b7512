"""Builds images that are not there yet, and reports what they are."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.images import archive, context
from tools.images.command import run
from tools.images.components import FLOORS, Component
from tools.images.context import ROOT
from tools.images.engine import DOCKERFILE, Engine, Recipe

PREFIX: Final = "docker.io/skewless"
SBOM: Final = "opt/skewless/sbom.json"
# What a commit's images are made from, and nothing else.
SOURCES: Final = (
    *("Dockerfile", "hatch_build.py", "kernel", "protos", "pyproject.toml", "services", "src", "third_party"),
    *("tools/broker", "tools/images", "uv.lock"),
)


@dataclass(frozen=True)
class Version:
    """Of the product, of the commit (empty outside git), and the tag of the images."""

    product: str
    revision: str
    tag: str


def version(tag: str) -> Version:
    """The versions of this checkout. The tag, if not given, is the commit's, marked if there are changes, or the
    product's outside git."""
    product = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    if not (ROOT / ".git").exists():
        return Version(product, "", tag or product)
    revision = run("git", "rev-parse", "HEAD", cwd=ROOT).strip()
    changed = run("git", "status", "--porcelain", "--", *SOURCES, cwd=ROOT)
    return Version(product, revision, tag or revision[:12] + ("-changed" if changed else ""))


def check_tag(tag: str) -> None:
    """Raises ValueError for what no image can be tagged with, and for `latest`, which clusters always pull."""
    if tag and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", tag):
        raise ValueError(f"no tag: {tag!r}; give letters, digits, '_', '.' and '-', at most 128")
    if tag == "latest":
        raise ValueError("tag 'latest': a cluster would pull it instead of taking the image it has; give a version")


def build(engine: Engine, parts: Iterable[Component], versions: Version, out: Path) -> dict[str, Any]:
    """Builds what is new; returns the report of all images in ``out``, which is written there too.

    Raises CommandError.
    """
    work = out / "work"
    report_file, known_file = out / "report.json", work / "compressed.json"
    report = json.loads(report_file.read_text()) if report_file.exists() else {}
    known = json.loads(known_file.read_text()) if known_file.exists() else {}
    images = {name: image for name, image in report.get("images", {}).items() if (out / image["tar"]).exists()}
    _say("wheels and programs")
    context.fill(work / "context")
    for part in parts:
        recipe = recipe_of(part, versions, _inputs(part, work / "context"))
        key = hashlib.sha256(repr((recipe, engine.name, engine.base)).encode()).hexdigest()
        if images.get(part.name, {}).get("key") == key:
            _say(f"{part.name}: as it was")
            continue
        _say(part.name)
        began = time.monotonic()
        tar = out / f"{part.name}.tar"
        images.pop(part.name, None)
        engine.build(recipe, work / "context", tar)
        image = archive.read(tar, known)
        (out / f"{part.name}.sbom.json").write_bytes(archive.last(tar, SBOM))
        images[part.name] = {
            "reference": image.reference,
            "tar": tar.name,
            "sbom": f"{part.name}.sbom.json",
            "key": key,
            "build_s": round(time.monotonic() - began, 1),
            "bytes": sum(layer.size for layer in image.layers),
            "compressed_bytes": sum(layer.compressed for layer in image.layers),
            "layers": [vars(layer) for layer in image.layers],
        }
        known_file.write_text(json.dumps(known))
        report_file.write_text(json.dumps(_report(engine, versions, images), indent=1) + "\n")
    done = _report(engine, versions, images)
    report_file.write_text(json.dumps(done, indent=1) + "\n")
    return done


def recipe_of(part: Component, versions: Version, content: str) -> Recipe:
    """How the Dockerfile makes an image; ``content`` tells from other inputs."""
    labels = {
        "title": part.title,
        "version": versions.product,
        "revision": versions.revision,
        "licenses": part.licences,
    }
    arguments = {"SERVICE": part.name, "VERSION": versions.product, "CONTENT": part.content, "FLOOR": part.floor}
    return Recipe(
        part.name,
        {**arguments, "INPUTS": content},
        {f"org.opencontainers.image.{name}": value for name, value in labels.items() if value},
        f"{PREFIX}/{part.name}:{versions.tag}",
    )


def table(report: dict[str, Any]) -> str:
    """The sizes, for people."""
    rows = [(name, image["layers"], image["reference"]) for name, image in sorted(report["images"].items())]
    once = {layer["digest"]: layer for _, layers, _ in rows for layer in layers}
    rows.append(("together", list(once.values()), "(a layer of several images counts once)"))
    lines = [f"{'image':16} {'MB':>7} {'packed':>7} {'layers':>6}"]
    for name, layers, note in rows:
        size, packed = (sum(layer[kind] for layer in layers) / 1e6 for kind in ("size", "compressed"))
        lines.append(f"{name:16} {size:7.1f} {packed:7.1f} {len(layers):6}  {note}")
    return "\n".join(lines)


def _report(engine: Engine, versions: Version, images: dict[str, Any]) -> dict[str, Any]:
    return {
        "tag": versions.tag,
        "version": versions.product,
        "revision": versions.revision,
        "engine": engine.name,
        "base": engine.base,
        "images": images,
    }


def _inputs(part: Component, filled: Path) -> str:
    """Tells whether any file that an image is made from has changed."""
    layers = ["shared", "kernel", "product", *(name for name in FLOORS if name != "plain"), part.name]
    files = [DOCKERFILE, *(filled / "inside").rglob("*"), *(filled / "trees" / part.name).rglob("*")]
    if part.extra:
        files += [filled / "requirements" / f"{layer}.txt" for layer in layers]
    found = [(file.name, archive.digest_of(file)) for file in sorted(files) if file.is_file()]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _say(what: str) -> None:
    print(f"images: {what}", file=sys.stderr, flush=True)
