"""Reads the cases of tests/spec/ (format 1, described in tests/spec/README.md) into plain objects."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.oracle.aggregates import Aggregation
from tests.oracle.cells import Cell, Row, Status, Value
from tests.oracle.decimals import is_decimal, scale_of
from tests.oracle.decimals import read as read_decimal
from tests.oracle.events import Position
from tests.oracle.expressions import holds
from tests.oracle.grid import DAY, DEFAULT_ORIGIN, HOPS, HOUR, MINUTE, SECOND, default_hop
from tests.oracle.latest import TableRow
from tests.oracle.protobuf import Field
from tests.oracle.verdicts import DEFAULT_TOLERANCE, Column, Operation
from tests.oracle.windows import SLIDING, Shape, WindowFeature

SPEC = Path(__file__).parents[1] / "spec"
FORMAT = 1
KEY_COLUMN = "k"
TIME_COLUMN = "event_time"
DEFAULT_KEY = "k1"
DEFAULT_DAY = "2013-01-01"

Ir = Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """A record of the input log as its writer sent it."""

    position: Position
    key: str | None
    payload: bytes
    append_time: int


@dataclass(frozen=True)
class WindowSpec:
    """The part of a window view's meaning that a case states. `where`: the conditions of features by name."""

    features: tuple[WindowFeature, ...]
    types: Mapping[str, str]
    where: Mapping[str, Ir] = field(default_factory=dict)
    origin: int = DEFAULT_ORIGIN
    head_slack: int = 2_000_000
    head_max: int = 256
    back_slack: int = 300_000_000


@dataclass(frozen=True)
class LatestSpec:
    """The part of a latest view's meaning that a case states: feature name to column."""

    features: Mapping[str, str]
    types: Mapping[str, str]
    ttl: int | None = None
    head_slack: int = 2_000_000
    head_max: int = 256


@dataclass(frozen=True)
class Read:
    """One row asked. `known` is the next offset, -1 when the key has no state, None for everything."""

    key: str
    request_time: int
    known: int | None
    expect: Mapping[str, Cell]
    must_refuse: bool = False
    rests_on: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class StreamCase:
    """A window view or a stream-fed latest view, its log, and what reading it gives."""

    columns: tuple[Column, ...]
    spec: WindowSpec | LatestSpec
    records: tuple[Record, ...]
    arrivals: tuple[int, ...]
    reads: tuple[Read, ...]
    keep: Ir | None = None
    any_order: bool = False
    tolerance: int = DEFAULT_TOLERANCE
    operation: Operation | None = None


@dataclass(frozen=True)
class TableCase:
    """A latest view over a table, its rows, and what reading it gives (`known` is a run_seq)."""

    columns: tuple[Column, ...]
    spec: LatestSpec
    rows: tuple[TableRow, ...]
    reads: tuple[Read, ...]
    timeless: bool = False


@dataclass(frozen=True)
class VerdictCase:
    """One record and the verdict over it; `row` and `event_time` when it is accepted.

    fields: of a protobuf message, by column; None: the record is JSON.
    """

    columns: tuple[Column, ...]
    record_key: bytes | None
    payload: bytes
    append_time: int
    tolerance: int
    verdict: str
    direct: bool = False
    row: Mapping[str, Value] = field(default_factory=dict)
    event_time: int | None = None
    fields: Mapping[str, Field] | None = None
    operation: Operation | None = None


@dataclass(frozen=True)
class PlainCase:
    """Inputs and outputs of one small function: hops, entity ids, store keys, partitions."""

    given: Mapping[str, Any]
    expect: Any
    refused: bool = False


Body = StreamCase | TableCase | VerdictCase | PlainCase


@dataclass(frozen=True)
class Case:
    """`id` is unique: folder/file/name."""

    id: str
    kind: str
    clause: str
    body: Body


class _Loader(yaml.SafeLoader):
    """YAML without guessing: no dates, no sexagesimals, no yes/no; 1e3 is a float."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"true|false", "tf"),
    ("tag:yaml.org,2002:null", r"null|~|", ["n", "~", ""]),
    ("tag:yaml.org,2002:int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("tag:yaml.org,2002:float", r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?", "-0123456789"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))


@cache
def load(path: Path) -> dict[str, Any]:
    """One file of tests/spec/, read once for all who ask: not to be changed."""
    document = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - derived from SafeLoader
    assert isinstance(document, dict), f"{path}: not a mapping"
    return document


def files() -> list[Path]:
    """Every YAML file of the specification."""
    return sorted(SPEC.rglob("*.yaml"))


@cache
def clauses_with_cases() -> frozenset[str]:
    """The clauses that at least one case names, whoever runs it."""
    return frozenset(case["clause"] for path in files() for case in load(path)["cases"])


@cache
def cases(*kinds: str) -> tuple[Case, ...]:
    """The cases of these kinds."""
    return tuple(case for path in files() for case in _of_file(path, kinds))


def _of_file(path: Path, kinds: Sequence[str]) -> Iterator[Case]:
    document = load(path)
    if document.get("kind") not in kinds:
        return
    where = path.relative_to(SPEC).with_suffix("").as_posix()
    assert document["format"] == FORMAT, f"{where}: format {document['format']}"
    shared = {k: v for k, v in document.items() if k not in {"format", "kind", "about", "cases"}}
    for raw in document["cases"]:
        own = dict(raw)
        name, clause = own.pop("name"), own.pop("clause")
        own.pop("why", None)
        merged = {**shared, **own}
        try:
            body = _BODIES[document["kind"]](dict(merged), document["kind"])
        except (KeyError, ValueError, AssertionError) as fault:
            raise ValueError(f"{where}/{name}: {fault!r}") from fault
        yield Case(f"{where}/{name}", document["kind"], clause, body)


def _stream(raw: dict[str, Any], kind: str) -> StreamCase:
    day = raw.pop("day", DEFAULT_DAY)
    columns = _columns(raw.pop("columns", {}))
    types = {c.name: c.type for c in columns}
    spec = _window_spec(raw, types, day) if kind == "window" else _latest_spec(raw, types)
    records = tuple(_record(e, i, day) for i, e in enumerate(raw.pop("events")))
    offsets = tuple(sorted({r.position.offset for r in records}))
    case = StreamCase(
        columns=columns,
        spec=spec,
        records=records,
        arrivals=tuple(raw.pop("arrivals", offsets)),
        reads=tuple(_read(r, spec, day) for r in raw.pop("reads")),
        keep=raw.pop("keep", None),
        any_order=raw.pop("any_order", False),
        tolerance=duration(raw.pop("tolerance", "5s")),
        operation=_operation(raw.pop("operation", None)),
    )
    _nothing_left(raw)
    return case


def _operation(raw: Mapping[str, Any] | None) -> Operation | None:
    return None if raw is None else Operation(raw["column"], raw["inserts"], raw["retracts"])


def _window_spec(raw: dict[str, Any], columns: Mapping[str, str], day: str) -> WindowSpec:
    shared: dict[str, str] = {name: raw.pop(name) for name in ("width", "hop", "window") if name in raw}
    written = raw.pop("features")
    features = tuple(_feature(name, text, columns, shared) for name, text in written.items())
    origin = raw.pop("origin", None)
    return WindowSpec(
        features,
        {f.name: result_type(f.what) for f in features},
        {name: text["where"] for name, text in written.items() if isinstance(text, dict) and "where" in text},
        DEFAULT_ORIGIN if origin is None else instant(origin, day),
        **_durations(raw, "head_slack", "back_slack"),
        **_numbers(raw, "head_max"),
    )


def _latest_spec(raw: dict[str, Any], columns: Mapping[str, str]) -> LatestSpec:
    features = {name: column or name for name, column in raw.pop("features").items()}
    types = {name: columns[column] for name, column in features.items()}
    return LatestSpec(features, types, **_durations(raw, "ttl", "head_slack"), **_numbers(raw, "head_max"))


def _table(raw: dict[str, Any], kind: str) -> TableCase:
    del kind
    day = raw.pop("day", DEFAULT_DAY)
    columns = _columns(raw.pop("columns"))
    spec = _latest_spec(raw, {c.name: c.type for c in columns})
    case = TableCase(
        columns,
        spec,
        tuple(_table_row(r, columns, day) for r in raw.pop("rows")),
        tuple(_read(r, spec, day) for r in raw.pop("reads")),
        raw.pop("timeless", False),
    )
    _nothing_left(raw)
    return case


def _table_row(raw: dict[str, Any], columns: Sequence[Column], day: str) -> TableRow:
    own = dict(raw)
    cells = own.pop("row", {})
    row = TableRow(
        key=own.pop("key", DEFAULT_KEY),
        t=_optional_instant(own.pop("at", None), day),
        run_seq=own.pop("run", 1),
        row={c.name: typed(cells.get(c.name), c.type, day) for c in columns},
        created=_optional_instant(own.pop("created", None), day),
        deleted=own.pop("deleted", False),
    )
    _nothing_left(own)
    return row


def _verdict(raw: dict[str, Any], kind: str) -> VerdictCase:
    del kind
    day = raw.pop("day", DEFAULT_DAY)
    columns = _columns(raw.pop("columns", {}))
    expect = dict(raw.pop("expect"))
    types = {c.name: c.type for c in columns}
    record_key = raw.pop("key", DEFAULT_KEY)
    fields = raw.pop("protobuf", None)
    case = VerdictCase(
        columns,
        None if record_key is None else record_key.encode(),
        raw.pop("raw").encode() if fields is None else bytes.fromhex(raw.pop("hex")),
        instant(raw.pop("appended", "12:00"), day),
        duration(raw.pop("tolerance", "5s")),
        expect.pop("verdict"),
        raw.pop("direct", False),
        {name: typed(v, types[name], day) for name, v in expect.pop("row", {}).items()},
        _optional_instant(expect.pop("at", None), day),
        None if fields is None else {name: _protobuf_field(text) for name, text in fields.items()},
        _operation(raw.pop("operation", None)),
    )
    _nothing_left(raw)
    _nothing_left(expect)
    return case


def _protobuf_field(raw: Any) -> Field:
    """`double 3`, `string 4.1 or null` (when absent), or `{field: enum 5, names: {0: NONE}}`."""
    own = dict(raw) if isinstance(raw, dict) else {"field": raw}
    text = own.pop("field")
    kind, path = text.removesuffix(" or null").split()
    names = {int(number): name for number, name in own.pop("names", {}).items()}
    _nothing_left(own)
    return Field(tuple(map(int, path.split("."))), kind, text.endswith(" or null"), names)


def _plain(raw: dict[str, Any], kind: str) -> PlainCase:
    del kind
    expect = raw.pop("expect", None)
    return PlainCase(raw, expect, raw.pop("refused", False))


_BODIES: Mapping[str, Callable[[dict[str, Any], str], Body]] = {
    "window": _stream,
    "latest_stream": _stream,
    "latest_table": _table,
    "verdict": _verdict,
    "hop": _plain,
    "entity_id": _plain,
    "state_key": _plain,
    "partition": _plain,
    "plan": _plain,
}


def _record(raw: Any, index: int, day: str) -> Record:
    own = dict(raw)
    key = own.pop("key", DEFAULT_KEY)
    position = Position(1, own.pop("partition", 0), own.pop("offset", index))
    at = own.pop("at", None)
    appended = own.pop("appended", None)
    if "raw" in own:
        payload = own.pop("raw").encode()
    else:
        assert at is not None, "an event needs `at`"
        payload = payload_of(key, instant(at, day), own.pop("row", {}))
    append_time = instant(appended if appended is not None else at, day)
    _nothing_left(own)
    return Record(position, key, payload, append_time)


def payload_of(key: str | None, t: int, row: Mapping[str, Any]) -> bytes:
    """The JSON of an event."""
    return json.dumps({KEY_COLUMN: key, TIME_COLUMN: t, **row}).encode()


def _read(raw: Any, spec: WindowSpec | LatestSpec, day: str) -> Read:
    own = dict(raw)
    known = own.pop("known", None)
    read = Read(
        own.pop("key", DEFAULT_KEY),
        instant(own.pop("at"), day),
        -1 if known == "nothing" else known,
        {name: _expected(value, spec.types[name], day) for name, value in own.pop("expect").items()},
        own.pop("online", None) == "NOT_ANSWERABLE",
        own.pop("rests_on", {}),
    )
    _nothing_left(own)
    return read


def _expected(raw: Any, kind: str, day: str) -> Cell:
    if raw is None:
        return Cell(None, Status.NULL)
    if not isinstance(raw, dict):
        return Cell(typed(raw, kind, day), Status.PRESENT)
    own = dict(raw)
    value = typed(own.pop("value", None), kind, day)
    status = Status[own.pop("status", "PRESENT")]
    event_time = _optional_instant(own.pop("event_time", None), day)
    _nothing_left(own)
    return Cell(value, status, event_time)


def _feature(name: str, raw: Any, columns: Mapping[str, str], shared: Mapping[str, str]) -> WindowFeature:
    own = dict(raw) if isinstance(raw, dict) else dict(zip(("agg", "column"), raw.split(), strict=False))
    column = own.pop("column", None)
    edges = {"width": "1h", **shared} | {part: own.pop(part) for part in ("width", "hop", "window") if part in own}
    width, hop, shape = _edges(**edges)
    assert hop is not None, f"{name}: no hop fits the width"
    bound = own.pop("bound", None)
    agg = own.pop("agg")
    where = None
    if agg == "count_where":
        where = condition(own.pop("where"), columns)
    what = Aggregation(agg, column, columns[column] if column else None, bound, where=where)
    if agg == "count_distinct":
        what = replace(what, **_numbers(own, "precision"))
    if agg == "quantile":
        shares = {name: round(own.pop(name) * 1_000_000) for name in ("q", "accuracy") if name in own}
        what = replace(what, **shares, **_numbers(own, "bins"))
    if "n" in own:
        what = replace(what, items=own.pop("n"))
    if agg == "histogram":
        edges_of = own.pop("edges")
        what = replace(what, edges=[_edge(edge, what.column_type) for edge in edges_of])
    _nothing_left(own)
    return WindowFeature(name, what, width, hop, shape)


def _edge(raw: Any, kind: str | None) -> int | float | Decimal:
    edge = typed(raw, kind or "")
    assert isinstance(edge, int | float | Decimal)
    return edge


def _edges(width: str, hop: str | None = None, window: str | None = None) -> tuple[int, int | None, Shape]:
    """Width, hop and kind of a window: `tumbling 1h`, `previous 1h`, `lifetime`, `exact 10min bound 5`, `lag 1d by 7d`,
    `calendar day Europe/Berlin`, `previous_calendar day Europe/Berlin`; without a kind it slides."""
    given = None if hop is None else duration(hop)
    if window is None:
        return duration(width), given or default_hop(duration(width)), SLIDING
    kind, *words = window.split()
    if kind == "lifetime":
        return 0, 0, Shape(kind)
    if kind in {"calendar", "previous_calendar"}:
        unit, zone = words
        return 0, given or 15 * MINUTE, Shape(kind, unit=unit, zone=zone)
    wide = duration(words[0])
    if kind == "exact":
        assert words[1] == "bound"
        return wide, 0, Shape(kind, bound=int(words[2]))
    if kind == "lag":
        assert words[1] == "by"
        lag = duration(words[2])
        fitting = [step for step in HOPS if wide % step == 0 and lag % step == 0 and 48 * step <= wide]
        return wide, given or max(fitting), Shape(kind, lag=lag)
    assert kind in {"tumbling", "previous"}, f"{kind!r} is no kind of window"
    return wide, given or max(step for step in HOPS if wide % step == 0), Shape(kind)


def condition(ir: Ir, columns: Mapping[str, str]) -> Callable[[Row], bool]:
    """Whether a condition is true of a row."""
    types = {KEY_COLUMN: "string", TIME_COLUMN: "timestamp", **columns}
    return lambda row: holds(ir, types, row)


def result_type(what: Aggregation) -> str:
    """The type of a windowed feature (chapter A)."""
    if what.agg in {"count", "count_where", "count_distinct", "time_since_last"}:
        return "int64"
    if what.agg in {"avg", "variance", "stddev", "variance_pop", "stddev_pop", "rate", "quantile"}:
        return "float64"
    assert what.column_type is not None
    if what.agg == "histogram":
        return "list<int64>"
    if what.agg == "sum" and is_decimal(what.column_type):
        return f"decimal(18,{scale_of(what.column_type)})"
    if what.agg.endswith("_n"):
        return f"list<{what.column_type}>"
    return what.column_type


def _columns(raw: Mapping[str, str]) -> tuple[Column, ...]:
    return tuple(Column(n, t.removesuffix("!"), not t.endswith("!")) for n, t in raw.items())


def typed(raw: Any, kind: str, day: str = DEFAULT_DAY) -> Value:
    """A cell written in YAML; float64 may be hexadecimal text."""
    if raw is None:
        return None
    if kind.startswith("list<"):
        return [typed(item, kind.removeprefix("list<").removesuffix(">"), day) for item in raw]
    if kind == "float64":
        return float.fromhex(raw) if isinstance(raw, str) else float(raw)
    if kind == "timestamp":
        return instant(raw, day)
    if is_decimal(kind):
        found = read_decimal(raw, kind)
        assert found is not None, f"{raw!r} is no {kind}"
        return found
    assert isinstance(raw, int | str), f"{raw!r} is no {kind}"
    assert type(raw) is {"int64": int, "bool": bool, "string": str}[kind], f"{raw!r} is no {kind}"
    return raw


_DURATION = re.compile(r"(\d+)(us|s|min|h|d)")
_UNITS = {"us": 1, "s": SECOND, "min": MINUTE, "h": HOUR, "d": DAY}


def duration(text: str) -> int:
    """Microseconds of `90s`, `15min`, `7d`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration")
    return int(match[1]) * _UNITS[match[2]]


def instant(text: str | int, day: str = DEFAULT_DAY) -> int:
    """Microseconds of `2013-01-01T10:00:00.5Z`, or of `10:00` on the case's day; or as given."""
    if isinstance(text, int):
        return text
    full = text if "T" in text else f"{day}T{text}Z"
    clock, dot, fraction = full.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(clock).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return whole // timedelta(microseconds=1) + (int(fraction.ljust(6, "0")) if dot else 0)


def _optional_instant(text: str | int | None, day: str) -> int | None:
    return None if text is None else instant(text, day)


def _durations(raw: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: duration(raw.pop(name)) for name in names if raw.get(name) is not None}


def _numbers(raw: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: raw.pop(name) for name in names if name in raw}


def _nothing_left(raw: Mapping[str, Any]) -> None:
    assert not raw, f"unknown members {sorted(raw)}"
