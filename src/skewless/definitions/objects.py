"""Entities and sources as users write them. Nothing is checked until a project is built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from skewless.definitions.building import Build
from skewless.definitions.durations import Duration
from skewless.definitions.payloads import Payload
from skewless.definitions.resource import NAME, Kind
from skewless.types import describe

NOT_NULL = " not null"


@dataclass(eq=False, kw_only=True)
class Resource(ABC):
    """What every definition may carry beside its meaning."""

    kind: ClassVar[Kind]
    name: str = field(kw_only=False)
    description: str = ""
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    version: ClassVar[str] = ""

    @property
    def ref(self) -> str:
        """``name@version``, or the bare name where there are no versions."""
        return f"{self.name}@{self.version}" if self.kind.versioned else self.name

    @abstractmethod
    def document(self, build: Build) -> dict[str, Any]:
        """The members of the meaning beyond those that every meaning has. Raises CannotBuildError."""

    def parts(self) -> Sequence[Resource]:
        """The definitions that this one is made of."""
        return ()


@dataclass(eq=False, kw_only=True)
class Entity(Resource):
    """A thing that features are about.

    keys: the columns of its key with their types, "string" or "int64", in order; without it one string column
    of the entity's own name.
    """

    kind: ClassVar[Kind] = Kind.ENTITY
    keys: Mapping[str, str] | None = None

    def body(self) -> dict[str, Any]:
        """The entity as it stands in views."""
        # A name that is none is a fault of the entity alone, not of its column too.
        column = self.name if NAME.fullmatch(self.name) else self.kind.value
        keys = {column: "string"} if self.keys is None else self.keys
        return {"name": self.name, "keys": [{"name": name, "type": str(kind)} for name, kind in keys.items()]}

    def document(self, build: Build) -> dict[str, Any]:  # noqa: ARG002
        return self.body()


@dataclass(frozen=True)
class Operation:
    """How a record that takes another back is told, by a column that each record has.

    A retraction holds the cells and the event time of the record that it takes back.

    column: a string or bool column of the source; it is never null.
    inserts, retracts: the values that say so; by default false and true. A record with another value is malformed.
    """

    column: str
    inserts: Sequence[str | bool] = (False,)
    retracts: Sequence[str | bool] = (True,)

    def body(self) -> dict[str, Any]:
        """The operation as it stands in sources."""
        return {"column": self.column, "inserts": list(self.inserts), "retracts": list(self.retracts)}


@dataclass(eq=False, kw_only=True)
class StreamSource(Resource):
    """A topic of events.

    topic: the Kafka topic.
    columns: names and types ("int64", "float64", "bool", "string", "timestamp"), with " not null" behind a type
        where a null or missing cell makes the record malformed.
    event_time: the timestamp column that says when an event happened.
    record_key: the columns whose text is the record key, if it is one.
    payload: how the records hold the columns: "json", one JSON object each; or `skewless.Protobuf`.
    future_tolerance: how far ahead of its append time an event may be dated; beyond, it is refused.
    operation: how records that take back others are told, such as
        ``skewless.Operation("op", inserts=["+I", "+U"], retracts=["-U", "-D"])``; None: no record does.
    """

    kind: ClassVar[Kind] = Kind.SOURCE
    topic: str
    columns: Mapping[str, str]
    event_time: str
    record_key: Sequence[str] = ()
    payload: str | Payload = "json"
    future_tolerance: Duration = "5s"
    operation: Operation | None = None

    def body(self, build: Build) -> dict[str, Any]:
        """The source as it stands in views."""
        columns = _columns(build, self.columns)
        for column in columns:
            if column["name"] == self.event_time or self._is_operation(column["name"]):
                column["nullable"] = False
        with build.at("future_tolerance"):
            tolerance = build.length(self.future_tolerance)
        with build.at("payload"):
            payload = self._payload(build, {column["name"]: column["type"] for column in columns})
        return {
            "kind": "stream",
            "name": self.name,
            "topic": self.topic,
            "payload": payload,
            "record_key": list(self.record_key),
            "columns": columns,
            "event_time": self.event_time,
            "future_tolerance_us": tolerance,
            **self._operation(build),
        }

    def _is_operation(self, name: str) -> bool:
        return isinstance(self.operation, Operation) and self.operation.column == name

    def _operation(self, build: Build) -> dict[str, Any]:
        given: object = self.operation
        if given is None:
            return {}
        if not isinstance(given, Operation):
            with build.at("operation"):
                build.fault(f"expected skewless.Operation(...), got {describe(given)}", "WRONG_TYPE")
            return {}
        return {"operation": given.body()}

    def _payload(self, build: Build, columns: Mapping[str, str]) -> Any:
        given: object = self.payload
        if isinstance(given, Payload):
            return given.document(build, columns)
        if not isinstance(given, str):
            build.fault(f'expected "json" or skewless.Protobuf(...), got {describe(given)}', "WRONG_TYPE")
            return "json"
        return given

    def document(self, build: Build) -> dict[str, Any]:
        return {"source": self.body(build)}


@dataclass(eq=False, kw_only=True)
class BatchSource(Resource):
    """A table, or a query over the event logs of streams.

    path: the table's path. Or:
    query: SQL; ``$as_of`` is the instant of the run.
    inputs: the stream sources, or their names, whose event logs the query reads as tables of these names.
    columns: as for `StreamSource`.
    event_time: the timestamp column that says from when a row holds; None: rows hold at any time.
    created_time: the timestamp column that says which of two rows of one event time is the newer.
    """

    kind: ClassVar[Kind] = Kind.SOURCE
    columns: Mapping[str, str]
    event_time: str | None = None
    created_time: str | None = None
    path: str | None = None
    query: str | None = None
    inputs: Sequence[StreamSource | str] = ()

    def body(self, build: Build) -> dict[str, Any]:
        """The source as it stands in views."""
        if (self.path is None) == (self.query is None):
            build.fault("give either path (of a table) or query (SQL over inputs)", "TABLE_OR_QUERY")
        if self.path is not None and self.inputs:
            with build.at("inputs"):
                build.fault("inputs belong to a query; a table has none", "TABLE_OR_QUERY")
        names = [item if isinstance(item, str) else item.name for item in self.inputs]
        table = {"query": self.query, "inputs": names} if self.query is not None else {"path": self.path or ""}
        return {
            "kind": "batch",
            "name": self.name,
            "columns": _columns(build, self.columns),
            "event_time": self.event_time,
            "created_time": self.created_time,
            "table": table,
        }

    def document(self, build: Build) -> dict[str, Any]:
        return {"source": self.body(build)}

    def parts(self) -> Sequence[Resource]:
        return [item for item in self.inputs if isinstance(item, Resource)]


@dataclass(eq=False)
class RequestSource:
    """Fields that a request brings for on-demand features: names and types; any may be null."""

    fields: Mapping[str, str]


def _columns(build: Build, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    with build.at("columns"):
        build.expect(columns, Mapping, "a mapping of column names to types")
    items: Iterable[tuple[str, object]] = columns.items()
    for place, (name, text) in enumerate(items):
        if not isinstance(text, str):
            with build.at(f"columns[{place}]"):
                build.fault(
                    f"expected the type of column {name!r} as text such as 'float64' or 'string not null', "
                    f"got {describe(text)}",
                    "UNKNOWN_TYPE",
                )
            text = "float64"  # noqa: PLW2901 (a stand-in)
        nullable = not text.endswith(NOT_NULL)
        out.append({"name": name, "type": text.removesuffix(NOT_NULL), "nullable": nullable})
    return out
