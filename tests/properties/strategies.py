"""Generated cases: views, logs and reads that crowd around the edges where windows can go wrong."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.oracle.aggregates import Aggregation
from tests.oracle.events import Position
from tests.oracle.grid import DAY, HOUR, MINUTE, SECOND
from tests.oracle.verdicts import Column
from tests.oracle.windows import SLIDING, Shape, WindowFeature
from tests.roads.cases import (
    KEY_COLUMN,
    TIME_COLUMN,
    Ir,
    LatestSpec,
    Read,
    Record,
    StreamCase,
    WindowSpec,
    condition,
    payload_of,
    result_type,
)

COLUMNS = (
    Column("x", "float64"),
    Column("i", "int64"),
    Column("s", "string"),
    Column("b", "bool"),
    Column("d", "decimal(18,2)"),
)
KEYS = ("k1", "k2")
BASES = (0, -DAY, 1_357_034_400 * SECOND, 4 * DAY - 3 * SECOND)
WINDOWS = (
    (10 * SECOND, SECOND),
    (MINUTE, SECOND),
    (MINUTE, 10 * SECOND),
    (MINUTE, MINUTE),
    (HOUR, MINUTE),
    (6 * HOUR, 5 * MINUTE),
    (24 * HOUR, 15 * MINUTE),
    (7 * DAY, HOUR),
    (7 * DAY, DAY),
)
KINDS = (
    (MINUTE, SECOND, Shape("tumbling")),
    (HOUR, MINUTE, Shape("tumbling")),
    (36 * HOUR, 6 * HOUR, Shape("tumbling")),
    (7 * DAY, DAY, Shape("tumbling")),
    (MINUTE, 10 * SECOND, Shape("previous")),
    (HOUR, HOUR, Shape("previous")),
    (7 * DAY, DAY, Shape("previous")),
    (MINUTE, SECOND, Shape("lag", lag=SECOND)),
    (HOUR, MINUTE, Shape("lag", lag=HOUR)),
    (DAY, 6 * HOUR, Shape("lag", lag=2 * DAY)),
    (0, 0, Shape("lifetime")),
    (MINUTE + 1, 0, Shape("exact", bound=2)),
    (HOUR, 0, Shape("exact", bound=1)),
    (6 * HOUR, 0, Shape("exact", bound=3)),
    (DAY, 0, Shape("exact", bound=100)),
    *(
        (0, hop, Shape(kind, unit=unit, zone=zone))
        for kind in ("calendar", "previous_calendar")
        for unit, zone, hop in (
            ("hour", "Australia/Lord_Howe", 15 * MINUTE),
            ("hour", "Asia/Kathmandu", MINUTE),
            ("day", "America/St_Johns", 15 * MINUTE),
            ("day", "Africa/Monrovia", 15 * MINUTE),
            ("week", "Europe/Berlin", HOUR),
        )
    ),
)
_NUMBERS = ("sum", "avg", "variance", "stddev", "variance_pop", "stddev_pop", "rate")
_QUANTILES = tuple(
    Aggregation("quantile", name, kind, q=q, accuracy=accuracy, bins=bins)
    for name, kind in (("x", "float64"), ("i", "int64"), ("d", "decimal(18,2)"))
    for q, accuracy, bins in ((500_000, 10_000, 6), (0, 10_000, 6), (950_000, 200_000, 4), (1_000_000, 200_000, 4))
)
_ANY = ("count", "count_distinct", "first", "last")
_LISTS = ("first_n", "last_n", "last_distinct_n", "top_n")
_BY_TYPE = {
    "float64": (*_NUMBERS, "min", "max", *_ANY),
    "int64": (*_NUMBERS, "min", "max", *_ANY),
    "string": ("min", "max", *_ANY),
    "bool": _ANY,
    "decimal(18,2)": (*_NUMBERS, "min", "max", *_ANY),
}
_X, _I = ({"op": "col", "name": name} for name in ("x", "i"))
CONDITIONS: tuple[Ir, ...] = (
    {"op": "col", "name": "b"},
    {"op": "call", "fn": "is_null", "args": [_X]},
    {"op": "call", "fn": "lt", "args": [_X, _I]},
    # Overflows for some rows, which then do not count.
    {"op": "call", "fn": "lt", "args": [{"op": "call", "fn": "add", "args": [_I, _I]}, _I]},
)
AGGREGATIONS = (
    Aggregation("count"),
    Aggregation("time_since_last"),
    Aggregation("rate"),
    Aggregation("count_where"),
    *_QUANTILES,
    *(Aggregation("count_distinct", column.name, column.type, bound=1, precision=4) for column in COLUMNS),
    *(
        Aggregation(agg, column.name, column.type, 3 if agg == "top_n" else None, items=items)
        for column in COLUMNS
        for agg in _LISTS
        for items in (1, 3)
        # Texts in tiles of seconds would exceed what a state may be allowed.
        if column.type != "string" or agg.startswith("last") or (agg, items) == ("first_n", 1)
    ),
    Aggregation("histogram", "x", "float64", edges=(-1.5, 0.0, 1e6)),
    Aggregation("histogram", "i", "int64", edges=(-(2**63), 0, 2)),
    Aggregation("histogram", "d", "decimal(18,2)", edges=(Decimal("-0.01"), Decimal("0.10"))),
    *(
        Aggregation(agg, column.name, column.type, bound)
        for column in COLUMNS
        for agg in _BY_TYPE[column.type]
        for bound in ((1, 2, 3) if agg == "count_distinct" else (None,))
    ),
)

floats = st.one_of(
    st.sampled_from([0.0, -0.0, 0.1, -0.1, 1.5, 1e300, -1e19, 2.0**63, 9.2e18, -9.2e18, 5e-324, 2.0**-65]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(min_value=-1e6, max_value=1e6),
)
integers = st.one_of(
    st.integers(-3, 3), st.sampled_from([2**63 - 1, -(2**63), 2**62]), st.integers(-(2**63), 2**63 - 1)
)
_GREATEST = 10**18 - 1
decimals = st.one_of(
    st.integers(-300, 300),
    st.sampled_from([_GREATEST, -_GREATEST, 10**17, 1, -1, 10]),
    st.integers(-_GREATEST, _GREATEST),
).map(lambda units: f"{Decimal(units).scaleb(-2):f}")
texts = st.one_of(st.sampled_from(["", "a", "b", "é", "\uff5e", "😀", "a" * 129]), st.text(max_size=20))
rows = st.fixed_dictionaries(
    {},
    optional={
        "x": st.none() | floats,
        "i": st.none() | integers,
        "s": st.none() | texts.filter(lambda s: not any("\ud800" <= c <= "\udfff" for c in s)),
        "b": st.none() | st.booleans(),
        "d": st.none() | decimals,
    },
)


SCALES = (SECOND, 10 * SECOND, MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY)


@st.composite
def times(draw: st.DrawFn, scale: int) -> int:
    """Microseconds relative to a base: on the grid of a scale, a microsecond beside it, or elsewhere."""
    own = draw(st.sampled_from([scale, scale, scale, SECOND, *SCALES]))
    return draw(st.integers(-8, 8)) * own + draw(st.sampled_from([0, 0, -1, 1, 500_000]))


@st.composite
def edges(draw: st.DrawFn, *, exact: bool = True) -> tuple[int, int, Shape]:
    """Width, hop and kind of a window."""
    if draw(st.booleans()):
        return draw(st.sampled_from([kind for kind in KINDS if exact or kind[2].kind != "exact"]))
    width, hop = draw(st.sampled_from(WINDOWS))
    return width, hop, SLIDING


@st.composite
def window_specs(
    draw: st.DrawFn, aggregations: Sequence[Aggregation] = AGGREGATIONS, *, exact: bool = True
) -> WindowSpec:
    """A view of one to six features."""
    features = []
    where: dict[str, Ir] = {}
    for number in range(draw(st.integers(1, 6))):
        width, hop, shape = draw(edges(exact=exact))
        what = draw(st.sampled_from(aggregations).filter(lambda what: width or what.agg != "rate"))  # noqa: B023
        if shape.kind in {"previous", "lag", "previous_calendar"}:  # F1
            what = replace(what, precision=None)
        if what.agg == "count_where":
            where[f"f{number}"] = draw(st.sampled_from(CONDITIONS))
            what = replace(what, where=condition(where[f"f{number}"], {c.name: c.type for c in COLUMNS}))
        features.append(WindowFeature(f"f{number}", what, width, hop, shape))
    on_calendars = [f.hop for f in features if f.shape.zone]
    origins = [at for at in (4 * DAY, 0, 12_345_678, -7 * DAY - 1) if all(at % hop == 0 for hop in on_calendars)]
    return WindowSpec(
        features=tuple(features),
        types={f.name: result_type(f.what) for f in features},
        where=where,
        origin=draw(st.sampled_from(origins)),
        head_slack=draw(st.sampled_from([0, 2 * SECOND, MINUTE])),
        back_slack=draw(st.sampled_from([0, 5 * MINUTE, HOUR])),
        head_max=draw(st.sampled_from([1, 2, 5, 256])),
    )


@st.composite
def latest_specs(draw: st.DrawFn) -> LatestSpec:
    """A latest view of all columns."""
    return LatestSpec(
        features={c.name: c.name for c in COLUMNS},
        types={c.name: c.type for c in COLUMNS},
        ttl=draw(st.sampled_from([None, 10 * SECOND, HOUR])),
        head_slack=draw(st.sampled_from([0, 2 * SECOND, MINUTE])),
        head_max=draw(st.sampled_from([1, 2, 5, 256])),
    )


@st.composite
def logs(draw: st.DrawFn, base: int, *, most: int = 30) -> tuple[Record, ...]:
    """A log partition: mostly in order of time, some late, some ahead, some malformed; offsets with gaps."""
    records = []
    offset, wall = 0, base - 8 * DAY
    scale = draw(st.sampled_from(SCALES))
    relative = draw(st.lists(times(scale), min_size=1, max_size=most))
    if draw(st.booleans()):
        relative.sort()
    for at in relative:
        key = draw(st.sampled_from(["k1", "k1", "k1", "k1", "k2", "k2", None]))
        t = base + at
        wall = max(wall, t - draw(st.sampled_from([0, 0, 0, SECOND, 6 * SECOND])))
        payload = payload_of(key, t, draw(rows))
        if draw(st.integers(0, 19)) == 19:
            payload = payload[:-1]
        records.append(Record(Position(1, 0, offset), key, payload, wall))
        offset += draw(st.sampled_from([1, 1, 1, 3]))
    return tuple(records)


@st.composite
def reads(draw: st.DrawFn, records: tuple[Record, ...]) -> Read:
    """A key, a time beside an edge of a window that some record opens or closes, and all or less known."""
    at = draw(st.sampled_from(records)).append_time + draw(st.sampled_from([0, 1, -1, SECOND, 5 * MINUTE, DAY]))
    if draw(st.booleans()):
        width, hop, _ = draw(edges())
        at += width + draw(st.sampled_from([0, 1, -1, hop - 1, hop]))
    known = draw(st.one_of(st.none(), st.none(), st.integers(-1, records[-1].position.offset + 1)))
    return Read(draw(st.sampled_from(["k1", "k1", *KEYS, "stranger"])), at, known, {})


@st.composite
def stream_cases(draw: st.DrawFn, specs: st.SearchStrategy[Any]) -> StreamCase:
    """A view, its log, and reads."""
    base = draw(st.sampled_from(BASES))
    records = draw(logs(base))
    offsets = tuple(r.position.offset for r in records)
    return StreamCase(
        columns=COLUMNS,
        spec=draw(specs),
        records=records,
        arrivals=offsets,
        reads=tuple(draw(st.lists(reads(records), min_size=1, max_size=6))),
        keep=draw(st.sampled_from([None, None, None, _KEEP])),
    )


_KEEP = {"op": "call", "fn": "not", "args": [{"op": "col", "name": "b"}]}


def closed(case: StreamCase, later: int = 0) -> StreamCase:
    """The case with one more record for each key, so that the last flush writes every state.

    When they are much `later` every horizon moves once more, and is then the same for two writers whatever
    their clocks had seen on the way.
    """
    last = case.records[-1]
    wall = max(r.append_time for r in case.records) + later
    end = tuple(
        Record(
            Position(1, 0, last.position.offset + 1 + n),
            key,
            payload_of(key, wall, {"b": False}),
            wall,
        )
        for n, key in enumerate(KEYS)
    )
    records = case.records + end
    return replace(case, records=records, arrivals=tuple(r.position.offset for r in records))


def reordered(case: StreamCase, order: list[int]) -> StreamCase:
    """The same records at other positions: the i-th place of the log holds record `order[i]`.

    Records of one key and time keep their order, since positions decide between them (E2). Verdicts stay
    because every record keeps its append time.
    """
    positions = [r.position for r in case.records]
    moved = [case.records[i] for i in order]
    slots: dict[bytes, list[int]] = {}
    for place, record in enumerate(moved):
        slots.setdefault(_tie(record), []).append(place)
    for places in slots.values():
        for place, i in zip(places, sorted(order[p] for p in places), strict=True):
            moved[place] = case.records[i]
    records = tuple(replace(r, position=p) for r, p in zip(moved, positions, strict=True))
    return replace(case, records=records)


def _tie(record: Record) -> bytes:
    return record.payload.partition(TIME_COLUMN.encode())[2].partition(b",")[0] + KEY_COLUMN.encode()
