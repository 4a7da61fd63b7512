"""Values: what is refused and how, and that each is documented and of use."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.charting import render
from tools.chart import rendered, settings, table
from tools.chart.rendered import HelmError, helm

ROOT = Path(__file__).resolve().parents[2]
REFUSED = yaml.safe_load((Path(__file__).parent / "refused.yaml").read_text())
SCHEMA = json.loads(settings.SCHEMA.read_text())


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: str(case["name"]))
def test_values_that_make_no_mesh_are_refused_with_what_to_write(case: dict[str, Any]) -> None:
    with pytest.raises(HelmError) as refusal:
        render(case["example"], case["values"])
    assert [words for words in case["says"] if words not in str(refusal.value)] == [], refusal.value


@pytest.mark.parametrize("case", rendered.cases())
def test_helm_finds_nothing_to_criticise(case: str) -> None:
    said = helm("lint", "--strict", settings.CHART, "--values", rendered.values_of(case))
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


def test_the_chart_is_of_the_version_of_the_project() -> None:
    chart = yaml.safe_load((settings.CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_every_value_has_a_comment() -> None:
    described = table.described()
    assert [path for path in _leaves(yaml.safe_load(table.VALUES.read_text())) if not _covered(path, described)] == []


def _covered(path: str, described: dict[str, Any]) -> bool:
    """Whether the value, a map that it is in, or the same key of the defaults is described."""
    parts = path.split(".")
    if any(".".join(parts[:end]) in described for end in range(1, len(parts) + 1)):
        return True
    return parts[0] == "components" and _covered(".".join(["defaults", *parts[2:]]), described)


def _leaves(values: dict[str, Any], before: tuple[str, ...] = ()) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*before, key))
        else:
            yield ".".join((*before, key))


def test_every_value_is_used_by_a_template() -> None:
    templates = "".join(path.read_text() for path in settings.CHART.glob("templates/**/*") if path.is_file())
    words = set(re.findall(r"[A-Za-z]+", templates))
    lost = {path.rpartition(".")[2] for path in table.described()} - words
    # Read as keys of a map of environment variables and of settings.
    assert lost - {"log_format", "definitions_file", "cpu", "memory"} == set()


def test_the_schema_allows_nothing_that_it_does_not_name() -> None:
    open_ones = [path for path, node in _nodes(SCHEMA) if "properties" in node and "additionalProperties" not in node]
    # Volumes and mounts are as Kubernetes has them.
    assert open_ones == [
        "$defs.defaults.properties.extraVolumes.items",
        "$defs.defaults.properties.extraVolumeMounts.items",
    ]
    assert not any(node.get("additionalProperties") is True for _, node in _nodes(SCHEMA))


def _nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if isinstance(node.get("properties", {}), dict):
            yield path, node
        for key, value in node.items():
            yield from _nodes(value, f"{path}.{key}" if path else key)


def test_the_schema_names_what_values_have() -> None:
    """And so no key of the schema lacks a default."""
    values = yaml.safe_load(table.VALUES.read_text())
    assert set(SCHEMA["properties"]) - {"global"} == set(values)
    assert set(SCHEMA["$defs"]["defaults"]["properties"]) == set(values["defaults"])
    for name, schema in SCHEMA["properties"]["components"]["properties"].items():
        own = set(schema["properties"]) - set(values["defaults"])
        assert own <= set(values["components"][name]), name


def test_the_schema_has_the_settings_of_the_services_and_the_comments_of_the_values() -> None:
    fresh = table.with_descriptions(settings.renewed(json.loads(settings.SCHEMA.read_text())))
    assert settings.SCHEMA.read_text() == settings.text(fresh), "run `make chart-examples`"


def test_the_table_of_values_is_up_to_date() -> None:
    readme = table.README.read_text()
    assert readme == table.renewed(readme), "run `make chart-examples`"


@pytest.mark.parametrize("case", rendered.cases())
def test_rendered_examples_are_up_to_date(case: str) -> None:
    folder = rendered.EXAMPLES / case / "rendered"
    kept = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.yaml")}
    assert kept == rendered.files(rendered.template("--values", rendered.values_of(case))), "run `make chart-examples`"
