"""The catalogue in memory: everything that is defined at one revision, typed, and found by name or by hash.

Every service builds one from the definitions that the registry sends and asks it for views, services, sources
and the input logs that stream views read. Immutable: a new revision makes a new catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeGuard, TypeVar

from skewless.definitions.meanings import (
    Entity,
    Feature,
    FeatureService,
    Key,
    LatestView,
    OnDemandView,
    Source,
    StreamSource,
    StreamView,
    View,
    WindowView,
)
from skewless.definitions.reading import read
from skewless.definitions.resource import Definition, Version, split_feature_ref, split_ref
from skewless.errors import UnknownFeatureError, UnknownFeatureServiceError, UnknownResourceError

T = TypeVar("T")


def input_log_name(source: StreamSource, entity: Entity) -> tuple[str, bool]:
    """The topic that a view of this entity reads, and whether it is the source topic itself.

    It is, when the records are keyed by exactly the entity's key; else the product re-keys the source.
    """
    if source.record_key == entity.key_names:
        return source.topic, True
    return f"skewless.rekeyed.{source.project}.{entity.name}.{source.name}", False


@dataclass(frozen=True, slots=True)
class InputLog:
    """A topic that holds each key in one partition, and the views that read it."""

    project: str
    name: str
    """The topic."""
    direct: bool
    """Whether it is the source topic itself; else the product fills it from the source topic."""
    source: StreamSource
    entity: Entity
    """The entity whose keys part the log. Views of a direct log may name another entity of the same keys."""
    views: tuple[StreamView, ...]
    """Ordered by name and version; at least one."""

    @property
    def keys(self) -> tuple[Key, ...]:
        """The key that parts the log."""
        return self.entity.keys


class Catalog:
    """All definitions of one revision.

    Lookups by name raise UnknownResourceError, UnknownFeatureServiceError or UnknownFeatureError, which say
    what is known instead. Results are ordered by project, name and version by number.
    """

    def __init__(self, definitions: Iterable[Definition] = (), revision: int = 0) -> None:
        self.revision = revision
        self.definitions: tuple[Definition, ...] = tuple(sorted(definitions, key=lambda d: d.order))
        self._entities: dict[tuple[str, str], Entity] = {}
        self._sources: dict[tuple[str, str], Source] = {}
        self._views: dict[tuple[str, str, Version], View] = {}
        self._services: dict[tuple[str, str, Version], FeatureService] = {}
        self._by_hash: dict[bytes, View] = {}
        for definition in self.definitions:
            self._add(definition)
        self._logs = {(log.project, log.name): log for log in _input_logs(self._views.values())}

    def _add(self, definition: Definition) -> None:
        meaning = read(definition)
        match meaning:
            case Entity():
                self._entities[meaning.project, meaning.name] = meaning
            case FeatureService():
                self._services[meaning.project, meaning.name, meaning.version] = meaning
            case WindowView() | LatestView() | OnDemandView():
                self._views[meaning.project, meaning.name, meaning.version] = meaning
                self._by_hash[meaning.meaning_hash] = meaning
                self._by_hash[meaning.meaning_hash[:16]] = meaning
            case _:
                self._sources[meaning.project, meaning.name] = meaning

    def projects(self) -> tuple[str, ...]:
        """Every project that has a definition."""
        return tuple(sorted({definition.project for definition in self.definitions}))

    def entities(self, project: str | None = None) -> tuple[Entity, ...]:
        return tuple(e for e in self._entities.values() if project in {None, e.project})

    def sources(self, project: str | None = None) -> tuple[Source, ...]:
        return tuple(s for s in self._sources.values() if project in {None, s.project})

    def views(self, project: str | None = None) -> tuple[View, ...]:
        """Views of every kind, in every version."""
        return tuple(v for v in sorted(self._views.values(), key=_order) if project in {None, v.project})

    def services(self, project: str | None = None) -> tuple[FeatureService, ...]:
        return tuple(s for s in self._services.values() if project in {None, s.project})

    def stream_views(self, project: str | None = None) -> tuple[StreamView, ...]:
        """Window views, and latest views over streams."""
        return tuple(v for v in self.views(project) if is_stream_view(v))

    def batch_views(self, project: str | None = None) -> tuple[LatestView, ...]:
        """Latest views over tables."""
        return tuple(v for v in self.views(project) if isinstance(v, LatestView) and not v.streamed)

    def entity(self, project: str, name: str) -> Entity:
        return _find(self._entities, (project, name), "entity")

    def source(self, project: str, name: str) -> Source:
        return _find(self._sources, (project, name), "source")

    def view(self, project: str, name: str, version: Version | str | None = None) -> View:
        """The view of this name and version; without a version the newest."""
        if version is None:
            versions = [v for (p, n, v) in self._views if (p, n) == (project, name)]
            version = max(versions, default=Version(0, 0, 0))
        elif isinstance(version, str):
            version = _version(version)
        found = self._views.get((project, name, version))
        if found is None:
            known = [v.ref for v in self.views(project)]
            raise UnknownFeatureError(name=f"{name}@{version}", known=known, kind="view")
        return found

    def view_ref(self, project: str, ref: str) -> View:
        """The view called ``name@MAJOR.MINOR.PATCH``."""
        try:
            name, version = split_ref(ref)
        except ValueError:
            raise UnknownFeatureError(name=ref, known=[v.ref for v in self.views(project)], kind="view") from None
        return self.view(project, name, version)

    def view_by_hash(self, meaning_hash: bytes) -> View | None:
        """The view of this meaning, by its whole hash or the first 16 bytes (as in tokens); None if unknown.

        Where several versions share a meaning, the newest.
        """
        return self._by_hash.get(meaning_hash)

    def service(self, project: str, ref: str) -> FeatureService:
        """The feature service called ``name@MAJOR.MINOR.PATCH``."""
        known = [s.ref for s in self.services(project)]
        try:
            name, version = split_ref(ref)
        except ValueError:
            raise UnknownFeatureServiceError(name=ref, known=known) from None
        found = self._services.get((project, name, version))
        if found is None:
            raise UnknownFeatureServiceError(name=ref, known=known)
        return found

    def feature(self, project: str, ref: str) -> tuple[View, Feature]:
        """The feature called ``view@MAJOR.MINOR.PATCH:feature``, with its view."""
        try:
            name, version, feature = split_feature_ref(ref)
        except ValueError:
            raise UnknownFeatureError(name=ref, known=[v.ref for v in self.views(project)]) from None
        view = self.view(project, name, version)
        found = view.by_name.get(feature)
        if found is None:
            raise UnknownFeatureError(name=ref, known=[f"{view.ref}:{f}" for f in view.by_name])
        return view, found

    def input_logs(self, project: str | None = None) -> tuple[InputLog, ...]:
        """The topics that stream views read."""
        return tuple(log for _, log in sorted(self._logs.items()) if project in {None, log.project})

    def input_log(self, view: StreamView) -> InputLog:
        """The topic that this view reads."""
        if not isinstance(view.source, StreamSource):
            raise UnknownResourceError(name=view.ref, kind="stream view")
        name, _ = input_log_name(view.source, view.entity)
        return _find(self._logs, (view.project, name), "input log")

    def event_log(self, project: str, source: str) -> InputLog | None:
        """The input log whose event log stands for all events of a stream source; None: no view reads it.

        Each input log of a source holds all of its events. The direct one is preferred, then the first by
        name.
        """
        logs = [log for log in self.input_logs(project) if log.source.name == source]
        return min(logs, key=lambda log: (not log.direct, log.name), default=None)


def is_stream_view(view: View) -> TypeGuard[StreamView]:
    """Whether the view is filled from a topic."""
    return isinstance(view, WindowView) or (isinstance(view, LatestView) and view.streamed)


def _input_logs(views: Iterable[View]) -> Iterable[InputLog]:
    found: dict[tuple[str, str], list[StreamView]] = {}
    for view in sorted(views, key=_order):
        if isinstance(view, WindowView | LatestView) and isinstance(view.source, StreamSource):
            name, _ = input_log_name(view.source, view.entity)
            found.setdefault((view.project, name), []).append(view)
    for (project, name), readers in found.items():
        source, entity = readers[0].source, readers[0].entity
        assert isinstance(source, StreamSource)  # noqa: S101 (only such views were gathered)
        _, direct = input_log_name(source, entity)
        yield InputLog(project, name, direct, source, entity, tuple(readers))


def _order(view: View) -> tuple[str, str, Version]:
    return (view.project, view.name, view.version)


def _version(text: str) -> Version:
    try:
        return Version.parse(text)
    except ValueError:
        raise UnknownResourceError(name=text, kind="version") from None


def _find(known: Mapping[tuple[str, str], T], key: tuple[str, str], kind: str) -> T:
    found = known.get(key)
    if found is None:
        names = [name for project, name in known if project == key[0]]
        raise UnknownResourceError(name=key[1], known=names, kind=kind)
    return found
