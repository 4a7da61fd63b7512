"""On-demand views through the door: values and statuses of many rows at once."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from skewless import kernel
from tests.kernel.test_meaning import HOUR, canonical
from tests.roads.expressions import ir_of

PRESENT, NULL, NOT_FOUND, PARTIAL, OVERFLOW, REBUILDING = 1, 2, 3, 5, 6, 9
AMOUNT, AVERAGE, COUNT = ({"op": "col", "name": name} for name in ("amount", "avg", "count"))


def call(function: str, *args: dict[str, Any]) -> dict[str, Any]:
    return {"op": "call", "fn": function, "args": list(args)}


def meaning() -> bytes:
    pin = {"view": "departures", "version": "1.0.0", "meaning": "0" * 64}
    largest = {"op": "lit", "type": "int64", "value": str(2**63 - 1)}
    return canonical(
        {
            "format": 1,
            "semantics": kernel.SEMANTICS_REVISION,
            "kind": "on_demand_view",
            "project": "flights",
            "name": "deviations",
            "request": [{"name": "amount", "type": "float64"}, {"name": "unread", "type": "string"}],
            "inputs": [
                {"name": "avg", "feature": "avg", "type": "float64", **pin},
                {"name": "count", "feature": "count", "type": "int64", **pin},
            ],
            "features": [
                {"name": "deviation", "type": "float64", "expr": call("sub", AMOUNT, AVERAGE)},
                {"name": "more", "type": "int64", "expr": call("add", COUNT, largest)},
                {"name": "at", "type": "timestamp", "expr": {"op": "request_time"}},
            ],
        }
    )


def columns(statuses: list[int]) -> dict[str, pa.Array]:
    rows = len(statuses)
    return {
        "amount": pa.array([10.0] * rows, pa.float64()),
        "avg": pa.array([4.0] * rows, pa.float64()),
        "avg__status": pa.array(statuses, pa.uint8()),
        "count": pa.array([1] * rows, pa.int64()),
        "count__status": pa.array([NOT_FOUND] + [PRESENT] * (rows - 1), pa.uint8()),
    }


def test_values_and_statuses_follow_the_inputs() -> None:
    statuses = [PRESENT, NULL, PARTIAL, REBUILDING]
    times = pa.array([row * HOUR for row in range(4)], pa.int64())
    batch = pa.record_batch(columns(statuses))
    out = pa.record_batch(kernel.OnDemandView(meaning()).evaluate(batch, times))
    assert out.schema.names == [name for f in ("deviation", "more", "at") for name in (f, f"{f}__status")]
    assert out["deviation"].to_pylist() == [6.0, None, 6.0, None]
    assert out["deviation__status"].to_pylist() == [PRESENT, NULL, PARTIAL, REBUILDING]
    assert out["more__status"].to_pylist() == [NULL, OVERFLOW, OVERFLOW, OVERFLOW]
    assert out["more"].null_count == 4
    assert out["at"].to_pylist() == [datetime(1970, 1, 1, hour, tzinfo=UTC) for hour in range(4)]
    assert out["deviation__status"].type == pa.uint8()


def lists_view() -> kernel.OnDemandView:
    """On-demand features of a list of the request and of a stored one."""
    document = json.loads(meaning())
    given, stored = ({"op": "col", "name": name} for name in ("given", "stored"))
    pin = {"view": "departures", "version": "1.0.0", "meaning": "0" * 64, "feature": "recent"}
    document["request"] = [{"name": "given", "type": "list<float64>"}, {"name": "names", "type": "list<string>"}]
    document["inputs"] = [{"name": "stored", "type": "list<float64>", **pin}]
    first = {"op": "lit", "type": "int64", "value": "1"}
    document["features"] = [
        {"name": "many", "type": "int64", "expr": call("length", stored)},
        {"name": "known", "type": "bool", "expr": call("contains", given, call("element", stored, first))},
        {"name": "either", "type": "list<float64>", "expr": call("coalesce", stored, given)},
        {"name": "names", "type": "list<string>", "expr": {"op": "col", "name": "names"}},
    ]
    return kernel.OnDemandView(canonical(document))


@pytest.mark.parametrize("list_of", [pa.list_, pa.large_list])
def test_lists_follow_the_inputs_and_their_statuses(list_of: Callable[[pa.DataType], pa.DataType]) -> None:
    floats, texts = list_of(pa.float64()), list_of(pa.string())
    given = pa.array([[9.0], [1.5, -0.0], [], None, [2.0], [2.0]], floats)
    stored = pa.array([[9.0], [0.0, 2.0], [], [5.0], [2.0], [2.0]], floats)
    statuses = pa.array([PRESENT, PRESENT, PRESENT, NULL, PARTIAL, REBUILDING], pa.uint8())
    names = pa.array([["a"], [], None, ["é", ""], ["a"], ["a"]], texts)
    columns = {"given": given, "stored": stored, "stored__status": statuses, "names": names}
    batch = pa.record_batch(columns)
    # A part of a batch has offsets that do not begin at 0.
    for rows in (slice(0, 6), slice(1, 6), slice(3, 6)):
        part = batch.slice(rows.start)
        times = pa.array([0] * len(part), pa.int64())
        out = pa.record_batch(lists_view().evaluate(part, times))
        assert out["many"].to_pylist() == [1, 2, 0, None, 1, None][rows]
        assert out["many__status"].to_pylist() == [PRESENT, PRESENT, PRESENT, NULL, PARTIAL, REBUILDING][rows]
        assert out["known"].to_pylist() == [True, True, None, None, True, None][rows]
        assert out["either"].to_pylist() == [[9.0], [0.0, 2.0], [], None, [2.0], None][rows]
        assert out["either"].type == pa.list_(pa.float64())
        assert out["names"].to_pylist() == names.to_pylist()[rows]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pa.array([[1.0, None]]), "has an item that is null"),
        (pa.array([[float("nan")]]), "no finite number"),
        (pa.array([[1]], pa.list_(pa.int64())), "must be float64"),
        (pa.array([1.0]), "must be list<float64>"),
        (pa.array([[0.0] * 1001]), "has 1001 items; at most 1000"),
    ],
)
def test_lists_with_other_items_are_refused(given: pa.Array, message: str) -> None:
    columns = {
        "given": given,
        "stored": pa.array([[1.0]]),
        "stored__status": pa.array([PRESENT], pa.uint8()),
        "names": pa.array([["a"]]),
    }
    with pytest.raises(kernel.InputError, match=message):
        lists_view().evaluate(pa.record_batch(columns), pa.array([0], pa.int64()))


def test_lists_have_no_order_and_one_type() -> None:
    types = {"l": "list<float64>", "m": "list<int64>", "x": "float64", "s": "string"}
    for refused in (
        "l < l",
        "least(l, l)",
        "l = m",
        "coalesce(l, m)",
        "contains(l, s)",
        "contains(x, x)",
        "contains(l, l)",
        "l[x]",
        "x[1]",
        "length(s)",
        "l + 1",
    ):
        with pytest.raises(kernel.DefinitionError, match="WRONG_TYPE"):
            kernel.check_expression(json.dumps(ir_of(refused)).encode(), types)


def test_request_times_may_be_timestamps_and_rows_may_be_none() -> None:
    view = kernel.OnDemandView(meaning())
    times = pa.array([HOUR], pa.timestamp("us", tz="UTC"))
    out = pa.record_batch(view.evaluate(pa.record_batch(columns([PRESENT])), times))
    assert out["at"].to_pylist() == [datetime(1970, 1, 1, 1, tzinfo=UTC)]
    empty = pa.record_batch(columns([PRESENT])).slice(1)
    assert len(view.evaluate(empty, pa.array([], pa.int64()))) == 0


def changed(**changes: pa.Array | None) -> pa.RecordBatch:
    given = columns([PRESENT]) | changes
    return pa.record_batch({name: column for name, column in given.items() if column is not None})


@pytest.mark.parametrize(
    ("batch", "times", "message"),
    [
        (changed(amount=None), [0], 'lacks the column "amount"'),
        (changed(avg__status=None), [0], 'lacks the column "avg__status"'),
        (changed(avg__status=pa.array([0], pa.uint8())), [0], "is no status"),
        (changed(avg__status=pa.array([None], pa.uint8())), [0], "is no status"),
        (changed(avg__status=pa.array([1], pa.int64())), [0], "must be uint8"),
        (changed(avg=pa.array(["4"])), [0], "must be float64"),
        (changed(), [0, 1], "2 request times for 1 rows"),
        (changed(), [None], "has no request time"),
    ],
)
def test_columns_that_are_not_as_promised_are_refused(batch: pa.RecordBatch, times: list[int], message: str) -> None:
    with pytest.raises(kernel.InputError, match=message):
        kernel.OnDemandView(meaning()).evaluate(batch, pa.array(times, pa.int64()))


def test_only_on_demand_views_are_taken() -> None:
    assert kernel.OnDemandView(meaning()).meaning_hash == kernel.meaning_hash(meaning())
    with pytest.raises(kernel.DefinitionError):
        kernel.OnDemandView(b"{}")
