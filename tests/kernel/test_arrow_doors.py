"""Rows go through the kernel's doors from and to other libraries, as they are: no copy by way of Python objects."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
import rfc8785

from skewless import kernel
from tests.golden.states import FOLDER, Golden, load, table_batch
from tests.kernel.test_on_demand import columns, meaning

Rows = Any
GOLDEN = load(FOLDER / "window.json")


def decoded(golden: Golden) -> kernel.DecodedBatch:
    """The golden file's records as the kernel's decoder gives them."""
    keys = [(key["name"], key["type"]) for key in golden["meaning"]["entity"]["keys"]]
    decoder = kernel.StreamDecoder(rfc8785.dumps(golden["meaning"]["source"]), keys, direct=False)
    records = golden["records"]
    payloads = [json.dumps(record["value"]).encode() for record in records]
    return decoder.decode([None] * len(records), payloads, [record["appended"] for record in records])


def events() -> pa.Table:
    batch = pa.table(decoded(GOLDEN))
    offsets = [record["offset"] for record in GOLDEN["records"]]
    batch = batch.append_column("partition", pa.array([7] * len(offsets), pa.int32()))
    return batch.append_column("offset", pa.array(offsets, pa.int64()))


def asked() -> pa.Table:
    entities, times = zip(*GOLDEN["reads"], strict=True)
    return pa.table({"entity_id": pa.array(entities), "request_time_us": pa.array(times, pa.int64())})


def in_chunks(table: pa.Table) -> pa.Table:
    """Chunks of every size, an empty one among them, each a slice with an offset."""
    sizes = [1, 0, 3, table.num_rows]
    chunks, start = [], 0
    for size in sizes:
        chunks.append(table.slice(start, size))
        start += size
    return pa.concat_tables(chunks)


def text_views(table: pa.Table) -> pa.Table:
    views = [pa.string_view() if pa.types.is_string(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.schema.names, views, strict=True))))


def large_texts(table: pa.Table) -> pa.Table:
    large = [pa.large_string() if pa.types.is_string(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.schema.names, large, strict=True))))


def within_a_larger_batch(table: pa.Table) -> pa.RecordBatch:
    """A slice of one batch: the arrays begin at an offset that is no multiple of eight."""
    (batch,) = pa.concat_tables([table.slice(0, 3), table, table.slice(0, 2)]).combine_chunks().to_batches()
    return batch.slice(3, table.num_rows)


def from_duckdb(table: pa.Table) -> duckdb.DuckDBPyRelation:
    return duckdb.connect().from_arrow(table)


DOORS: dict[str, Callable[[pa.Table], Rows]] = {
    "pyarrow batch": lambda table: table.combine_chunks().to_batches()[0],
    "pyarrow table": lambda table: table,
    "pyarrow chunks": in_chunks,
    "pyarrow reader": lambda table: table.to_reader(max_chunksize=2),
    "pyarrow slice": within_a_larger_batch,
    "pyarrow views": text_views,
    "pyarrow large": large_texts,
    "polars": pl.DataFrame,
    "polars chunks": lambda table: pl.concat([pl.DataFrame(table[:2]), pl.DataFrame(table[2:])], rechunk=False),
    "polars slice": lambda table: pl.concat([pl.DataFrame(table[:3]), pl.DataFrame(table)])[3:],
    "duckdb": from_duckdb,
    "duckdb reader": lambda table: from_duckdb(table).to_arrow_reader(2),
}


def plain(table: pa.Table) -> Sequence[Sequence[Any]]:
    """Column by column; doubles by their bits."""
    columns = [table.column(name).to_pylist() for name in table.schema.names]
    return [[x.hex() if isinstance(x, float) else x for x in column] for column in columns]


@pytest.mark.parametrize("door", DOORS)
def test_a_frame_is_the_same_whoever_brings_its_rows(door: str) -> None:
    view = kernel.StreamView(rfc8785.dumps(GOLDEN["meaning"]))
    bring = DOORS[door]
    wanted = pa.table(view.frame(events(), asked()))
    assert plain(pa.table(view.frame(bring(events()), bring(asked())))) == plain(wanted)
    given = [[wanted.column(f["name"])[row].as_py() for f in GOLDEN["meaning"]["features"]] for row in range(2)]
    assert any(cell is not None for cell in given[0])


@pytest.mark.parametrize("door", DOORS)
def test_expressions_are_the_same_whoever_brings_their_columns(door: str) -> None:
    batch = pa.table({"x": pa.array([None, 1.5, -0.0, 2.5, 0.1] * 4, pa.float64()), "s": ["a", None, "é", "", "z"] * 4})
    ir = json.dumps({"op": "call", "fn": "neg", "args": [{"op": "col", "name": "x"}]}).encode()
    out = kernel.evaluate_expression(ir, {"x": "float64", "s": "string"}, DOORS[door](batch), [0] * 20)
    assert pa.table(out).column("value").to_pylist() == [None, -1.5, 0.0, -2.5, -0.1] * 4


TABLE = load(FOLDER / "table_row.json")


@pytest.mark.parametrize("door", DOORS)
def test_table_rows_are_stored_alike_whoever_brings_them(door: str) -> None:
    rows = pa.Table.from_batches([table_batch(TABLE)])
    stored = {
        entity: head.hex()
        for entity, head, _ in kernel.LatestView(rfc8785.dumps(TABLE["meaning"])).encode(DOORS[door](rows))
    }
    assert stored == {entity: state["head"] for entity, state in TABLE["stored"].items()}


def test_answers_go_to_any_library() -> None:
    view = kernel.StreamView(rfc8785.dumps(GOLDEN["meaning"]))
    out = view.frame(events(), asked())
    wanted = plain(pa.table(out))
    assert plain(pa.Table.from_batches([pa.record_batch(out)])) == wanted
    assert plain(pa.RecordBatchReader.from_stream(out).read_all()) == wanted
    assert plain(pl.DataFrame(out).to_arrow()) == wanted
    assert plain(duckdb.connect().from_arrow(out).to_arrow_table()) == wanted
    # And from one door of the kernel into another.
    own = decoded(GOLDEN)
    assert plain(pa.table(own)) == plain(pa.Table.from_batches([pa.record_batch(own)]))


def test_what_was_handed_on_outlives_its_owner() -> None:
    view = kernel.StreamView(rfc8785.dumps(GOLDEN["meaning"]))
    wanted = plain(pa.table(view.frame(events(), asked())))
    reader = pa.RecordBatchReader.from_stream(view.frame(events(), asked()))
    frame = pl.DataFrame(view.frame(events(), asked()))
    capsules = view.frame(events(), asked()).__arrow_c_array__()
    del view
    assert plain(reader.read_all()) == wanted
    assert plain(frame.to_arrow()) == wanted
    del capsules


def test_request_times_come_as_one_array() -> None:
    view = kernel.OnDemandView(meaning())
    rows = pa.table(columns([1, 1]))
    array = pa.array([3, 4], pa.int64())
    assert pa.table(view.evaluate(pl.DataFrame(rows), array)).column("at").cast(pa.int64()).to_pylist() == [3, 4]
    series: Any = pl.Series([3, 4])
    with pytest.raises(kernel.InputError, match="expected one Arrow array"):
        view.evaluate(rows, series)
