"""From canonical documents to typed meanings.

A document that the kernel accepts reads without fault. One that does not have the shape of
docs/definitions.md raises `InvalidDefinitionError`, which says where.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final, TypeVar

from skewless.definitions.meanings import (
    BatchSource,
    Column,
    Entity,
    FeatureService,
    Input,
    Key,
    LatestFeature,
    LatestView,
    Meaning,
    OnDemandFeature,
    OnDemandView,
    Pin,
    Quantile,
    Source,
    StreamSource,
    WindowFeature,
    WindowView,
)
from skewless.definitions.resource import FORMAT, Definition, Kind, Version, canonical
from skewless.errors import InvalidDefinitionError, Violation
from skewless.functions.environment import FunctionRef
from skewless.types import ValueType

T = TypeVar("T")


class Node:
    """A place in a document: takes values of the expected kind out of it, or says where they are wrong."""

    def __init__(self, value: Any, path: str = "") -> None:
        self.value = value
        self.path = path

    def fault(self, message: str) -> InvalidDefinitionError:
        return InvalidDefinitionError([Violation(self.path or "meaning", message, "MALFORMED_MEANING")])

    def at(self, name: str) -> Node:
        """The member of this name, which must be there."""
        if not isinstance(self.value, dict) or name not in self.value:
            raise self.fault(f"the member {name!r} is missing; every member is always written")
        return Node(self.value[name], f"{self.path}.{name}" if self.path else name)

    def items(self) -> Iterator[Node]:
        if not isinstance(self.value, list):
            raise self.fault(f"expected a list, got {type(self.value).__name__}")
        return (Node(item, f"{self.path}[{place}]") for place, item in enumerate(self.value))

    def all(self, read: Callable[[Node], T]) -> tuple[T, ...]:
        return tuple(read(item) for item in self.items())

    def text(self) -> str:
        return self._as(str, "a text")

    def integer(self) -> int:
        return self._as(int, "an integer")

    def boolean(self) -> bool:
        return self._as(bool, "true or false")

    def maybe(self, read: Callable[[Node], T]) -> T | None:
        return None if self.value is None else read(self)

    def value_type(self) -> ValueType:
        try:
            return ValueType(self.text())
        except ValueError:
            raise self.fault(f"unknown type {self.value!r}; known: {', '.join(ValueType)}") from None

    def version(self) -> Version:
        try:
            return Version.parse(self.text())
        except ValueError as error:
            raise self.fault(str(error)) from None

    def hash(self) -> bytes:
        try:
            value = bytes.fromhex(self.text())
        except ValueError:
            value = b""
        if len(value) != 32 or value.hex() != self.value:
            raise self.fault("expected a meaning hash: 64 lower-case hexadecimal digits")
        return value

    def _as(self, kind: type[T], words: str) -> T:
        value = self.value
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.fault(f"expected {words}, got {type(value).__name__}")
        return value


def read(definition: Definition) -> Meaning:
    """The typed meaning of a definition. Raises InvalidDefinitionError where the document is not one."""
    try:
        node = Node(json.loads(definition.meaning_json))
    except ValueError as error:
        raise Node(None).fault(f"not JSON: {error}") from None
    _check_head(definition, node)
    return _READERS[definition.kind](definition, node)


def _check_head(definition: Definition, node: Node) -> None:
    for member, expected in (
        ("format", FORMAT),
        ("kind", definition.kind.value),
        ("project", definition.project),
        ("name", definition.name),
    ):
        found = node.at(member)
        if found.value != expected:
            raise found.fault(f"expected {expected!r}, got {found.value!r}")
    if definition.kind.versioned and definition.version is None:
        raise Node(None, "version").fault("a version is needed, MAJOR.MINOR.PATCH such as 1.0.0")
    if not definition.kind.versioned and definition.version is not None:
        raise Node(None, "version").fault(f"a {definition.kind.words} has no version; leave it empty")


def _column(node: Node) -> Column:
    return Column(node.at("name").text(), node.at("type").value_type(), node.at("nullable").boolean())


def _entity_object(project: str, node: Node) -> Entity:
    keys = node.at("keys").all(lambda key: Key(key.at("name").text(), key.at("type").value_type()))
    return Entity(project, node.at("name").text(), keys)


def _source_object(project: str, node: Node) -> Source:
    kind = node.at("kind").text()
    if kind == "stream":
        return _stream_source(project, node)
    if kind == "batch":
        return _batch_source(project, node)
    raise node.at("kind").fault(f"unknown kind of source {kind!r}; known: stream, batch")


def _stream_source(project: str, node: Node) -> StreamSource:
    return StreamSource(
        project=project,
        name=node.at("name").text(),
        topic=node.at("topic").text(),
        payload=_payload(node.at("payload")),
        record_key=node.at("record_key").all(Node.text),
        columns=node.at("columns").all(_column),
        event_time=node.at("event_time").text(),
        future_tolerance_us=node.at("future_tolerance_us").integer(),
        document=canonical(node.value),
    )


def _payload(node: Node) -> str:
    return (node.at("kind") if isinstance(node.value, dict) else node).text()


def _batch_source(project: str, node: Node) -> BatchSource:
    table = node.at("table")
    is_query = isinstance(table.value, dict) and "query" in table.value
    return BatchSource(
        project=project,
        name=node.at("name").text(),
        columns=node.at("columns").all(_column),
        event_time=node.at("event_time").maybe(Node.text),
        created_time=node.at("created_time").maybe(Node.text),
        path=None if is_query else table.at("path").text(),
        query=table.at("query").text() if is_query else None,
        inputs=table.at("inputs").all(Node.text) if is_query else (),
        document=canonical(node.value),
    )


def _entity(definition: Definition, node: Node) -> Entity:
    return _entity_object(definition.project, node)


def _source(definition: Definition, node: Node) -> Source:
    source = _source_object(definition.project, node.at("source"))
    if source.name != definition.name:
        raise node.at("source").at("name").fault(f"expected {definition.name!r}, got {source.name!r}")
    return source


def _stored(definition: Definition, node: Node) -> dict[str, Any]:
    return {
        "definition": definition,
        "entity": _entity_object(definition.project, node.at("entity")),
        "filter": node.at("filter").value,
        "head_slack_us": node.at("head_slack_us").integer(),
        "head_max": node.at("head_max").integer(),
        "state_limit_bytes": node.at("state_limit_bytes").integer(),
    }


def _window_view(definition: Definition, node: Node) -> WindowView:
    source = _source_object(definition.project, node.at("source"))
    if not isinstance(source, StreamSource):
        raise node.at("source").fault("a window view reads a stream source")
    return WindowView(
        **_stored(definition, node),
        source=source,
        origin_us=node.at("origin_us").integer(),
        back_slack_us=node.at("back_slack_us").integer(),
        features=node.at("features").all(
            lambda feature: WindowFeature(
                name=feature.at("name").text(),
                agg=feature.at("agg").text(),
                column=feature.at("column").maybe(Node.text),
                window_us=feature.at("window_us").maybe(Node.integer),
                hop_us=feature.at("hop_us").maybe(Node.integer),
                bound=feature.at("bound").maybe(Node.integer),
                type=feature.at("type").value_type(),
                where=feature.value.get("where"),
                precision=feature.at("precision").integer() if "precision" in feature.value else None,
                quantile=_quantile(feature) if feature.at("agg").value == "quantile" else None,
                window=feature.value.get("window"),
                items=feature.at("n").integer() if "n" in feature.value else None,
                edges=tuple(map(_edge, feature.value["edges"])) if "edges" in feature.value else None,
            )
        ),
    )


def _edge(written: str | float) -> float | Decimal:
    if not isinstance(written, str):
        return written
    return Decimal(written) if "." in written else int(written)


def _quantile(feature: Node) -> Quantile:
    return Quantile(
        feature.at("q_millionths").integer(),
        feature.at("accuracy_millionths").integer(),
        feature.at("bins").integer(),
    )


def _latest_view(definition: Definition, node: Node) -> LatestView:
    return LatestView(
        **_stored(definition, node),
        source=_source_object(definition.project, node.at("source")),
        ttl_us=node.at("ttl_us").maybe(Node.integer),
        features=node.at("features").all(
            lambda feature: LatestFeature(
                feature.at("name").text(), feature.at("column").text(), feature.at("type").value_type()
            )
        ),
    )


def _pin(node: Node) -> Pin:
    return Pin(
        view=node.at("view").text(),
        version=node.at("version").version(),
        feature=node.at("feature").text(),
        meaning=node.at("meaning").hash(),
    )


def _on_demand_view(definition: Definition, node: Node) -> OnDemandView:
    return OnDemandView(
        definition=definition,
        request=node.at("request").all(
            lambda field: Column(field.at("name").text(), field.at("type").value_type(), nullable=True)
        ),
        inputs=node.at("inputs").all(
            lambda item: Input(item.at("name").text(), _pin(item), item.at("type").value_type())
        ),
        features=node.at("features").all(_on_demand_feature),
    )


def _on_demand_feature(node: Node) -> OnDemandFeature:
    name, kind = node.at("name").text(), node.at("type").value_type()
    if "function" not in node.value:
        return OnDemandFeature(name, kind, node.at("expr").value)
    function = node.at("function")
    found = FunctionRef(
        module=function.at("module").text(),
        name=function.at("name").text(),
        source=function.at("source").hash(),
        arguments=function.at("arguments").all(Node.text),
        type=kind.value,
        budget_us=function.at("budget_us").integer(),
    )
    return OnDemandFeature(name, kind, None, found)


def _feature_service(definition: Definition, node: Node) -> FeatureService:
    return FeatureService(definition=definition, pins=node.at("features").all(_pin))


_READERS: Final[dict[Kind, Callable[[Definition, Node], Meaning]]] = {
    Kind.ENTITY: _entity,
    Kind.SOURCE: _source,
    Kind.WINDOW_VIEW: _window_view,
    Kind.LATEST_VIEW: _latest_view,
    Kind.ON_DEMAND_VIEW: _on_demand_view,
    Kind.FEATURE_SERVICE: _feature_service,
}
