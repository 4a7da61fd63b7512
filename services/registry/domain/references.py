"""What a meaning refers to: entities, sources, pinned features; whether it is there and still means the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from skewless.definitions.meanings import (
    BatchSource,
    Entity,
    FeatureService,
    LatestView,
    Meaning,
    OnDemandView,
    Pin,
    Source,
    StreamSource,
    View,
    WindowView,
)
from skewless.definitions.reading import read
from skewless.definitions.resource import Definition, Version
from skewless.errors import Violation


@dataclass(frozen=True)
class Known:
    """Everything that may be referred to: what is applied and, before it, what is asked for."""

    entities: Mapping[tuple[str, str], Entity]
    sources: Mapping[tuple[str, str], Source]
    views: Mapping[tuple[str, str, Version], View]
    broken: Collection[tuple[str, str, Version | None]]
    """What is asked for but has faults of its own: referring to it is no further fault."""

    @classmethod
    def of(cls, wanted: Sequence[Definition], meanings: Mapping[int, Meaning], applied: Collection[Definition]) -> Self:
        """From the definitions asked for, the meanings of those that could be read (by place), and the applied."""
        entities: dict[tuple[str, str], Entity] = {}
        sources: dict[tuple[str, str], Source] = {}
        views: dict[tuple[str, str, Version], View] = {}
        for meaning in [*map(read, applied), *meanings.values()]:
            match meaning:
                case Entity():
                    entities[meaning.project, meaning.name] = meaning
                case StreamSource() | BatchSource():
                    sources[meaning.project, meaning.name] = meaning
                case WindowView() | LatestView() | OnDemandView():
                    views[meaning.project, meaning.name, meaning.version] = meaning
        broken = {(d.project, d.name, d.version) for place, d in enumerate(wanted) if place not in meanings}
        return cls(entities, sources, views, broken)


def reference_faults(meaning: Meaning, known: Known) -> Iterator[Violation]:
    """What is wrong with the references of a meaning; paths lead into its document."""
    match meaning:
        case WindowView() | LatestView():
            yield from _parts(meaning, known)
        case OnDemandView():
            for place, item in enumerate(meaning.inputs):
                yield from _pin(f"inputs[{place}]", meaning.project, item.pin, known, item.type.value)
            yield from _cycle(meaning, known)
        case FeatureService():
            for place, pin in enumerate(meaning.pins):
                yield from _pin(f"features[{place}]", meaning.project, pin, known, None)
        case StreamSource():
            yield from _topic(meaning, known)
        case BatchSource():
            yield from _inputs(meaning, known)


def _parts(view: WindowView | LatestView, known: Known) -> Iterator[Violation]:
    place = (view.project, view.entity.name)
    if (*place, None) not in known.broken:
        entity = known.entities.get(place)
        if entity is None:
            yield _unknown(
                "entity.name", "entity", view.entity.name, [n for p, n in known.entities if p == view.project]
            )
        elif entity != view.entity:
            yield _differs("entity", "entity", view.entity.name)
    place = (view.project, view.source.name)
    if (*place, None) not in known.broken:
        source = known.sources.get(place)
        if source is None:
            yield _unknown(
                "source.name", "source", view.source.name, [n for p, n in known.sources if p == view.project]
            )
        elif source.document != view.source.document:
            yield _differs("source", "source", view.source.name)


def _unknown(path: str, kind: str, name: str, there: Sequence[str]) -> Violation:
    have = f"; known: {', '.join(sorted(there))}" if there else ""
    message = f"no {kind} {name!r}{have}; apply it first, or together with this"
    return Violation(path, message, f"UNKNOWN_{kind.upper()}")


def _differs(path: str, kind: str, name: str) -> Violation:
    message = f"this is not {kind} {name!r} as it is defined; take it from there, or give the changed one a new name"
    return Violation(path, message, f"{kind.upper()}_DIFFERS")


def _pin(path: str, project: str, pin: Pin, known: Known, kind: str | None) -> Iterator[Violation]:
    if (project, pin.view, pin.version) in known.broken:
        return
    view = known.views.get((project, pin.view, pin.version))
    if view is None:
        there = sorted(f"{n}@{v}" for p, n, v in known.views if p == project)
        yield _unknown(f"{path}.view", "view", pin.view_ref, there)
        return
    if view.meaning_hash != pin.meaning:
        message = (
            f"{pin.view_ref} means {view.meaning_hash.hex()}, not {pin.meaning.hex()}; pin what it means, "
            "or the version that means this"
        )
        yield Violation(f"{path}.meaning", message, "MEANING_DIFFERS")
    feature = view.by_name.get(pin.feature)
    if feature is None:
        have = ", ".join(view.by_name)
        message = f"{pin.view_ref} has no feature {pin.feature!r}; it has {have}"
        yield Violation(f"{path}.feature", message, "UNKNOWN_FEATURE")
    elif kind is not None and feature.type.value != kind:
        message = f"{pin.view_ref}:{pin.feature} is {feature.type}, not {kind}"
        yield Violation(f"{path}.type", message, "TYPE_MISMATCH")


def _cycle(view: OnDemandView, known: Known) -> Iterator[Violation]:
    """Names the cycle that leads from a view back to itself, by names and versions."""
    start = (view.project, view.name, view.version)
    trail: list[tuple[str, str, Version]] = []
    seen: set[tuple[str, str, Version]] = set()

    def leads_back(place: tuple[str, str, Version]) -> bool:
        trail.append(place)
        here = view if place == start else known.views.get(place)
        if isinstance(here, OnDemandView):
            for item in here.inputs:
                following = (view.project, item.pin.view, item.pin.version)
                if following == start:
                    return True
                if following not in seen:
                    seen.add(following)
                    if leads_back(following):
                        return True
        trail.pop()
        return False

    if leads_back(start):
        names = " -> ".join(f"{name}@{version}" for _, name, version in [*trail, start])
        message = f"a cycle: {names}; a view cannot be made of itself, so take one of these inputs away"
        yield Violation("inputs", message, "CYCLE")


def _topic(source: StreamSource, known: Known) -> Iterator[Violation]:
    """A topic has one reading: the log of its events is written once per project."""
    for other in known.sources.values():
        if (
            isinstance(other, StreamSource)
            and (other.project, other.topic) == (source.project, source.topic)
            and other.name != source.name
        ):
            message = f"topic {source.topic!r} is read by source {other.name!r} already; use that source"
            yield Violation("source.topic", message, "TOPIC_TAKEN")


def _broken_views(known: Known, project: str) -> bool:
    """Whether a view has faults of its own; it may be the one that reads the stream."""
    return any(p == project and version is not None for p, _, version in known.broken)


def _inputs(source: BatchSource, known: Known) -> Iterator[Violation]:
    """A query reads event logs: of stream sources, and only those that a stream view makes somebody write."""
    read_sources = {
        (view.project, view.source.name)
        for view in known.views.values()
        if isinstance(view, WindowView | LatestView) and isinstance(view.source, StreamSource)
    }
    for place, name in enumerate(source.inputs):
        path = f"source.table.inputs[{place}]"
        if (source.project, name, None) in known.broken:
            continue
        found = known.sources.get((source.project, name))
        if not isinstance(found, StreamSource):
            there = [
                s.name for s in known.sources.values() if isinstance(s, StreamSource) and s.project == source.project
            ]
            yield _unknown(path, "source", name, there)
        elif (source.project, name) not in read_sources and not _broken_views(known, source.project):
            message = f"no view reads the stream {name!r}, so nobody logs its events; define a view over it as well"
            yield Violation(path, message, "NO_EVENT_LOG")
