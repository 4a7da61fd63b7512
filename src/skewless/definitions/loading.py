"""Definitions out of a Python file or module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from skewless.definitions.objects import Resource
from skewless.definitions.project import Project
from skewless.errors import InvalidDefinitionError, Violation


def load(target: str | Path) -> Project:
    """The project of a file (``features.py``) or of a module (``examples.flights.features``).

    The module makes exactly one `Project`; every definition that stands under a name in it belongs to it.
    Raises InvalidDefinitionError if there is no project or more than one, FileNotFoundError if there is no file.
    """
    module = _module(target)
    values = list(vars(module).values())
    projects = [value for value in values if isinstance(value, Project)]
    if len({id(project) for project in projects}) != 1:
        raise InvalidDefinitionError(
            [
                Violation(
                    str(target),
                    f"expected one project, found {len(projects)}: write project = skewless.Project('name')",
                    "ONE_PROJECT",
                )
            ]
        )
    return projects[0].add(*(value for value in values if isinstance(value, Resource)))


def _module(target: str | Path) -> ModuleType:
    path = Path(target)
    if isinstance(target, str) and path.suffix != ".py":
        return importlib.import_module(target)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path} with definitions")
    spec = importlib.util.spec_from_file_location(f"skewless_definitions_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles of the file look here
    spec.loader.exec_module(module)
    return module
