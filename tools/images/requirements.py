"""The locked packages of each image, as requirements with hashes, divided into the layers of the Dockerfile."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from tools.images.command import run
from tools.images.components import COMPONENTS, FLOORS, Component

# The oldest Python that an image may have: what it needs more than a newer one does no harm there.
PYTHON: Final = "3.11.0"


@dataclass(frozen=True)
class Locked:
    """One package as the lock has it: ``name``, ``version``, and the hashes of its files."""

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def line(self) -> str:
        """As a line of a requirements file, without a condition."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={hashed}" for hashed in self.hashes)])


def layers(locked: dict[str, frozenset[Locked]]) -> dict[str, frozenset[Locked]]:
    """Divides the packages of Python images, by component, into ``shared``, the floors, and what is a component's own.

    A floor's packages that one of the components above it does not hold are an error in the table of components.
    """
    result = {"shared": frozenset.intersection(*locked.values())}
    by_name = {component.name: component for component in COMPONENTS}
    order = list(FLOORS)
    for floor, names in FLOORS.items():
        above = [name for name in locked if order.index(by_name[name].floor) >= order.index(floor)]
        found = {package for name in above for package in locked[name] if package.name in names}
        if any(found - locked[name] for name in above):
            raise ValueError(f"floor {floor}: not every image above it holds {', '.join(sorted(names))}")
        result[floor] = frozenset(found)
    for name, packages in locked.items():
        below = order[: order.index(by_name[name].floor) + 1]
        result[name] = packages.difference(result["shared"], *(result[floor] for floor in below))
    return result


def export(uv: Path, root: Path, component: Component) -> frozenset[Locked]:
    """The third-party packages of an image on Linux with Python 3.11. Raises CommandError."""
    flags = ["--quiet", "--locked", "--no-default-groups", "--no-emit-workspace", "--no-annotate", "--no-header"]
    if component.extra:
        flags += ["--extra", component.extra]
    if component.group:
        flags += ["--group" if component.extra else "--only-group", component.group]
    return frozenset(parse(run(uv, "export", *flags, cwd=root)))


def parse(text: str) -> Iterable[Locked]:
    """The packages of a requirements file with hashes whose conditions hold in an image."""
    for entry in text.replace("\\\n", " ").splitlines():
        if not entry.strip():
            continue
        requirement = Requirement(entry.partition(" --hash=")[0].strip())
        if requirement.marker is None or requirement.marker.evaluate(_environment()):
            (version,) = requirement.specifier
            yield Locked(requirement.name, version.version, tuple(re.findall(r"--hash=(\S+)", entry)))


def _environment() -> dict[str, str]:
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": PYTHON,
        "python_version": "3.11",
        "sys_platform": "linux",
    }
