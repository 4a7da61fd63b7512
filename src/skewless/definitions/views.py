"""Views and feature services as users write them. Nothing is checked until a project is built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeAlias

from skewless.definitions.aggregates import Aggregate
from skewless.definitions.building import Build, Built, pairs
from skewless.definitions.durations import Duration
from skewless.definitions.functions import PythonFunction
from skewless.definitions.objects import BatchSource, Entity, RequestSource, Resource, StreamSource
from skewless.definitions.resource import NAME, Kind, split_feature_ref
from skewless.types import ValueType, describe

MONDAY_US: Final = 345_600_000_000
"""1970-01-05T00:00:00Z: where hops are counted from by default."""
NO_HASH: Final = "0" * 64


@dataclass(frozen=True)
class FeatureRef:
    """A feature of one exact view; ``view["feature"]`` makes it."""

    view: View
    feature: str


Pinned: TypeAlias = FeatureRef | str
"""A feature: an object, or ``view@version:feature`` of a view in the same project."""


@dataclass(eq=False, kw_only=True)
class View(Resource):
    """What has features of its own."""

    version: str = "1.0.0"  # type: ignore[misc]

    def __getitem__(self, feature: str) -> FeatureRef:
        """The feature of this name, to be pinned by an on-demand view or a feature service."""
        return FeatureRef(self, feature)


@dataclass(eq=False, kw_only=True)
class _StoredView(View):
    entity: Entity
    filter: str | None = None
    head_slack: Duration = "2s"
    head_max: int = 256
    state_limit_bytes: int = 65_536

    def stored(self, build: Build, source: StreamSource | BatchSource) -> dict[str, Any]:
        """The members that both kinds of stored views have."""
        with build.at("entity"):
            build.expect(self.entity, Entity, "an Entity")
        condition = None
        if self.filter is not None:
            with build.at("filter"):
                condition = build.expression(self.filter)
        with build.at("head_slack"):
            head_slack = build.length(self.head_slack)
        with build.at("source"):
            body = source.body(build)
        return {
            "entity": self.entity.body(),
            "source": body,
            "filter": condition,
            "head_slack_us": head_slack,
            "head_max": self.head_max,
            "state_limit_bytes": self.state_limit_bytes,
        }


@dataclass(eq=False, kw_only=True)
class StreamFeatureView(_StoredView):
    """Windowed aggregates over a stream, one state per entity.

    features: aggregates such as ``skewless.count("departures", windows=["1h"])``.
    filter: an SQL condition on an event; others do not count.
    back_slack: for how long after a window's edge has passed late events can still be seen through it.
    head_slack: how far behind its clock the writer folds events; requests may be asked for times that recent.
    head_max: the most events kept unfolded; beyond it the fold horizon moves up.
    state_limit_bytes: the most that one entity's state may take online.
    origin_us: the instant that hops are counted from, in microseconds.
    """

    kind: ClassVar[Kind] = Kind.WINDOW_VIEW
    source: StreamSource
    features: Sequence[Aggregate]
    back_slack: Duration = "5m"
    origin_us: int = MONDAY_US

    def document(self, build: Build) -> dict[str, Any]:
        columns = _types(build, self.source, (StreamSource, BatchSource), "a StreamSource")
        with build.at("features"):
            build.expect(self.features, Iterable, "a list of aggregates such as count(...)")
        features: list[dict[str, Any]] = []
        aggregates: Sequence[object] = self.features
        for aggregate in aggregates:
            with build.at(f"features[{len(features)}]"):
                if isinstance(aggregate, Aggregate):
                    features += aggregate.features(build, columns)
                else:
                    build.fault(f"expected an aggregate such as count(...), got {describe(aggregate)}", "WRONG_TYPE")
        with build.at("back_slack"):
            back_slack = build.length(self.back_slack)
        return {
            **self.stored(build, self.source),
            "origin_us": self.origin_us,
            "back_slack_us": back_slack,
            "features": features,
        }

    def parts(self) -> Sequence[Resource]:
        return (self.entity, self.source)


@dataclass(eq=False, kw_only=True)
class LatestFeatureView(_StoredView):
    """The newest row per entity, of a table or a stream.

    features: column names, or a mapping of feature names to column names.
    ttl: how old a row may be at the request time; None: any age.
    """

    kind: ClassVar[Kind] = Kind.LATEST_VIEW
    source: StreamSource | BatchSource
    features: Sequence[str] | Mapping[str, str]
    ttl: Duration | None = None

    def document(self, build: Build) -> dict[str, Any]:
        columns = _types(build, self.source, (StreamSource, BatchSource), "a StreamSource or a BatchSource")
        with build.at("features"):
            build.expect(self.features, Iterable, "a list of column names, or a mapping to them")
        ttl = None
        if self.ttl is not None:
            with build.at("ttl"):
                ttl = build.length(self.ttl)
        return {
            **self.stored(build, self.source),
            "ttl_us": ttl,
            "features": [
                {"name": name or column, "column": column, "type": columns.get(column, ValueType.FLOAT64.value)}
                for name, column in pairs(self.features)
            ],
        }

    def parts(self) -> Sequence[Resource]:
        return (self.entity, self.source)


@dataclass(eq=False, kw_only=True)
class BatchFeatureView(LatestFeatureView):
    """The newest row per entity of a table, brought online by runs."""

    source: BatchSource


@dataclass(eq=False, kw_only=True)
class OnDemandFeatureView(View):
    """Functions of request fields and features, computed when they are asked for.

    features: by name, SQL texts over the names of inputs and request fields (docs/expressions.md), or a
        `PythonFunction` for what expressions cannot say.
    inputs: features of other views; a mapping names them, else they keep their own names.
    request: the fields that a request brings.
    """

    kind: ClassVar[Kind] = Kind.ON_DEMAND_VIEW
    features: Mapping[str, str | PythonFunction]
    inputs: Mapping[str, Pinned] | Sequence[Pinned] = ()
    request: RequestSource = field(default_factory=lambda: RequestSource({}))

    def document(self, build: Build) -> dict[str, Any]:
        inputs = []
        for place, (name, pinned) in enumerate(pairs(self.inputs)):
            with build.at(f"inputs[{place}]"):
                pin, kind = _pin(build, pinned)
            inputs.append({"name": name or pin["feature"], **pin, "type": kind})
        columns = {**self.request.fields, **{item["name"]: item["type"] for item in inputs}}
        features = []
        for place, (name, computed) in enumerate(self.features.items()):
            with build.at(f"features[{place}]"):
                if isinstance(computed, PythonFunction):
                    features.append({"name": name, **computed.feature(build, columns)})
                    continue
                with build.at("expr"):
                    expr = build.expression(computed)
                    features.append({"name": name, "type": build.expression_type(expr, columns), "expr": expr})
        return {
            "request": [{"name": name, "type": str(kind)} for name, kind in self.request.fields.items()],
            "inputs": inputs,
            "features": features,
        }

    def parts(self) -> Sequence[Resource]:
        return [pinned.view for _, pinned in pairs(self.inputs) if isinstance(pinned, FeatureRef)]


@dataclass(eq=False, kw_only=True)
class FeatureService(Resource):
    """What one model asks for: features pinned to exact views, in the order of the vector.

    features: features, or whole views, which stand for all their features in order.
    """

    kind: ClassVar[Kind] = Kind.FEATURE_SERVICE
    version: str = "1.0.0"  # type: ignore[misc]
    features: Sequence[Pinned | View]

    def document(self, build: Build) -> dict[str, Any]:
        pins: list[dict[str, Any]] = []
        for place, item in enumerate(self.features):
            with build.at(f"features[{place}]"):
                if isinstance(item, View):
                    built = build.view(item)
                    names = built.feature_names() if built else ["unknown"]
                    pins += [_pin_of(built, "unknown", name) for name in names]
                else:
                    pins.append(_pin(build, item)[0])
        return {"features": pins}

    def parts(self) -> Sequence[Resource]:
        return [
            item.view if isinstance(item, FeatureRef) else item for item in self.features if not isinstance(item, str)
        ]


def _types(build: Build, source: object, kinds: tuple[type, ...], words: str) -> dict[str, str]:
    """The columns of a source with their types."""
    with build.at("source"):
        build.expect(source, kinds, words)
        columns = getattr(source, "columns")  # noqa: B009
        with build.at("columns"):
            build.expect(columns, Mapping, "a mapping of column names to types")
    return {name: str(kind).removesuffix(" not null") for name, kind in columns.items()}


def _pin(build: Build, pinned: object) -> tuple[dict[str, Any], str]:
    """A pin as in documents, with the feature's type; stand-ins where it leads nowhere."""
    target: object
    if isinstance(pinned, FeatureRef):
        target, feature = pinned.view, pinned.feature
    elif isinstance(pinned, str):
        try:
            view, version, feature = split_feature_ref(pinned)
        except ValueError as error:
            build.fault(str(error), "MALFORMED_REFERENCE")
            return _pin_of(None, "unknown", "unknown"), ValueType.FLOAT64.value
        target = f"{view}@{version}"
    else:
        build.fault(
            f"expected a feature such as view['name'] or 'view@1.0.0:name', got {describe(pinned)}", "WRONG_TYPE"
        )
        return _pin_of(None, "unknown", "unknown"), ValueType.FLOAT64.value
    built = build.view(target)
    kind = built.feature_type(feature) if built else None
    if built is not None and kind is None:
        build.fault(
            f"view {built.definition.ref} has no feature {feature!r}; it has {', '.join(built.feature_names())}",
            "UNKNOWN_FEATURE",
        )
    return _pin_of(built, "unknown", feature), kind or ValueType.FLOAT64.value


def _pin_of(built: Built | None, view: str, feature: str) -> dict[str, Any]:
    if built is None:
        return {"view": view, "version": "0.0.0", "meaning": NO_HASH, "feature": feature}
    definition = built.definition
    return {
        # A name that is none is a fault of the view alone.
        "view": definition.name if NAME.fullmatch(definition.name) else view,
        "version": str(definition.version),
        "meaning": definition.meaning_hash.hex(),
        "feature": feature,
    }
