"""The meaning documents (M1) of the cases: fully defaulted, canonical JSON."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any

import rfc8785

from tests.oracle.aggregates import DEFAULT_BOUNDS, Aggregation
from tests.oracle.protobuf import Field
from tests.oracle.verdicts import Column, Operation
from tests.oracle.windows import WindowFeature
from tests.roads.cases import KEY_COLUMN, TIME_COLUMN, LatestSpec, StreamCase, TableCase, WindowSpec

TZDATA = import_module("tzdata").IANA_VERSION
CREATED_COLUMN = "created_time"
_STATE_LIMIT = 4 * 1024 * 1024
_ENTITY = {"name": "thing", "keys": [{"name": KEY_COLUMN, "type": "string"}]}
_HEADER = {"format": 1, "semantics": 1, "project": "spec", "entity": _ENTITY}


def stream_meaning(case: StreamCase) -> bytes:
    """Of a window view or a stream-fed latest view."""
    source = stream_source(case.columns, case.tolerance, operation=case.operation)
    spec = case.spec
    if isinstance(spec, WindowSpec):
        document = {
            **_HEADER,
            "kind": "window_view",
            "name": "windows",
            "source": source,
            "filter": case.keep,
            "origin_us": spec.origin,
            "head_slack_us": spec.head_slack,
            "back_slack_us": spec.back_slack,
            "head_max": spec.head_max,
            "state_limit_bytes": _STATE_LIMIT,
            "features": [
                {
                    "name": f.name,
                    "agg": f.what.agg,
                    "column": f.what.column,
                    **_edges(f),
                    "bound": _bound(f.what.agg, f.what.bound),
                    "type": spec.types[f.name],
                    **_own_members(f.what),
                    **({"where": spec.where[f.name]} if f.name in spec.where else {}),
                }
                for f in spec.features
            ],
        }
        return canonical(document)
    return _latest(source, case.keep, spec)


def table_meaning(case: TableCase) -> bytes:
    """Of a latest view over a table."""
    spec = case.spec
    created = any(row.created is not None for row in case.rows)
    source = {
        "kind": "batch",
        "name": "rows",
        "columns": _columns([*case.columns, *([Column(CREATED_COLUMN, "timestamp")] if created else [])])
        if not case.timeless
        else _columns(case.columns)[:-1],
        "event_time": None if case.timeless else TIME_COLUMN,
        "created_time": CREATED_COLUMN if created else None,
        "table": {"path": "rows"},
    }
    return _latest(source, None, spec)


def stream_source(
    columns: Sequence[Column],
    tolerance: int,
    fields: Mapping[str, Field] | None = None,
    operation: Operation | None = None,
) -> dict[str, Any]:
    """The source object of a topic of these columns, keyed by the entity: JSON, or protobuf with these fields."""
    return {
        "kind": "stream",
        "name": "events",
        "topic": "spec.events",
        "payload": "json" if fields is None else _protobuf(_columns(columns), fields),
        "record_key": [KEY_COLUMN],
        "columns": _columns(columns),
        "event_time": TIME_COLUMN,
        "future_tolerance_us": tolerance,
        **({} if operation is None else {"operation": _operation(operation)}),
    }


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "column": operation.column,
        "inserts": list(operation.inserts),
        "retracts": list(operation.retracts),
    }


def _protobuf(columns: Sequence[Mapping[str, Any]], fields: Mapping[str, Field]) -> dict[str, Any]:
    def member(column: Mapping[str, Any]) -> dict[str, Any]:
        own = fields[column["name"]]
        names = [{"number": number, "name": own.names[number]} for number in sorted(own.names)]
        return {
            "column": column["name"],
            "path": list(own.path),
            "type": own.type,
            "presence": own.presence,
            "names": names if own.type == "enum" and column["type"] == "string" else None,
        }

    return {"kind": "protobuf", "message": "spec.v1.Event", "fields": [member(column) for column in columns]}


def _latest(source: Mapping[str, Any], keep: Mapping[str, Any] | None, spec: LatestSpec) -> bytes:
    return canonical(
        {
            **_HEADER,
            "kind": "latest_view",
            "name": "latest",
            "source": source,
            "filter": keep,
            "ttl_us": spec.ttl,
            "head_slack_us": spec.head_slack,
            "head_max": spec.head_max,
            "state_limit_bytes": _STATE_LIMIT,
            "features": [{"name": n, "column": c, "type": spec.types[n]} for n, c in spec.features.items()],
        }
    )


def patched(document: Mapping[str, Any], members: Mapping[str, Any], gone: Sequence[str]) -> dict[str, Any]:
    """The document with other members: dotted paths, numbers are places in lists."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    for path in [*members, *gone]:
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        at: Any = copy
        for step in way:
            at = at[step]
        if path in members:
            at[last] = members[path]
        else:
            del at[last]
    return copy


def canonical(document: Mapping[str, Any]) -> bytes:
    """RFC 8785."""
    text: bytes = rfc8785.dumps(dict(document))
    return text


def _columns(columns: Sequence[Column]) -> list[dict[str, Any]]:
    own = [{"name": c.name, "type": c.type, "nullable": c.nullable} for c in columns]
    return [
        {"name": KEY_COLUMN, "type": "string", "nullable": True},
        *own,
        {"name": TIME_COLUMN, "type": "timestamp", "nullable": False},
    ]


def _own_members(what: Aggregation) -> dict[str, Any]:
    if what.agg == "quantile":
        return {"q_millionths": what.q, "accuracy_millionths": what.accuracy, "bins": what.bins}
    if what.agg.endswith("_n"):
        return {"n": what.items}
    if what.agg == "histogram":
        is_float = what.column_type == "float64"
        return {
            "edges": [
                float(edge) if is_float else f"{edge:f}" if isinstance(edge, Decimal) else str(edge)
                for edge in what.edges
            ]
        }
    return {} if what.precision is None else {"precision": what.precision}


def _edges(feature: WindowFeature) -> dict[str, Any]:
    shape = feature.shape
    if shape.kind == "sliding":
        return {"window_us": feature.width, "hop_us": feature.hop}
    if shape.kind == "lifetime":
        return {"window_us": None, "hop_us": None, "window": {"kind": "lifetime"}}
    if shape.kind in {"calendar", "previous_calendar"}:
        calendar = {"kind": "calendar", "unit": shape.unit, "zone": shape.zone, "tzdata": TZDATA}
        window = {**calendar, "previous": shape.kind != "calendar"}
        return {"window_us": None, "hop_us": feature.hop, "window": window}
    own: dict[str, Any] = {
        "tumbling": {"kind": "tumbling", "previous": False},
        "previous": {"kind": "tumbling", "previous": True},
        "exact": {"kind": "exact", "bound": shape.bound},
        "lag": {"kind": "lag", "lag_us": shape.lag},
    }
    return {"window_us": feature.width, "hop_us": feature.hop, "window": own[shape.kind]}


def _bound(agg: str, bound: int | None) -> int | None:
    return DEFAULT_BOUNDS.get(agg) if bound is None else bound
