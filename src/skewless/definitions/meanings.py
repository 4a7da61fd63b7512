"""Meanings as typed objects: what a canonical document says, read once, by name.

`read` turns a `Definition` into one of the classes here. All of them are immutable and hold exactly what the
document holds; lists keep its order; times are microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeAlias

from skewless.definitions.resource import Definition, Kind, Version
from skewless.functions.environment import FunctionRef
from skewless.types import ValueType


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source, or a field of a request."""

    name: str
    type: ValueType
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Key:
    """One part of an entity's key."""

    name: str
    type: ValueType


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing that features are about."""

    project: str
    name: str
    keys: tuple[Key, ...]
    """At least one, in declared order: the order of the parts of an entity id."""

    @property
    def key_names(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.keys)

    @property
    def key_types(self) -> tuple[tuple[str, str], ...]:
        """(name, type) pairs, as the kernel's `StreamDecoder` takes them."""
        return tuple((key.name, key.type.value) for key in self.keys)


@dataclass(frozen=True, slots=True)
class StreamSource:
    """A topic and how its records are read."""

    project: str
    name: str
    topic: str
    payload: str
    """The form of record values: "json" or "protobuf". How the latter is read stands in `document`."""
    record_key: tuple[str, ...]
    """The columns that the record key is made of; empty: unknown."""
    columns: tuple[Column, ...]
    event_time: str
    """The column of event times."""
    future_tolerance_us: int
    document: bytes = field(repr=False)
    """The source object as it stands in the meanings of views, canonical JSON: what the kernel takes."""


@dataclass(frozen=True, slots=True)
class BatchSource:
    """A table or a query."""

    project: str
    name: str
    columns: tuple[Column, ...]
    event_time: str | None
    """The column of event times; None: the rows are timeless."""
    created_time: str | None
    """The column that says when a row was made; None: there is none."""
    path: str | None
    """The table's path; None: `query` is set."""
    query: str | None
    """SQL over `inputs`; ``$as_of`` is the instant of the run. None: `path` is set."""
    inputs: tuple[str, ...]
    """The stream sources whose event logs the query reads as tables of these names."""
    document: bytes = field(repr=False)
    """The source object, canonical JSON."""


Source: TypeAlias = StreamSource | BatchSource


@dataclass(frozen=True, slots=True)
class Quantile:
    """Which quantile, and of which bins."""

    q_millionths: int
    accuracy_millionths: int
    bins: int


@dataclass(frozen=True, slots=True)
class WindowFeature:
    """An aggregate over one window."""

    name: str
    agg: str
    column: str | None
    window_us: int | None
    hop_us: int | None
    bound: int | None
    type: ValueType
    where: Any = field(default=None, repr=False, hash=False)
    """The feature's own condition as JSON, where the aggregation has one; else None."""
    quantile: Quantile | None = None
    window: Any = field(default=None, repr=False, hash=False)
    """The kind of the window as JSON, unless it slides; then None."""
    items: int | None = None
    """The most items of a list of cells, where the aggregation gives one."""
    edges: tuple[float | Decimal, ...] | None = None
    """The rising edges of a histogram."""
    precision: int | None = None
    """Registers, as a power of two, of a distinct count that is estimated beyond its bound."""


@dataclass(frozen=True, slots=True)
class LatestFeature:
    """A cell of the newest row."""

    name: str
    column: str
    type: ValueType


@dataclass(frozen=True, slots=True)
class OnDemandFeature:
    """A function of inputs and request fields: an expression, or a Python function."""

    name: str
    type: ValueType
    expr: Any = field(repr=False, hash=False)
    """The expression as JSON; None: it is a Python function."""
    function: FunctionRef | None = None


Feature: TypeAlias = WindowFeature | LatestFeature | OnDemandFeature


@dataclass(frozen=True, slots=True)
class Pin:
    """A feature of one exact meaning of a view."""

    view: str
    version: Version
    feature: str
    meaning: bytes
    """The view's meaning hash, 32 bytes."""

    @property
    def view_ref(self) -> str:
        """``name@MAJOR.MINOR.PATCH``."""
        return f"{self.view}@{self.version}"

    @property
    def label(self) -> str:
        """``view:feature``, as answers and frames name it."""
        return f"{self.view}:{self.feature}"


@dataclass(frozen=True, slots=True)
class Input:
    """A stored or computed feature that an on-demand view reads."""

    name: str
    pin: Pin
    type: ValueType


@dataclass(frozen=True)
class _Resource:
    definition: Definition

    @property
    def project(self) -> str:
        return self.definition.project

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def version(self) -> Version:
        assert self.definition.version is not None  # noqa: S101 (versioned kinds only; `read` sees to it)
        return self.definition.version

    @property
    def ref(self) -> str:
        """``name@MAJOR.MINOR.PATCH``."""
        return self.definition.ref

    @property
    def meaning_json(self) -> bytes:
        return self.definition.meaning_json

    @property
    def meaning_hash(self) -> bytes:
        return self.definition.meaning_hash


@dataclass(frozen=True)
class _StoredView(_Resource):
    entity: Entity
    filter: Any = field(hash=False)
    """The condition on rows as JSON expression; None: every row."""
    head_slack_us: int
    head_max: int
    state_limit_bytes: int

    @property
    def sentinel_key(self) -> str:
        """The key whose presence says that the store has this view's states; its value is the hash in hex."""
        return f"skewless:sentinel:{self.project}:{self.name}:v{self.version.storage}"


@dataclass(frozen=True)
class WindowView(_StoredView):
    """Windowed aggregates over a stream."""

    source: StreamSource
    origin_us: int
    back_slack_us: int
    features: tuple[WindowFeature, ...]

    @cached_property
    def by_name(self) -> dict[str, WindowFeature]:
        return {feature.name: feature for feature in self.features}


@dataclass(frozen=True)
class LatestView(_StoredView):
    """The newest row per entity."""

    source: Source
    ttl_us: int | None
    features: tuple[LatestFeature, ...]

    @property
    def streamed(self) -> bool:
        """Whether its rows come from a topic; else from a table by runs."""
        return isinstance(self.source, StreamSource)

    @cached_property
    def by_name(self) -> dict[str, LatestFeature]:
        return {feature.name: feature for feature in self.features}


@dataclass(frozen=True)
class OnDemandView(_Resource):
    """Functions of request fields and features."""

    request: tuple[Column, ...]
    inputs: tuple[Input, ...]
    features: tuple[OnDemandFeature, ...]

    @cached_property
    def by_name(self) -> dict[str, OnDemandFeature]:
        return {feature.name: feature for feature in self.features}


@dataclass(frozen=True)
class FeatureService(_Resource):
    """An ordered list of pinned features."""

    pins: tuple[Pin, ...]
    """In the order of the vector."""


StreamView: TypeAlias = WindowView | LatestView
View: TypeAlias = WindowView | LatestView | OnDemandView
Meaning: TypeAlias = Entity | Source | View | FeatureService

VIEW_KINDS = frozenset({Kind.WINDOW_VIEW, Kind.LATEST_VIEW, Kind.ON_DEMAND_VIEW})
