"""What must hold of definitions, each by itself and all together. Every fault is told, with its place in the request.

By itself: the kernel accepts the meaning, and the meaning is about what the definition says it is about.
Together: names are unique, and everything that a meaning refers to is there, with the meaning it had when referred to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from services.registry.domain.references import Known, reference_faults
from skewless import kernel
from skewless.definitions.meanings import Meaning
from skewless.definitions.reading import read
from skewless.definitions.resource import Definition
from skewless.errors import InvalidDefinitionError, Violation


def faults_of(wanted: Sequence[Definition], applied: Collection[Definition]) -> list[Violation]:
    """Every fault of ``wanted``, were it applied on top of ``applied``; none if the list is empty."""
    faults: list[Violation] = []
    meanings: dict[int, Meaning] = {}
    for place, definition in enumerate(wanted):
        own = list(_faults_by_itself(place, definition))
        faults += own
        if not own:
            try:
                meanings[place] = read(definition)
            except InvalidDefinitionError as error:
                faults += _within(place, error.violations)
    faults += _name_faults(wanted, applied)
    known = Known.of(wanted, meanings, applied)
    for place, meaning in meanings.items():
        faults += _within(place, reference_faults(meaning, known))
    return faults


def _faults_by_itself(place: int, definition: Definition) -> Iterator[Violation]:
    if definition.kind.versioned and definition.version is None:
        message = f"a {definition.kind.words} has a version, MAJOR.MINOR.PATCH such as 1.0.0"
        yield Violation(f"definitions[{place}].version", message, "MISSING_VERSION")
    if not definition.kind.versioned and definition.version is not None:
        message = f"{definition.kind.value.replace('_', ' ')} definitions have no version; leave it empty"
        yield Violation(f"definitions[{place}].version", message, "UNEXPECTED_VERSION")
    for path, reason, message in kernel.check_meaning(definition.meaning_json):
        yield Violation(f"definitions[{place}].meaning_json{path.removeprefix('$')}", message, reason)


def _within(place: int, violations: Iterable[Violation]) -> Iterator[Violation]:
    for violation in violations:
        step = f".{violation.path}" if violation.path not in {"", "meaning"} else ""
        yield Violation(f"definitions[{place}].meaning_json{step}", violation.message, violation.reason)


def _name_faults(wanted: Sequence[Definition], applied: Collection[Definition]) -> Iterator[Violation]:
    places: dict[object, int] = {}
    storages: dict[object, tuple[int, Definition]] = {}
    kinds = {(d.project, d.name): d for d in applied if d.kind.is_view}
    for place, definition in enumerate(wanted):
        first = places.setdefault(definition.place, place)
        if first != place:
            yield Violation(
                f"definitions[{place}]",
                f"{definition.kind.words} {definition.ref} is here already, as definitions[{first}]; send it once",
                "DUPLICATE_NAME",
            )
            continue
        if definition.kind.is_view:
            other = kinds.setdefault((definition.project, definition.name), definition)
            if other.kind is not definition.kind:
                yield Violation(
                    f"definitions[{place}].name",
                    f"{definition.name!r} is the name of a {other.kind.words}; views of all kinds share their names, "
                    "so choose another",
                    "DUPLICATE_NAME",
                )
        if definition.version is not None:
            family = (definition.project, definition.kind, definition.name, definition.version[:2])
            earlier, rival = storages.setdefault(family, (place, definition))
            if rival.meaning_json != definition.meaning_json:
                yield Violation(
                    f"definitions[{place}].version",
                    f"{definition.ref} and {rival.ref} (definitions[{earlier}]) differ in meaning, but patches of one "
                    "MAJOR.MINOR share it; raise the minor or the major number",
                    "MEANING_CHANGED",
                )
