"""From objects to documents: what the builders of a project share while its definitions are made.

Every fault is noted with its place, and building goes on with a stand-in, so that one look shows all of them.
What a document may say is judged by the kernel alone; here are only those faults that cannot be written down in a
document: unreadable lengths of time and expressions, objects of a wrong class, references to nothing, cycles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from skewless import kernel
from skewless.definitions import durations
from skewless.definitions.expressions import Translation, translate
from skewless.definitions.resource import FORMAT, Definition, Version, canonical
from skewless.errors import Violation
from skewless.types import ValueType, describe

if TYPE_CHECKING:
    from skewless.definitions.objects import Resource

STAND_IN_US: Final = 3_600_000_000
GREATEST_US: Final = 2**53 - 1
"""The greatest whole number that a document can carry."""
ANYTHING: Final[dict[str, Any]] = {"op": "lit", "type": "bool", "value": None}
"""The stand-in of an expression that cannot be read."""


class CannotBuildError(Exception):
    """There is nothing to make a document from; the fault is noted."""


@dataclass(frozen=True)
class Built:
    """A definition with the document that its meaning was written from."""

    definition: Definition
    document: Mapping[str, Any]

    def feature_type(self, name: str) -> str | None:
        """The type of a feature of a view; None if there is no such feature."""
        for feature in self.document.get("features", ()):
            if feature.get("name") == name:
                return str(feature["type"])
        return None

    def feature_names(self) -> list[str]:
        return [str(feature["name"]) for feature in self.document.get("features", ())]


class Build:
    """One run over the definitions of a project.

    project: the project's name.
    find: the definition called ``name@version`` among the project's views, or None.
    """

    def __init__(self, project: str, find: Callable[[str], Resource | None]) -> None:
        self.project = project
        self.faults: list[Violation] = []
        self._find = find
        self._path: list[str] = []
        self._built: dict[int, Built | None] = {}
        self._open: list[Resource] = []
        self._translations: dict[str, Translation] = {}
        self._shared: set[tuple[str, str]] = set()

    @property
    def path(self) -> str:
        """Where building is: ``view origin_departures@1.0.0.features[2]``."""
        return "".join(self._path)

    @contextmanager
    def at(self, step: str) -> Iterator[None]:
        """Inside, faults are noted at this step below."""
        self._path.append(f".{step}" if self._path and step and not step.startswith("[") else step)
        try:
            yield
        finally:
            self._path.pop()

    def fault(self, message: str, reason: str) -> None:
        """Notes a fault here, unless the entity or source that stands here has it noted as its own."""
        if self._open and not self._open[-1].kind.versioned:
            self._shared.add((self._in_resource(), message))
        elif (self._in_resource(), message) in self._shared:
            return
        violation = Violation(self.path, message, reason)
        if violation not in self.faults:
            self.faults.append(violation)

    def _in_resource(self) -> str:
        """The path below the entity or source object that it leads into, wherever that object stands."""
        inside = "".join(self._path[1:]).removeprefix(".")
        return inside.removeprefix("source.").removeprefix("entity.")

    def build(self, resource: Resource) -> Built | None:
        """The definition of an object, made once; None while it is being made, which is a cycle, or if it cannot be.

        Faults of its document are noted below its own name.
        """
        if id(resource) in self._built:
            return self._built[id(resource)]
        if resource in self._open:
            names = [step.ref for step in self._open[self._open.index(resource) :]]
            self.fault(
                f"a cycle: {' -> '.join([*names, resource.ref])}; a view cannot be made of itself, "
                "so take one of these inputs away",
                "CYCLE",
            )
            return None
        self._open.append(resource)
        outside, self._path = self._path, [f"{resource.kind.words} {resource.ref}"]
        try:
            built = self._make(resource)
        finally:
            self._open.pop()
            self._path = outside
        self._built[id(resource)] = built
        return built

    def _make(self, resource: Resource) -> Built | None:
        version = self._version(resource)
        try:
            body = resource.document(self)
        except CannotBuildError:
            return None
        document = {
            "format": FORMAT,
            "kind": resource.kind.value,
            "project": self.project,
            "name": resource.name,
            **({"semantics": kernel.SEMANTICS_REVISION} if resource.kind.versioned else {}),
            **body,
        }
        try:
            meaning = canonical(document)
        except (ValueError, TypeError, RecursionError) as error:
            self.fault(f"cannot be written as JSON: {error}", "NOT_CANONICAL")
            return None
        self._check_meaning(meaning)
        definition = Definition(
            project=self.project,
            kind=resource.kind,
            name=resource.name,
            version=version,
            meaning_json=meaning,
            description=resource.description,
            owner=resource.owner,
            tags=dict(resource.tags),
        )
        return Built(definition, document)

    def _version(self, resource: Resource) -> Version | None:
        if not resource.kind.versioned:
            return None
        with self.at("version"):
            try:
                return Version.parse(resource.version)
            except ValueError as error:
                self.fault(str(error), "MALFORMED_VERSION")
                return Version(0, 0, 0)

    def _check_meaning(self, meaning: bytes) -> None:
        for json_path, reason, message in kernel.check_meaning(meaning):
            with self.at(json_path.removeprefix("$").removeprefix(".")):
                self.fault(self._in_text(message), reason)

    def _in_text(self, message: str) -> str:
        """The message with the place in the SQL text that the fault stems from, if it stems from one."""
        for start, translation in self._translations.items():
            if self.path == start or self.path.startswith(f"{start}."):
                line, column = translation.place(f"${self.path.removeprefix(start)}")
                return f"line {line}, column {column}: {message}"
        return message

    def expect(self, value: object, kind: type | tuple[type, ...], words: str) -> None:
        """Raises CannotBuildError, with a fault noted, if a value is not of this kind, which ``words`` names."""
        if not isinstance(value, kind):
            self.fault(f"expected {words}, got {describe(value)}", "WRONG_TYPE")
            raise CannotBuildError

    def length(self, duration: object) -> int:
        """Microseconds; a stand-in, with a fault noted, for what cannot be read."""
        found = self.readable_length(duration)
        return STAND_IN_US if found is None else found

    def readable_length(self, duration: object) -> int | None:
        """Microseconds; None, with a fault noted, for what cannot be read or written down."""
        try:
            found = durations.micros(duration)
        except ValueError as error:
            self.fault(str(error), "MALFORMED_DURATION")
            return None
        if abs(found) > GREATEST_US:
            self.fault(
                f"{duration} is too long: a length of time has at most {GREATEST_US} microseconds", "OUT_OF_RANGE"
            )
            return None
        return found

    def expression(self, text: object) -> Any:
        """The JSON form of an SQL expression; a stand-in, with faults noted, for what cannot be read."""
        if not isinstance(text, str):
            self.fault(f"expected an expression as text, got {describe(text)}", "WRONG_TYPE")
            return ANYTHING
        translation = translate(text)
        for fault in translation.faults:
            self.fault(str(fault), fault.reason)
        if translation.document is None:
            return ANYTHING
        self._translations[self.path] = translation
        return translation.document

    def expression_type(self, expr: Any, columns: Mapping[str, str]) -> str:
        """The type that an expression gives; a stand-in where the kernel will refuse it."""
        try:
            return kernel.check_expression(json.dumps(expr).encode(), dict(columns))
        except (kernel.DefinitionError, kernel.InputError):
            return ValueType.FLOAT64.value

    def view(self, ref: object) -> Built | None:
        """The view that a pin leads to: an object of a view, or ``name@version`` of one in this project."""
        target = self._find(ref) if isinstance(ref, str) else ref
        if target is None:
            self.fault(f"no view {ref!r} in project {self.project!r}; add it, or correct the name", "UNKNOWN_VIEW")
            return None
        return self.build(target)  # type: ignore[arg-type]


def pairs(names: Mapping[str, Any] | Sequence[Any]) -> Sequence[tuple[str | None, Any]]:
    """The items of a mapping, or the elements of a sequence without names."""
    if isinstance(names, Mapping):
        return list(names.items())
    return [(None, item) for item in names]
