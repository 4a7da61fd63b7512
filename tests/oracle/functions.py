"""Python functions as features (docs/semantics.md, X13 to X17), called where one stands."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from tests.oracle.cells import Cell, Status, Value

_UNKNOWN = (Status.NOT_ANSWERABLE, Status.REBUILDING, Status.UNAVAILABLE, Status.NOT_COMPUTED)
_FAILED = Cell(None, Status.FUNCTION_FAILED)


def call(
    function: Callable[..., Any], request: Mapping[str, Value], inputs: Mapping[str, Cell], request_time: int, kind: str
) -> Cell:
    """The feature's value; `function` is called as X15 says, and X16 says what its answer is."""
    unknown = [cell.status for cell in inputs.values() if cell.status in _UNKNOWN]
    if unknown:
        return Cell(None, max(unknown))
    given: dict[str, Value] = dict(request)
    for name, cell in inputs.items():
        given[name] = cell.value if cell.status in (Status.PRESENT, Status.PARTIAL) else None
    read = {name: _read(value) for name, value in given.items()}
    if "request_time_us" in function.__code__.co_varnames[: function.__code__.co_argcount]:
        read["request_time_us"] = request_time
    try:
        found = _cell(function(**read), kind)
    except Exception:  # noqa: BLE001 (X16: whatever it raises)
        return _FAILED
    is_partial = any(cell.status is Status.PARTIAL for cell in inputs.values())
    return Cell(found.value, Status.PARTIAL) if is_partial and found.status is Status.PRESENT else found


def _read(value: Value) -> Value:
    """N3, also of items."""
    if isinstance(value, list):
        return [item + 0.0 if isinstance(item, float) else item for item in value]
    return value + 0.0 if isinstance(value, float) else value


def _cell(value: Any, kind: str) -> Cell:
    if value is None:
        return Cell(None, Status.NULL)
    if kind == "float64" and type(value) is int and abs(value) < 2**1023 and int(float(value)) == value:
        value = float(value)
    if kind.startswith("list<"):
        return _list(value, kind.removeprefix("list<").removesuffix(">"))
    wanted = {"int64": "int", "timestamp": "int", "float64": "float", "bool": "bool", "string": "str"}[kind]
    if type(value).__name__ != wanted or not _fits(value, kind):
        return _FAILED
    if kind == "float64":
        return Cell(value + 0.0, Status.PRESENT) if math.isfinite(value) else Cell(None, Status.NULL)
    if kind == "int64" and not -(2**63) <= value < 2**63:
        return Cell(None, Status.OVERFLOW)
    return Cell(value, Status.PRESENT)


def _list(value: Any, of: str) -> Cell:
    """X22: each item is judged alone, and none may be without a value."""
    if not isinstance(value, list | tuple) or len(value) > 1000:
        return _FAILED
    cells = [_cell(item, of) for item in value]
    wrong = [cell for cell in cells if cell.status is not Status.PRESENT]
    if wrong:
        return wrong[0] if wrong[0].status is Status.OVERFLOW else _FAILED
    if sum(len(item.encode()) for item in value if isinstance(item, str)) > 64 * 1024:
        return _FAILED
    return Cell([cell.value for cell in cells], Status.PRESENT)


def _fits(value: Any, kind: str) -> bool:
    if kind == "timestamp":
        return bool(-62_135_596_800_000_000 <= value <= 253_402_300_799_999_999)
    # Encoding raises for half of a surrogate pair.
    return kind != "string" or len(value.encode()) <= 64 * 1024
