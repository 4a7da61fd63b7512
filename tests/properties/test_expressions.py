"""Expressions: the kernel is the oracle, and a row alone is a row in a batch.

The depths of conftest.py hold: a failure prints what reproduces it and shrinks to a case for tests/spec/expressions.
"""

import json
import math
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skewless import kernel
from skewless.definitions.expressions import translate
from tests.oracle.cells import Value
from tests.oracle.expressions import EARTH_RADIUS_KM, Ir, evaluate, result_type
from tests.roads.expressions import by_kernel, near

TYPES: Mapping[str, str] = {
    **dict.fromkeys(("i", "j"), "int64"),
    **dict.fromkeys(("x", "y"), "float64"),
    **dict.fromkeys(("b", "c"), "bool"),
    **dict.fromkeys(("s", "u"), "string"),
    **dict.fromkeys(("t", "v"), "timestamp"),
    **dict.fromkeys(("is", "js"), "list<int64>"),
    **dict.fromkeys(("xs", "ys"), "list<float64>"),
    **dict.fromkeys(("ss", "us"), "list<string>"),
}
ZONES = ("UTC", "America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")
YEAR = 31_556_952_000_000
EDGES = (0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63))

WORDS = (
    *("a", "1", "2.5", "'x'", "(", ")", "+", "-", "*", "/", "%", "=", "<", ",", "f(", ".", "\n", "CAST", "AS"),
    *("AND", "OR", "NOT", "IS", "NULL", "IN", "BETWEEN", "CASE", "WHEN", "THEN", "ELSE", "END", "DOUBLE"),
)

integers = st.sampled_from(EDGES) | st.integers(-20, 20) | st.integers(-(2**63), 2**63 - 1)
floats = st.sampled_from([0.0, -0.0, 0.5, 2.0**53, 2.0**63, 1e308, 5e-324]) | st.floats()
finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.sampled_from(["", "a", "ab", "é", "\ufffd", "\U0001f600"])
instants = st.sampled_from(EDGES) | st.integers(-170 * YEAR, 150 * YEAR)
CELLS: Mapping[str, st.SearchStrategy[Value]] = {
    "int64": integers,
    "float64": floats,
    "bool": st.booleans(),
    "string": texts,
    "timestamp": instants,
}
SMALL: Mapping[str, st.SearchStrategy[Value]] = {
    "list<int64>": st.sampled_from(EDGES) | st.integers(-2, 2),
    "list<float64>": st.sampled_from([0.0, -0.0, 1.0, 2.0**53, -(2.0**63)]) | finite,
    "list<string>": texts,
}
"""Items that are often those of another list, by the type of the list."""
LISTS: Mapping[str, st.SearchStrategy[Value]] = {
    kind: st.lists(items, max_size=3).map(list[Any]) for kind, items in SMALL.items()
}
rows = st.fixed_dictionaries({name: st.none() | {**CELLS, **LISTS}[kind] for name, kind in TYPES.items()})


def literal(kind: str) -> st.SearchStrategy[Ir]:
    if kind == "float64":
        return finite.map(_lit(kind))
    if kind in {"int64", "timestamp"}:
        return CELLS[kind].map(str).map(_lit(kind))
    return CELLS[kind].map(_lit(kind))


def _lit(kind: str) -> Any:
    return lambda value: {"op": "lit", "type": kind, "value": value}


def call(name: str, *args: st.SearchStrategy[Ir]) -> st.SearchStrategy[Ir]:
    return st.tuples(*args).map(lambda found: {"op": "call", "fn": name, "args": list(found)})


def calls(names: str, *args: st.SearchStrategy[Ir]) -> list[st.SearchStrategy[Ir]]:
    return [call(name, *args) for name in names.split()]


def leaf(kind: str) -> st.SearchStrategy[Ir]:
    columns: list[Ir] = [{"op": "col", "name": name} for name, own in TYPES.items() if own == kind]
    null = {"op": "lit", "type": kind, "value": None}
    if kind == "timestamp":
        columns.append({"op": "request_time"})
    return st.sampled_from([*columns, *columns, null]) | literal(kind)


def lists(kind: str) -> st.SearchStrategy[Ir]:
    """Lists come from columns, or a choice of them."""
    names = [name for name, own in TYPES.items() if own == kind]
    column = st.sampled_from(names).map(lambda name: {"op": "col", "name": name})
    return column | call("coalesce", column, column) | call("nullif", column, column)


def trees(kind: str, depth: int) -> st.SearchStrategy[Ir]:
    """Well-typed expressions of exact functions: their results agree bit for bit."""
    if depth == 0:
        return leaf(kind)
    sub = {own: trees(own, depth - 1) for own in CELLS}
    i, x, b, s, t = (sub[own] for own in ("int64", "float64", "bool", "string", "timestamp"))
    number = i | x
    zone = st.sampled_from(ZONES).map(_lit("string"))
    own = sub[kind]
    ints, doubles, words = (lists(f"list<{item}>") for item in ("int64", "float64", "string"))
    place = st.integers(-1, 4).map(str).map(_lit("int64")) | i
    chosen = [
        call("case", b, own, b, own, own),
        call("case", b, own, st.just({"op": "lit", "type": "null", "value": None})),
        call("coalesce", own, own),
        call("nullif", own, number if kind in {"int64", "float64"} else own),
        *calls("least greatest", own, own),
    ]
    made: Mapping[str, Sequence[st.SearchStrategy[Ir]]] = {
        "int64": [
            *calls("add sub mul mod", i, i),
            *calls("neg abs", i),
            call("sub", t, t),
            call("clip", i, i, i),
            call("length", ints | doubles | words),
            call("element", ints, place),
            *calls("hour minute weekday day month year", t, zone),
            *(one for of in (i, x, b) for one in calls("to_int", of)),
        ],
        "float64": [
            *(one for pair in ((x, x), (i, x), (x, i)) for one in calls("add sub mul", *pair)),
            call("div", number, number),
            *calls("neg abs", x),
            call("sqrt", number),
            call("element", doubles, place),
            call("clip", x, number, number),
            *(one for of in (i, x, b) for one in calls("to_float", of)),
            *calls("least greatest coalesce", x, i),
        ],
        "bool": [
            *(one for pair in ((number, number), (s, s), (t, t)) for one in calls("eq ne lt le gt ge", *pair)),
            *calls("and or", b, b, b),
            call("not", b),
            call("is_null", number | s | t | b),
            call("is_weekend", t, zone),
            call("contains", ints | doubles, number),
            call("contains", words, s),
            *(one for of in (ints, doubles, words) for one in calls("eq ne", of, of)),
            call("is_null", ints | doubles | words),
        ],
        "string": [call("element", words, place)],
        "timestamp": [call("add", t, i), call("add", i, t), call("sub", t, i)],
    }
    return st.one_of(leaf(kind), *chosen, *made[kind])


expressions = st.one_of(*(trees(kind, depth) for kind in CELLS for depth in (1, 2, 3)))


@given(ir=expressions, batch=st.lists(st.tuples(rows, instants), min_size=1, max_size=5))
def test_the_kernel_gives_what_the_oracle_gives(ir: Ir, batch: list[tuple[Mapping[str, Value], int]]) -> None:
    document = json.dumps(ir).encode()
    assert kernel.check_expression(document, dict(TYPES)) == result_type(ir, TYPES)
    found = by_kernel(ir, TYPES, [row for row, _ in batch], [time for _, time in batch])
    for (row, time), cell in zip(batch, found, strict=True):
        expected = evaluate(ir, TYPES, row, time)
        assert cell.same(expected), (row, time, cell, expected)


TRANSCENDENTALS = {
    "ln": 1, "exp": 1, "sin": 1, "cos": 1, "tan": 1, "asin": 1, "acos": 1, "atan": 1, "atan2": 2, "pow": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSCENDENTALS)
@given(data=st.data())
def test_transcendentals_agree_within_two_units_in_the_last_place(name: str, data: st.DataObject) -> None:
    near_one = st.floats(-1, 1)
    ordinary = st.floats(-1e3, 1e3)
    names = ("x", "y")[: TRANSCENDENTALS[name]]
    row = {column: data.draw(near_one | ordinary | finite, label=column) for column in names}
    ir = {"op": "call", "fn": name, "args": [{"op": "col", "name": column} for column in names]}
    (cell,) = by_kernel(ir, TYPES, [row], [0])
    expected = evaluate(ir, TYPES, row)
    assert near(cell, expected, ulps=2), (cell, expected)


@given(places=st.tuples(st.floats(-91, 91), st.floats(-360, 360), st.floats(-91, 91), st.floats(-360, 360)))
def test_distances_agree(places: tuple[float, float, float, float]) -> None:
    types = dict.fromkeys("abcd", "float64")
    row = dict(zip("abcd", places, strict=True))
    ir = {"op": "call", "fn": "haversine_km", "args": [{"op": "col", "name": name} for name in "abcd"]}
    (cell,) = by_kernel(ir, types, [row], [0])
    expected = evaluate(ir, types, row)
    assert near(cell, expected, ulps=8, within=spread(expected.value)), (cell, expected)


def spread(kilometres: Value) -> float:
    """What sixteen roundings of the sum of squares move the distance: little, but a metre near antipodes.

    Squares of the tiniest angles are subnormal, and rounded to multiples of 2^-1074.
    """
    if not isinstance(kilometres, float):
        return 0.0
    rounding = 16 * sys.float_info.epsilon
    slope = abs(math.tan(kilometres / (2 * EARTH_RADIUS_KM)))
    subnormal = 2 * math.sqrt(16 * math.ulp(0.0))
    return EARTH_RADIUS_KM * (min(rounding * slope, 2 * math.sqrt(rounding)) + subnormal)


@given(
    ir=expressions
    | st.sampled_from([*TRANSCENDENTALS]).map(
        lambda name: {
            "op": "call",
            "fn": name,
            "args": [{"op": "col", "name": column} for column in ("x", "y")[: TRANSCENDENTALS[name]]],
        }
    ),
    batch=st.lists(st.tuples(rows, instants), min_size=1, max_size=8),
)
def test_a_row_alone_gives_the_bits_it_gives_in_a_batch(ir: Ir, batch: list[tuple[Mapping[str, Value], int]]) -> None:
    together = by_kernel(ir, TYPES, [row for row, _ in batch], [time for _, time in batch])
    for (row, time), cell in zip(batch, together, strict=True):
        (alone,) = by_kernel(ir, TYPES, [row], [time])
        assert alone.same(cell)


@given(
    text=st.text(max_size=40)
    | st.lists(
        st.sampled_from(WORDS),
        max_size=25,
    ).map(" ".join)
)
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    found = translate(text)
    assert (found.document is None) == bool(found.faults)
    lines = text.split("\n")
    for fault in found.faults:
        assert 1 <= fault.line <= len(lines)
        assert 1 <= fault.column <= len(lines[fault.line - 1]) + 1
    if found.document is not None:
        assert found.place("$")[0] >= 1


@given(x=finite)
def test_a_double_survives_its_text(x: float) -> None:
    found = translate(repr(x))
    assert found.document is not None
    value = found.document["value"] if found.document["op"] == "lit" else math.nan
    assert struct.pack(">d", value) == struct.pack(">d", x + 0.0)
