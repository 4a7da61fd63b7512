"""What the documentation names is there: files, make targets, Python that compiles."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
# In the text of a span or a block; in prose `make` is a verb.
TARGET = re.compile(r"(?:^|[\s$])make ([a-z][a-z0-9-]*)")
FOLDERS = ("protos", "kernel", "src", "services", "examples", "tests", "tools", "third_party", "docs")
# What stands for many files: `<project>`, `*`, `...`, `{a,b}`.
PLACE = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*")


def documents() -> list[str]:
    """Every Markdown file of the project, by its path from the root."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    try:
        found = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):  # not a checkout
        hidden = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
        found = [str(path) for path in hidden if not any(part.startswith(".") for part in path.parts)]
    return sorted(name for name in found if (ROOT / name).is_file())


def prose(text: str) -> str:
    """The text without its code."""
    return SPAN.sub("", FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """What a link can lead to within a document."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def code(text: str) -> list[str]:
    """The blocks that are no Python, and the spans."""
    blocks = [block for language, block in FENCE.findall(text) if language != "python"]
    return [*blocks, *SPAN.findall(FENCE.sub("", text))]


def test_there_are_documents() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/README.md"} <= set(documents())


@pytest.mark.parametrize("name", documents())
def test_every_link_leads_somewhere(name: str) -> None:
    path = ROOT / name
    lost = []
    for link in LINK.findall(prose(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("name", documents())
def test_every_file_that_is_named_is_there(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = {span for span in SPAN.findall(FENCE.sub("", text)) if PLACE.fullmatch(span)}
    assert sorted(span for span in named if not (ROOT / span).exists()) == []


@pytest.mark.parametrize("name", documents())
def test_every_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = (ROOT / name).read_text(encoding="utf-8")
    named = {target for piece in code(text) for target in TARGET.findall(piece)}
    assert sorted(named - targets) == []


@pytest.mark.parametrize("name", documents())
def test_python_in_documents_compiles(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for language, block in FENCE.findall(text):
        if language == "python":
            ast.parse(block, filename=name)


def test_the_index_of_documents_is_complete() -> None:
    listed = set(LINK.findall((ROOT / "docs" / "README.md").read_text(encoding="utf-8")))
    there = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert there - listed == set()
