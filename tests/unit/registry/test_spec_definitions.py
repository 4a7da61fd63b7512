"""Every case of tests/spec/definitions/, by the kernel, by the plan and by its advice."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.registry.domain.plan import plan
from skewless import kernel
from skewless.definitions.resource import Definition, Kind, Version, canonical
from skewless.definitions.versions import differences, next_version
from skewless.errors import InvalidDefinitionError
from tests.unit.registry.flights import by_name, definitions

FOLDER = Path(__file__).resolve().parents[2] / "spec" / "definitions"
CASES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "bad.yaml").read_text(encoding="utf-8"))["cases"]
VERSIONS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "versions.yaml").read_text(encoding="utf-8"))["cases"]
GOOD = {
    "entity": "origin",
    "source": "departures",
    "window_view": "small",
    "latest_view": "weekly",
    "on_demand_view": "deviation",
    "feature_service": "model",
}


def good(kind: str) -> dict[str, Any]:
    """A document that is accepted; of the window view one with two features, departures_1h and delay_now."""
    found = by_name(definitions())
    name = GOOD[kind]
    document: dict[str, Any] = json.loads(found["origin_departures" if name == "small" else name].meaning_json)
    if name == "small":
        document["features"] = [document["features"][0], document["features"][2]]
    return document


def put(document: Any, path: str, value: Any) -> None:
    *steps, last = [int(part) if part.isdecimal() else part for part in re.findall(r"[^.\[\]]+", path)]
    for step in steps:
        document = document[step]
    if value is None and last == "head_max":
        del document[last]
    elif isinstance(document, list) and last == len(document):
        document.append(value)
    else:
        document[last] = value


def broken(case: dict[str, Any]) -> bytes:
    document = good(case["of"])
    for path, value in case.get("set", {}).items():
        put(document, path, value)
    if "swap" in case:
        features = document["features"]
        features[0], features[1] = features[1], features[0]
    return json.dumps(document).encode() if case.get("spaced") else canonical(document)


@pytest.mark.parametrize("kind", list(GOOD))
def test_the_documents_that_cases_start_from_are_good(kind: str) -> None:
    assert kernel.check_meaning(canonical(good(kind))) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_kernel_tells_exactly_these_faults(case: dict[str, Any]) -> None:
    found = kernel.check_meaning(broken(case))
    assert [(path, reason) for path, reason, _ in found] == [
        (f"$.{fault['path']}" if fault["path"] else "$", fault["reason"]) for fault in case["faults"]
    ]
    for (_, _, message), fault in zip(found, case["faults"], strict=True):
        assert fault["says"] in message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_registry_refuses_it_with_the_place_in_the_request(case: dict[str, Any]) -> None:
    meaning = broken(case)
    kind = Kind(case["of"])
    name = json.loads(meaning)["name"]
    definition = Definition("flights", kind, name, Version(9, 0, 0) if kind.versioned else None, meaning)
    with pytest.raises(InvalidDefinitionError) as caught:
        plan([definition], definitions())
    assert [(v.path, v.reason) for v in caught.value.violations] == [
        (f"definitions[0].meaning_json.{fault['path']}".rstrip("."), fault["reason"]) for fault in case["faults"]
    ]


@pytest.mark.parametrize("case", VERSIONS, ids=lambda case: case["name"])
def test_the_next_version_follows_from_what_changed(case: dict[str, Any]) -> None:
    kind = Kind(case["of"])
    document = good(case["of"])
    applied = Definition("flights", kind, document["name"], Version(1, 4, 0), canonical(document))
    wanted = replace(applied, meaning_json=broken(case), **case.get("words", {}))
    assert str(next_version(applied, wanted, [Version(1, 4, 0)])) == case["next"]
    assert (wanted.meaning_hash == applied.meaning_hash) == ("words" in case)
    assert differences(applied, wanted)
