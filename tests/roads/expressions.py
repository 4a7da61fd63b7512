"""The cases of tests/spec/expressions/, and the kernel's road to their results."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from skewless import kernel
from skewless.definitions.expressions import translate
from tests.oracle.cells import Cell, Status, Value, same_value
from tests.oracle.expressions import Ir, result_type

SPEC = Path(__file__).parents[1] / "spec" / "expressions"
ARROW: Mapping[str, pa.DataType] = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "timestamp": pa.int64(),
}
ARROW = {**ARROW, **{f"list<{name}>": pa.list_(kind) for name, kind in ARROW.items()}}


@dataclass(frozen=True)
class ExpressionCase:
    """One expression over a few rows."""

    name: str
    ir: Ir
    types: Mapping[str, str]
    rows: tuple[Mapping[str, Value], ...]
    request_time: int
    expect: tuple[Cell, ...]
    ulps: int
    """How many units in the last place another implementation may be off."""
    within_km: float


def cases() -> list[ExpressionCase]:
    """Every case, in the order of files."""
    return [_read(path.stem, raw) for path in sorted(SPEC.glob("*.yaml")) for raw in _load(path)["cases"]]


def _load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    assert (document["format"], document["kind"]) == (1, "expression"), path
    return document


def _read(where: str, raw: Mapping[str, Any]) -> ExpressionCase:
    columns = raw.get("columns", {})
    types = {name: column["type"] for name, column in columns.items()}
    count = len(raw["expect"])
    lists = {name: column["values"] for name, column in columns.items()}
    assert all(len(values) == count for values in lists.values()), raw["name"]
    ir = raw["ir"] if "ir" in raw else ir_of(raw["sql"])
    kind = result_type(ir, types)
    values = [float(x) if kind == "float64" and x is not None else x for x in raw["expect"]]
    statuses = raw.get("status", ["NULL" if x is None else "PRESENT" for x in values])
    return ExpressionCase(
        name=f"{where}: {raw['name']}",
        ir=ir,
        types=types,
        rows=tuple({name: cells[row] for name, cells in lists.items()} for row in range(count)),
        request_time=raw.get("request_time_us", 0),
        expect=tuple(Cell(x, Status[status]) for x, status in zip(values, statuses, strict=True)),
        ulps=raw.get("ulps", 0),
        within_km=raw.get("within_km", 0.0),
    )


def ir_of(sql: str) -> Ir:
    """The JSON form of a text without faults."""
    found = translate(sql)
    assert found.document is not None, [str(fault) for fault in found.faults]
    return found.document


def by_kernel(
    ir: Ir, types: Mapping[str, str], rows: Sequence[Mapping[str, Value]], request_times: Sequence[int]
) -> list[Cell]:
    """What the kernel answers for a batch of rows."""
    # A column more than the expression reads: a batch without any would have no rows either.
    arrays = {name: pa.array([row.get(name) for row in rows], ARROW[kind]) for name, kind in types.items()}
    batch = pa.record_batch({**arrays, "$row": pa.array(range(len(rows)), pa.int64())})
    document = json.dumps(ir).encode()
    result = pa.record_batch(kernel.evaluate_expression(document, dict(types), batch, request_times))
    values, statuses = result["value"].to_pylist(), result["status"].to_pylist()
    return [Cell(value, Status(status)) for value, status in zip(values, statuses, strict=True)]


def near(a: Cell, b: Cell, *, ulps: int = 0, within: float = 0.0) -> bool:
    """Whether the cells are the same, or doubles at most so far apart."""
    if a.status is not b.status:
        return False
    if not (isinstance(a.value, float) and isinstance(b.value, float)):
        return same_value(a.value, b.value)
    if a.same(b):
        return True
    return abs(a.value - b.value) <= max(ulps * math.ulp(max(abs(a.value), abs(b.value))), within)
