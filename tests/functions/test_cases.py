"""Every case of tests/spec/functions by the kernel with a process that calls, and by the oracle."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from skewless import kernel
from skewless.functions.pool import FunctionPool
from tests.functions import samples
from tests.kernel.test_meaning import canonical
from tests.oracle.cells import Cell, Status
from tests.oracle.functions import call
from tests.roads.cases import DEFAULT_DAY, SPEC, duration, instant, load, typed

ARROW = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
ARROW |= {f"list<{name}>": pa.list_(kind) for name, kind in ARROW.items()}
CASES: list[dict[str, Any]] = [
    case
    for path in sorted((SPEC / "functions").glob("*.yaml"))
    if load(path)["kind"] == "function"
    for case in load(path)["cases"]
]


@dataclass(frozen=True)
class Given:
    """A case as the roads take it."""

    kind: str
    request: Mapping[str, tuple[str, Any]]
    inputs: Mapping[str, tuple[str, Cell]]
    at: int
    budget_us: int
    function: Any

    @property
    def arguments(self) -> list[str]:
        """The parameters that are columns, or the request time."""
        have = {*self.request, *self.inputs, "request_time_us"}
        return [name for name in inspect.signature(self.function).parameters if name in have]


def given(case: Mapping[str, Any]) -> Given:
    samples.install()
    inputs = case.get("inputs", {})
    return Given(
        kind=case["type"],
        request={
            name: (raw["type"], typed(raw["value"], raw["type"])) for name, raw in case.get("request", {}).items()
        },
        inputs={
            name: (raw["type"], Cell(typed(raw["value"], raw["type"]), Status[raw.get("status", "PRESENT")]))
            for name, raw in inputs.items()
        },
        at=instant(case.get("at", 0)),
        budget_us=duration(case.get("budget", "50000us")),
        function=getattr(importlib.import_module(samples.SCORING), case["function"]),
    )


def expected(case: Mapping[str, Any]) -> Cell:
    raw = case["expect"]
    if raw is None:
        return Cell(None, Status.NULL)
    if isinstance(raw, dict):
        return Cell(typed(raw.get("value"), case["type"], DEFAULT_DAY), Status[raw["status"]])
    return Cell(typed(raw, case["type"], DEFAULT_DAY), Status.PRESENT)


@pytest.fixture(scope="module")
def pool() -> Iterator[FunctionPool]:
    samples.install()
    found = FunctionPool([samples.SCORING], 1)
    yield found
    found.close()


def view_of(what: Given) -> kernel.OnDemandView:
    pin = {"view": "v", "version": "1.0.0", "feature": "f", "meaning": "0" * 64}
    function = {
        "module": samples.SCORING,
        "name": what.function.__name__,
        "source": samples.SOURCE.hex(),
        "arguments": what.arguments,
        "budget_us": what.budget_us,
    }
    document = {
        "format": 1,
        "semantics": kernel.SEMANTICS_REVISION,
        "kind": "on_demand_view",
        "project": "shop",
        "name": "scores",
        "request": [{"name": name, "type": kind} for name, (kind, _) in what.request.items()],
        "inputs": [{"name": name, "type": kind, **pin} for name, (kind, _) in what.inputs.items()],
        "features": [{"name": "found", "type": what.kind, "function": function}],
    }
    return kernel.OnDemandView(canonical(document))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_kernel_and_a_process(case: dict[str, Any], pool: FunctionPool) -> None:
    what = given(case)
    view = view_of(what)
    # Three rows of one kind: a row is not touched by what comes before it.
    columns: dict[str, pa.Array] = {"": pa.array([0] * 3)}
    for name, (kind, value) in what.request.items():
        columns[name] = pa.array([value] * 3, ARROW[kind])
    for name, (kind, cell) in what.inputs.items():
        columns[name] = pa.array([cell.value] * 3, ARROW[kind])
        columns[f"{name}__status"] = pa.array([int(cell.status)] * 3, pa.uint8())
    batch, times = pa.record_batch(columns), pa.array([what.at] * 3, pa.int64())
    arguments, digests = view.arguments("found", batch, times)
    assert len(digests) == 48
    assert digests[:16] == digests[16:32]
    results = {}
    if arguments is not None:
        function = samples.ref(what.function.__name__, what.kind, tuple(what.arguments), what.budget_us)
        results["found"] = pool.run(function, arguments, tries=2)
    answer = pa.record_batch(view.evaluate(batch, times, results))
    numbers = {"timestamp": pa.int64(), "list<timestamp>": pa.list_(pa.int64())}
    values = answer["found"].cast(numbers.get(what.kind, ARROW[what.kind]))
    for value, status in zip(values.to_pylist(), answer["found__status"].to_pylist(), strict=True):
        found = Cell(value, Status(status))
        assert found.same(expected(case)), (found, expected(case))


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if expected(case).status is not Status.NOT_COMPUTED or "inputs" in case],
    ids=lambda case: case["name"],
)
def test_the_oracle(case: dict[str, Any]) -> None:
    what = given(case)
    request = {name: value for name, (_, value) in what.request.items()}
    inputs = {name: cell for name, (_, cell) in what.inputs.items()}
    found = call(what.function, request, inputs, what.at, what.kind)
    assert found.same(expected(case)), (found, expected(case))
