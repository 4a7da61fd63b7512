"""Expressions, slowly: docs/semantics.md chapter X and the table of docs/expressions.md, one function each.

`evaluate` walks the JSON document for one row. Transcendentals come from the machine's own library, so they agree with
the kernel only within units in the last place (`APPROXIMATE`); everything else agrees bit for bit.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.cells import Cell, Row, Status, Value

Ir = Mapping[str, Any]
Types = Mapping[str, str]

INT64 = range(-(2**63), 2**63)
EARTH_RADIUS_KM = 6371.0088
RADIANS_PER_DEGREE = 0.017453292519943295
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_INSTANT = -62_135_596_800_000_000
END_OF_INSTANTS = 253_370_764_800_000_000

APPROXIMATE = frozenset({"ln", "exp", "pow", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "haversine_km"})
"""Functions whose last bits are the kernel's own."""


class OverflowedError(Exception):
    """An exact result outside its type: it ends the evaluation."""


def evaluate(ir: Ir, types: Types, row: Row, request_time: int = 0) -> Cell:
    """The value and status of an expression over a row."""
    try:
        value = _value(ir, types, row, request_time)
    except OverflowedError:
        return Cell(None, Status.OVERFLOW)
    return Cell(value, Status.NULL if value is None else Status.PRESENT)


def holds(ir: Ir, types: Types, row: Row) -> bool:
    """Whether a filter lets the row in."""
    return evaluate(ir, types, row).value is True


def result_type(ir: Ir, types: Types) -> str | None:
    """The type of a well-typed expression; None for a null without one."""
    if ir["op"] == "call":
        return _call_type(ir["fn"], [result_type(arg, types) for arg in ir["args"]])
    if ir["op"] == "col":
        return types[ir["name"]]
    if ir["op"] == "request_time":
        return "timestamp"
    return None if ir["type"] == "null" else str(ir["type"])


def uses(ir: Ir) -> frozenset[str]:
    """The names of all functions called."""
    if ir["op"] != "call":
        return frozenset()
    return frozenset({ir["fn"]}).union(*(uses(arg) for arg in ir["args"]))


_RESULTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "is_null", "is_weekend", "contains"), "bool"
    ),
    **dict.fromkeys(("mod", "to_int", "hour", "minute", "weekday", "day", "month", "year", "length"), "int64"),
    **dict.fromkeys(APPROXIMATE | {"div", "sqrt", "to_float"}, "float64"),
}


def _call_type(name: str, args: Sequence[str | None]) -> str | None:
    if name in _RESULTS:
        return _RESULTS[name]
    if name == "case":
        return _common([*args[1::2], args[-1]])
    if name == "nullif":
        return args[0]
    if name == "element":
        return str(args[0]).removeprefix("list<").removesuffix(">")
    if name in {"add", "sub"} and "timestamp" in args:
        return "int64" if args == ["timestamp", "timestamp"] else "timestamp"
    return _common(args)


def _common(types: Sequence[str | None]) -> str | None:
    known = {kind for kind in types if kind is not None}
    if known == {"int64", "float64"}:
        return "float64"
    assert len(known) <= 1, known
    return known.pop() if known else None


def _value(ir: Ir, types: Types, row: Row, time: int) -> Value:
    if ir["op"] == "col":
        return _finite(row.get(ir["name"]))
    if ir["op"] == "request_time":
        return time
    if ir["op"] == "lit":
        return _literal(ir)
    if ir["fn"] == "case":
        return _widened(_value(_chosen(ir["args"], types, row, time), types, row, time), ir, types)
    # A generator: what is not asked for is not evaluated.
    values = (_value(arg, types, row, time) for arg in ir["args"])
    lazily = _LAZY.get(ir["fn"])
    value = lazily(values) if lazily else _strict(ir["fn"], list(values))
    return _widened(value, ir, types)


def _widened(value: Value, ir: Ir, types: Types) -> Value:
    """An integer among doubles becomes one."""
    return float(value) if type(value) is int and result_type(ir, types) == "float64" else value


def _chosen(args: Sequence[Ir], types: Types, row: Row, time: int) -> Ir:
    """X4: the value of `case` whose condition is the first that is true."""
    for condition, chosen in zip(args[:-1:2], args[1::2], strict=True):
        if _value(condition, types, row, time) is True:
            return chosen
    return args[-1]


def _literal(ir: Ir) -> Value:
    if ir["value"] is None:
        return None
    match ir["type"]:
        case "int64" | "timestamp":
            return int(ir["value"])
        case "float64":
            return float(ir["value"]) + 0.0
    value: Value = ir["value"]
    return value


def _strict(name: str, values: Sequence[Value]) -> Value:
    """X2: any null gives null."""
    if any(x is None for x in values):
        return None
    return _finite(_STRICT[name](*values))


def _logic(decides: bool) -> Callable[[Iterator[Value]], Value]:
    def run(values: Iterator[Value]) -> Value:
        unknown = False
        for x in values:
            if x is decides:
                return decides
            unknown = unknown or x is None
        return None if unknown else not decides

    return run


def _coalesce(values: Iterator[Value]) -> Value:
    return next((x for x in values if x is not None), None)


def _nullif(values: Iterator[Value]) -> Value:
    a, b = values
    return None if a is not None and b is not None and a == b else a


def _finite(x: Value) -> Value:
    """X7: not finite is null; the zero has no sign."""
    if isinstance(x, float):
        return x + 0.0 if math.isfinite(x) else None
    return [_finite(item) for item in x] if isinstance(x, list) else x


def _order(x: Any) -> Any:
    return x.encode() if isinstance(x, str) else x


def _int64(x: int) -> int:
    if x not in INT64:
        raise OverflowedError
    return x


def _arithmetic(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Value]:
    def run(a: Any, b: Any) -> Value:
        if isinstance(a, int) and isinstance(b, int):
            return _int64(operation(a, b))
        return float(operation(float(a), float(b)))

    return run


def _sign_change(operation: Callable[[Any], Any]) -> Callable[[Any], Value]:
    def run(x: Any) -> Value:
        return _int64(operation(x)) if isinstance(x, int) else float(operation(x))

    return run


def _comparison(operation: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Value]:
    return lambda a, b: operation(_order(a), _order(b))


def _of_doubles(function: Callable[..., float]) -> Callable[..., Value]:
    def run(*args: Any) -> Value:
        try:
            return function(*map(float, args))
        except (ValueError, OverflowError):
            return None

    return run


def _div(a: Any, b: Any) -> Value:
    return None if b == 0 else float(a) / float(b)


def _mod(a: int, b: int) -> Value:
    return None if b == 0 else a % abs(b)


def _clip(x: Any, low: Any, high: Any) -> Value:
    if any(isinstance(bound, float) for bound in (x, low, high)):
        x, low, high = float(x), float(low), float(high)
    clipped: Value = min(max(x, low), high)
    return clipped


def _haversine(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    if abs(lat1) > 90 or abs(lat2) > 90:
        return math.nan
    half_lat = math.sin((lat2 - lat1) * RADIANS_PER_DEGREE / 2)
    half_lon = math.sin((lon2 - lon1) * RADIANS_PER_DEGREE / 2)
    across = math.cos(lat1 * RADIANS_PER_DEGREE) * math.cos(lat2 * RADIANS_PER_DEGREE)
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half_lat**2 + across * half_lon**2)))


def _element(items: Any, place: int) -> Value:
    """X21: places count from 1."""
    found: Value = items[place - 1] if 1 <= place <= len(items) else None
    return found


def _to_int(x: Any) -> Value:
    return _int64(int(x))


@cache
def zone_of(name: str) -> ZoneInfo:
    """A zone of the pinned data."""
    # The package's data, never the machine's, whose history before 1970 differs by distributor.
    with files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, name)


def _local(part: Callable[[datetime], Value]) -> Callable[[int, str], Value]:
    def run(instant: int, zone: str) -> Value:
        if not FIRST_INSTANT <= instant < END_OF_INSTANTS:
            raise OverflowedError
        return part((EPOCH + timedelta(microseconds=instant)).astimezone(zone_of(zone)))

    return run


_LAZY: Mapping[str, Callable[[Iterator[Value]], Value]] = {
    "and": _logic(decides=False),
    "or": _logic(decides=True),
    "coalesce": _coalesce,
    "nullif": _nullif,
    "is_null": lambda values: next(values) is None,
}
"""Functions with a null rule of their own; they take what they need."""

_STRICT: Mapping[str, Callable[..., Value]] = {
    "add": _arithmetic(lambda a, b: a + b),
    "sub": _arithmetic(lambda a, b: a - b),
    "mul": _arithmetic(lambda a, b: a * b),
    "div": _div,
    "mod": _mod,
    "neg": _sign_change(lambda x: -x),
    "abs": _sign_change(abs),
    "eq": _comparison(lambda a, b: a == b),
    "ne": _comparison(lambda a, b: a != b),
    "lt": _comparison(lambda a, b: a < b),
    "le": _comparison(lambda a, b: a <= b),
    "gt": _comparison(lambda a, b: a > b),
    "ge": _comparison(lambda a, b: a >= b),
    "not": lambda x: not x,
    "clip": _clip,
    "least": lambda *values: min(values, key=_order),
    "greatest": lambda *values: max(values, key=_order),
    "sqrt": _of_doubles(math.sqrt),
    "ln": _of_doubles(math.log),
    "exp": _of_doubles(math.exp),
    "pow": _of_doubles(math.pow),
    "sin": _of_doubles(math.sin),
    "cos": _of_doubles(math.cos),
    "tan": _of_doubles(math.tan),
    "asin": _of_doubles(math.asin),
    "acos": _of_doubles(math.acos),
    "atan": _of_doubles(math.atan),
    "atan2": _of_doubles(math.atan2),
    "haversine_km": _of_doubles(_haversine),
    "hour": _local(lambda t: t.hour),
    "minute": _local(lambda t: t.minute),
    "weekday": _local(lambda t: t.isoweekday()),
    "day": _local(lambda t: t.day),
    "month": _local(lambda t: t.month),
    "year": _local(lambda t: t.year),
    "is_weekend": _local(lambda t: t.isoweekday() >= 6),
    "length": len,
    "contains": lambda items, x: any(item == x for item in items),
    "element": _element,
    "to_float": float,
    "to_int": _to_int,
}
