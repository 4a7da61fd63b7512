"""A project: the definitions that belong together, and the way from them to documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from skewless.definitions.building import Build
from skewless.definitions.objects import Resource
from skewless.definitions.resource import NAME, Definition
from skewless.definitions.views import View
from skewless.errors import InvalidDefinitionError, Violation
from skewless.types import describe


class Project:
    """Definitions under one name.

    name: lower-case letters, digits and underscores, beginning with a letter.
    resources: definitions; what they are made of belongs to the project as well.
    """

    def __init__(self, name: str, *resources: Resource) -> None:
        self.name = name
        self._resources: list[Resource] = []
        self._strangers: list[object] = []
        self.add(*resources)

    def add(self, *resources: Resource) -> Self:
        """Adds definitions and what they are made of; adding one again changes nothing."""
        given: Iterable[object] = resources
        for resource in given:
            if any(known is resource for known in (*self._resources, *self._strangers)):
                continue
            if not isinstance(resource, Resource):
                self._strangers.append(resource)
                continue
            self._resources.append(resource)
            parts: Iterable[object] = resource.parts()
            self.add(*(part for part in parts if isinstance(part, Resource)))
        return self

    @property
    def resources(self) -> tuple[Resource, ...]:
        return tuple(self._resources)

    def definitions(self) -> list[Definition]:
        """The definitions as they are planned and applied, in the order of listings.

        Raises InvalidDefinitionError with every fault of all of them.
        """
        views: dict[str, Resource] = {}
        for resource in self._resources:
            if isinstance(resource, View):
                views.setdefault(resource.ref, resource)
        build = Build(self.name, views.get)
        if not NAME.fullmatch(self.name):
            build.fault(f"the project's name {self.name!r} must match [a-z][a-z0-9_]{{0,63}}", "BAD_NAME")
        ordered = sorted(self._resources, key=lambda resource: resource.kind.rank)
        built = [made.definition for made in map(build.build, ordered) if made is not None]
        for stranger in self._strangers:
            build.fault(
                f"a project is made of entities, sources, views and services, got {describe(stranger)}", "WRONG_TYPE"
            )
        named = {violation.path for violation in build.faults if violation.reason == "BAD_NAME"}
        faults = [*build.faults, *(fault for fault in _names(built) if fault.path not in named)]
        if faults:
            raise InvalidDefinitionError(faults)
        unique = {definition.place: definition for definition in built}
        return sorted(unique.values(), key=lambda definition: definition.order)


def _names(definitions: Iterable[Definition]) -> list[Violation]:
    """Names that are no names, and names that two different definitions bear."""
    faults: list[Violation] = []
    seen: dict[tuple[object, ...], Definition] = {}
    for definition in definitions:
        path = f"{definition.kind.words} {definition.ref}"
        if not NAME.fullmatch(definition.name):
            message = f"the name {definition.name!r} must match [a-z][a-z0-9_]{{0,63}}"
            faults.append(Violation(f"{path}.name", message, "BAD_NAME"))
        space = "view" if definition.kind.is_view else definition.kind
        other = seen.setdefault((space, definition.name, definition.version), definition)
        if other != definition:
            message = f"two different definitions are called {definition.ref}; rename one, or give it another version"
            faults.append(Violation(path, message, "DUPLICATE_NAME"))
    return faults
