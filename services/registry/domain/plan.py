"""From definitions to changes: what each would do to the catalogue as it is."""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.registry.domain.rules import faults_of
from skewless import kernel
from skewless.definitions.resource import Definition, Kind, Version
from skewless.definitions.versions import differences, next_version
from skewless.errors import InvalidDefinitionError, MeaningChangedError, Violation


class ChangeKind(enum.Enum):
    """What would happen to one definition."""

    ADD = "add"
    """It is not there yet."""
    DESCRIBE = "describe"
    """It is there with this meaning; the words beside it differ."""
    UNCHANGED = "unchanged"
    """It is there, and equal."""
    REFUSED = "refused"
    """Its version, or its storage, belongs to another meaning."""


@dataclass(frozen=True)
class Change:
    """What one definition would change."""

    kind: ChangeKind
    definition: Definition
    differences: tuple[str, ...] = ()
    next_version: Version | None = None
    """For a refused definition that has versions: the one to use instead."""
    state_bytes_per_key: int = 0
    """The most bytes that one entity's state takes online; 0 where nothing is kept."""


def plan(wanted: Sequence[Definition], applied: Collection[Definition]) -> tuple[Change, ...]:
    """The change that each definition would make, in the order of listings.

    wanted: what is asked for, in the order of the request: faults name the place in it.
    applied: everything that is applied in the projects of ``wanted``.

    Raises InvalidDefinitionError with every fault of all definitions.
    """
    found = faults_of(wanted, applied)
    if found:
        raise InvalidDefinitionError(found)
    changes = [_change(definition, applied) for definition in wanted]
    return tuple(sorted(changes, key=lambda change: change.definition.order))


def refuse_changed_meaning(changes: Sequence[Change]) -> None:
    """Raises MeaningChangedError if a change is refused, with the differences and what to do instead."""
    refused = [change for change in changes if change.kind is ChangeKind.REFUSED]
    if refused:
        raise MeaningChangedError(
            Violation(
                f"{change.definition.kind.words} {change.definition.ref}",
                f"{advice(change)}; differences: {'; '.join(change.differences)}",
                "MEANING_CHANGED",
            )
            for change in refused
        )


def advice(change: Change) -> str:
    """What to do about a refused change."""
    if change.next_version is None:
        return "it is applied with another meaning and has no versions: give the changed one a new name"
    return f"this version means something else already: use {change.next_version}"


def _change(wanted: Definition, applied: Collection[Definition]) -> Change:
    family = [d for d in applied if (d.project, d.kind, d.name) == (wanted.project, wanted.kind, wanted.name)]
    same = next((d for d in family if d.version == wanted.version), None)
    rival = same or next((d for d in family if _share_storage(d, wanted)), None)
    size = _state_bytes(wanted)
    if rival is None or (same is None and rival.meaning_json == wanted.meaning_json):
        return Change(ChangeKind.ADD, wanted, state_bytes_per_key=size)
    differing = tuple(differences(rival, wanted))
    if rival.meaning_json != wanted.meaning_json:
        taken = [d.version for d in family if d.version is not None]
        advised = next_version(rival, wanted, taken) if wanted.kind.versioned else None
        return Change(ChangeKind.REFUSED, wanted, differing, advised, size)
    kind = ChangeKind.DESCRIBE if differing else ChangeKind.UNCHANGED
    return Change(kind, wanted, differing, state_bytes_per_key=size)


def _share_storage(one: Definition, other: Definition) -> bool:
    """Whether two versions keep their values in one place: patches of one MAJOR.MINOR do."""
    return one.version is not None and other.version is not None and one.version[:2] == other.version[:2]


def _state_bytes(definition: Definition) -> int:
    if definition.kind in {Kind.WINDOW_VIEW, Kind.LATEST_VIEW}:
        return kernel.worst_case_bytes(definition.meaning_json)
    return 0
