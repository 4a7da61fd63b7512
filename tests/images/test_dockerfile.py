"""What the Dockerfile may and may not do."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from tools.images.build import SBOM, Version, recipe_of
from tools.images.components import COMPONENTS, FLOORS, Component
from tools.images.context import ROOT
from tools.images.engine import EngineError, engine
from tools.images.rootfs import USER

TEXT = (ROOT / "Dockerfile").read_text()
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
# Stage by stage: what it stands on, and its instructions.
STAGES = {
    match["name"]: (match["base"], [line for line in match["body"].splitlines() if line and not line.startswith("#")])
    for match in re.finditer(
        r"^FROM (?P<base>\S+) AS (?P<name>\S+)\n(?P<body>(?:(?!FROM ).*\n?)*)", TEXT, flags=re.MULTILINE
    )
}


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_a_component_is_a_stage_that_starts_its_program(component: Component) -> None:
    base, body = STAGES[component.name]
    assert base == "complete"
    (line,) = (line for line in body if line.startswith("ENTRYPOINT "))
    command = json.loads(line.removeprefix("ENTRYPOINT "))
    if component.extra and component.name != "cli":
        module = command[-1]
        assert command == ["/opt/skewless/bin/python", "-m", f"services.{component.extra}.main"]
        assert importlib.util.find_spec(module) is not None
    assert component.content in STAGES
    assert component.floor in STAGES
    assert set(FLOORS) <= set(STAGES)


def test_images_run_as_a_user_without_rights() -> None:
    for stage in ("root", "kafka"):
        assert f"USER {USER}:{USER}" in STAGES[stage][1]
    # The others that become images stand on these two and do not change it.
    roots = {"root", "kafka"}
    for name, (base, body) in STAGES.items():
        if base in {"root", "plain", "arrow", "content", "complete", "${FLOOR}", "${CONTENT}"}:
            assert not any(line.startswith(("USER", "RUN")) for line in body), name
            roots.add(name)
    assert {part.name for part in COMPONENTS} <= roots


def test_nothing_is_downloaded_compiled_or_installed_by_a_package_manager() -> None:
    instructions = "\n".join(LINES)
    assert not re.search(
        r"https?://|git@|\bapt\b|apt-get|\bapk\b|\bcurl\b|\bwget\b|\bgcc\b|cargo|pip install", instructions
    )
    assert not any(line.startswith("ADD ") for line in LINES)
    runs = [line for line in LINES if line.startswith("RUN ")]
    assert runs
    for line in runs:
        assert re.search(r'\["python3", "/build/(strip_base|install|sbom)\.py"', line), line


def test_no_secret_comes_in_by_argument_or_variable() -> None:
    named = re.findall(r"^(?:ARG|ENV) (.*)$", TEXT, flags=re.MULTILINE)
    names = {word.partition("=")[0] for line in named for word in line.split()}
    assert names == {
        *("BASE", "CONTENT", "FLOOR", "SERVICE", "VERSION", "INPUTS"),
        *("PATH", "HOME", "LANG", "PYTHONUNBUFFERED", "PGDATA"),
    }
    assert "--mount=type=secret" not in TEXT


def test_labels_say_what_an_image_is() -> None:
    for part in COMPONENTS:
        recipe = recipe_of(part, Version("1.2.3", "abc", "t1"), "inputs")
        labels = {name.rpartition(".")[2]: value for name, value in recipe.labels.items()}
        assert labels == {"title": part.title, "version": "1.2.3", "revision": "abc", "licenses": part.licences}
        assert all(name.startswith("org.opencontainers.image.") for name in recipe.labels)
        assert recipe.reference == f"docker.io/skewless/{part.name}:t1"
    assert f"/bill/{SBOM}" in TEXT


def test_without_a_builder_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"missing: buildah, mmdebstrap\. Start Docker, .* apt-get install"):
        engine("", tmp_path)
    with pytest.raises(EngineError, match=r"missing: buildah\. Start Docker"):
        engine("localhost/base:1", tmp_path)
