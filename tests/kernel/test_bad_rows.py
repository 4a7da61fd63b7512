"""Whatever rows are brought to the kernel's doors, it answers with an error of its own or with the truth.

Nothing of it may end in a panic: that is an exception that no `except Exception` catches.
"""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from skewless import kernel
from tests.golden.states import FOLDER, load, table_batch
from tests.kernel.test_arrow_doors import GOLDEN, asked, decoded, events
from tests.kernel.test_on_demand import columns, meaning

REFUSED = (kernel.KernelError, TypeError, ValueError, OverflowError)
"""What a caller may get for bad arguments."""
TABLE = load(FOLDER / "table_row.json")
STREAM = kernel.StreamView(rfc8785.dumps(GOLDEN["meaning"]))
ROWS = kernel.LatestView(rfc8785.dumps(TABLE["meaning"]))
ON_DEMAND = kernel.OnDemandView(meaning())
IR = json.dumps({"op": "col", "name": "x"}).encode()


def through(bad: Any) -> dict[str, Callable[[], object]]:
    """Every door that takes rows, with these."""
    return {
        "events": lambda: STREAM.frame(bad, asked()),
        "asked": lambda: STREAM.frame(events(), bad),
        "contributing": lambda: STREAM.contributing("count_all_10m", bad, "s.a", 0, None, None),
        "encode": lambda: ROWS.encode(bad),
        "table": lambda: ROWS.frame(bad, bad),
        "evaluate": lambda: ON_DEMAND.evaluate(bad, bad),
        "expression": lambda: kernel.evaluate_expression(IR, {"x": "float64"}, bad, [0]),
        "fold": lambda: STREAM.open_partition(1, 0, 1).fold(bad, [0], 0),
    }


TYPES = (
    *(pa.null(), pa.int8(), pa.uint64(), pa.float16(), pa.float32()),
    *(pa.date32(), pa.time64("ns"), pa.month_day_nano_interval()),
    *(pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.timestamp("s", "+01:00"), pa.duration("us")),
    *(pa.decimal128(38, 9), pa.decimal256(70, 9), pa.binary(), pa.binary(3), pa.binary_view(), pa.large_binary()),
    *(pa.dictionary(pa.int8(), pa.string()), pa.list_(pa.int64()), pa.list_(pa.int64(), 2), pa.list_view(pa.int8())),
    *(pa.struct([("a", pa.int8())]), pa.map_(pa.string(), pa.int8()), pa.run_end_encoded(pa.int16(), pa.int64())),
)  # fmt: skip


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_columns_of_any_type_are_refused_by_name(kind: pa.DataType) -> None:
    nothing = pa.nulls(2, pa.int8()).cast(pa.int8()) if pa.types.is_run_end_encoded(kind) else pa.nulls(2, kind)
    if pa.types.is_run_end_encoded(kind):
        nothing = pa.RunEndEncodedArray.from_arrays([1, 2], pa.array([1, 2], pa.int64()))
    for own, column in ((events(), "c_x"), (events(), "entity_id"), (events(), "event_time_us"), (events(), "offset")):
        bad = own.slice(0, 2).set_column(own.schema.get_field_index(column), column, nothing)
        with pytest.raises(kernel.InputError):
            STREAM.frame(bad, asked())
    for door, call in through(pa.record_batch({"x": nothing})).items():
        with pytest.raises(kernel.InputError):
            call()
        assert door


NO_ROWS: tuple[Any, ...] = (
    *(None, 7, "rows", b"", [], {}, [{"x": 1}], object()),
    *(pa.array([1.0]), pa.chunked_array([[1.0]])),
)


@pytest.mark.parametrize("bad", NO_ROWS, ids=lambda bad: type(bad).__name__)
def test_what_is_no_rows_is_refused(bad: Any) -> None:
    for call in through(bad).values():
        with pytest.raises(REFUSED):
            call()


class Lying:
    """Says that it has Arrow data."""

    def __init__(self, answer: Any, name: str = "__arrow_c_array__") -> None:
        self._answer = answer
        setattr(type(self), name, lambda self: self.given())

    def given(self) -> Any:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


@pytest.mark.parametrize("name", ["__arrow_c_array__", "__arrow_c_stream__"])
def test_capsules_that_are_none_are_refused(name: str) -> None:
    stream = pa.table({"x": [1.0]}).__arrow_c_stream__()
    schema, array = pa.record_batch({"x": [1.0]}).__arrow_c_array__()
    for answer in (None, (), (1, 2), (schema,), (array, schema), (schema, stream), array, 7, KeyError("x")):
        own: Any = type("Own", (Lying,), {})
        for call in through(own(answer, name)).values():
            with pytest.raises((*REFUSED, KeyError)):
                call()


def test_a_capsule_that_was_taken_is_refused() -> None:
    capsules = pa.record_batch({"x": [1.0]}).__arrow_c_array__()
    stream = pa.table({"x": [1.0]}).__arrow_c_stream__()
    for answer, name in ((capsules, "__arrow_c_array__"), (stream, "__arrow_c_stream__")):
        own: Any = type("Own", (Lying,), {})
        bad = own(answer, name)
        kernel.evaluate_expression(IR, {"x": "float64"}, bad, [0])
        for call in through(bad).values():
            with pytest.raises(kernel.InputError):
                call()


def broken_texts() -> dict[str, pa.Array]:
    """Arrays that Arrow's own rules forbid, which some producers check no more than the format does."""
    offsets = pa.array([0, 2, 1, 3], pa.int32()).buffers()[1]
    beyond = pa.array([0, 2_000_000, 2, 3], pa.int32()).buffers()[1]
    fine = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]
    negative = pa.array([0, -5, 2, 3], pa.int32()).buffers()[1]
    bytes_of = pa.py_buffer(b"abc")
    wild = pa.array([0, 1, 9], pa.int8())
    return {
        "no UTF-8": pa.StringArray.from_buffers(3, fine, pa.py_buffer(b"a\xff\xc3")),
        "half a character": pa.StringArray.from_buffers(3, fine, pa.py_buffer("aé".encode())),
        "offsets go back": pa.StringArray.from_buffers(3, offsets, bytes_of),
        "offsets beyond the end": pa.StringArray.from_buffers(3, beyond, bytes_of),
        "negative offsets": pa.StringArray.from_buffers(3, negative, bytes_of),
        "wild places in a dictionary": pa.DictionaryArray.from_arrays(wild, pa.array(["a", "b"]), safe=False),
    }


@pytest.mark.parametrize("name", broken_texts())
def test_arrays_that_are_none_are_refused(name: str) -> None:
    bad = broken_texts()[name]
    table = events().slice(0, 3)
    bad_events = table.set_column(table.schema.get_field_index("c_s"), "c_s", bad)
    with pytest.raises(kernel.InputError):
        STREAM.frame(bad_events, asked())
    bad_events = table.set_column(table.schema.get_field_index("entity_id"), "entity_id", bad)
    with pytest.raises(kernel.InputError):
        STREAM.frame(bad_events.combine_chunks().to_batches()[0], asked())
    with pytest.raises(kernel.InputError):
        ROWS.encode(table_batch(TABLE).slice(0, 3).set_column(0, "entity_id", bad))


def test_lengths_that_do_not_fit_are_refused() -> None:
    rows = pa.record_batch({"x": [1.0, 2.0]})
    for times in ([], [0], [0, 0, 0]):
        with pytest.raises(kernel.InputError, match=f"{len(times)} request times for 2 rows"):
            kernel.evaluate_expression(IR, {"x": "float64"}, rows, times)
        with pytest.raises(kernel.InputError, match=f"{len(times)} request times for 2 rows"):
            ON_DEMAND.evaluate(pa.record_batch(columns([1, 1])), pa.array(times, pa.int64()))
    batch = decoded(GOLDEN)
    state = STREAM.open_partition(1, 0, 1)
    for entity in batch.entity_ids:
        state.load(entity, None, None)
    for offsets in ([], [0], list(range(len(batch) + 1)), [0] * len(batch), [2**64 - 1] * len(batch)):
        with pytest.raises(REFUSED):
            state.fold(batch, offsets, 0)
    assert state.dirty == 0


def test_structs_with_nulls_are_no_batch() -> None:
    structs = pa.StructArray.from_arrays([pa.array([1.0, 2.0])], names=["x"], mask=pa.array([False, True]))
    with pytest.raises(kernel.InputError, match="has nulls"):
        kernel.evaluate_expression(IR, {"x": "float64"}, structs, [0, 0])


@pytest.mark.parametrize("empty", ["batch", "table", "reader", "columns"])
def test_no_rows_give_no_rows(empty: str) -> None:
    table = events().slice(0, 0)
    none = {
        "batch": pa.RecordBatch.from_pylist([], table.schema),
        "table": table,
        "reader": pa.RecordBatchReader.from_batches(table.schema, []),
        "columns": table.schema.empty_table(),
    }[empty]
    out = pa.table(STREAM.frame(none, asked()))
    assert out.num_rows == len(asked())
    assert set(out.column("count_all_10m").to_pylist()) == {0}
    assert pa.table(STREAM.frame(events(), asked().slice(0, 0))).num_rows == 0


cells = st.none() | st.integers(-(2**63), 2**63 - 1)


@given(
    times=st.lists(cells, min_size=1, max_size=6),
    asked_times=st.lists(cells, min_size=1, max_size=6),
    partitions=st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), min_size=6, max_size=6),
    offsets=st.lists(cells, min_size=6, max_size=6),
    known=st.lists(cells, min_size=6, max_size=6),
)
def test_numbers_of_any_size_are_counted_or_refused(
    times: list[int | None],
    asked_times: list[int | None],
    partitions: list[int | None],
    offsets: list[int | None],
    known: list[int | None],
) -> None:
    """Instants and positions at all ends of their types, which no source lets in, end in a frame or an error."""
    table = events().slice(0, 1)
    table = pa.concat_tables([table] * len(times))
    for name, values, kind in (
        ("event_time_us", times, pa.int64()),
        ("partition", partitions[: len(times)], pa.int32()),
        ("offset", offsets[: len(times)], pa.int64()),
    ):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values, kind))
    count = len(asked_times)
    rows = pa.record_batch(
        {
            "entity_id": pa.array(["s.a"] * count),
            "request_time_us": pa.array(asked_times, pa.int64()),
            "partition": pa.array(partitions[:count], pa.int32()),
            "next_offset": pa.array(known[:count], pa.int64()),
        }
    )
    try:
        out = pa.table(STREAM.frame(table, rows))
    except kernel.InputError:
        return
    assert out.num_rows == count


def test_other_threads_run_while_the_kernel_works() -> None:
    """A long frame does not hold the interpreter: a thread that counts goes on meanwhile."""
    table = pa.concat_tables([events().select(["entity_id", "event_time_us", "partition", "offset", "c_x"])] * 40_000)
    count = table.num_rows
    times = pa.array(range(count), pa.int64())
    table = table.set_column(1, "event_time_us", times).set_column(3, "offset", times)
    view = json.loads(json.dumps(GOLDEN["meaning"]))
    view["features"] = [feature for feature in view["features"] if feature["column"] in {None, "x"}][:4]
    rows = pa.table({"entity_id": ["s.a"] * 4, "request_time_us": pa.array([1, 2, 3, count], pa.int64())})
    stream = kernel.StreamView(rfc8785.dumps(view))
    pauses: list[float] = []
    done = threading.Event()

    def tick() -> None:
        before = time.perf_counter()
        while not done.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            pauses.append(now - before)
            before = now

    ticking = threading.Thread(target=tick)
    ticking.start()
    began = time.perf_counter()
    stream.frame(table, rows)
    took = time.perf_counter() - began
    done.set()
    ticking.join()
    assert took > 0.05, "too short a call to show anything"
    assert len(pauses) >= 5
    assert max(pauses) < took / 2, f"held up for {max(pauses):.3f} s of {took:.3f} s"
