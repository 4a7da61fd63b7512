"""Batch sources are read as declared, and a query reaches nothing but its inputs."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from services.offline.store.sql import DuckTransforms
from skewless.definitions.meanings import BatchSource, Column
from skewless.errors import InvalidArgumentError
from skewless.types import ValueType, to_micros

AS_OF = dt.datetime(2013, 2, 1, tzinfo=dt.UTC)


def source(*columns: Column, path: str | None = None, query: str | None = None) -> BatchSource:
    return BatchSource(
        project="p",
        name="s",
        columns=columns,
        event_time=None,
        created_time=None,
        path=path,
        query=query,
        inputs=("events",) if query else (),
        document=b"{}",
    )


def run(found: BatchSource, root: Path, **inputs: pa.Table) -> pa.Table:
    return DuckTransforms(root).rows(found, inputs, to_micros(AS_OF))


def reasons(error: InvalidArgumentError) -> list[str]:
    return [violation.reason for violation in error.violations]


def test_a_query_sees_its_inputs_and_the_bound_instant(tmp_path: Path) -> None:
    events = pa.table({"k": ["a", "b"], "seen": pa.array([AS_OF, AS_OF], pa.timestamp("us", tz="UTC"))})
    asked = source(
        Column("k", ValueType.STRING),
        Column("computed", ValueType.TIMESTAMP),
        query="SELECT k, $as_of AS computed FROM events WHERE seen <= $as_of ORDER BY k",
    )
    assert run(asked, tmp_path, events=events).to_pylist() == [
        {"k": "a", "computed": AS_OF},
        {"k": "b", "computed": AS_OF},
    ]


def test_a_query_may_do_without_the_instant(tmp_path: Path) -> None:
    assert run(source(Column("n", ValueType.INT64), query="SELECT 1 AS n"), tmp_path).to_pylist() == [{"n": 1}]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/skewless-must-not-exist'",
        "SELECT 1 AS n; SELECT 2 AS n",
        "SELECT $other AS n",
        "SELECT * FROM not_an_input",
        "this is no SQL",
        "",
        "SET enable_external_access = true",
    ],
)
def test_a_query_reaches_nothing_else(query: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        run(source(Column("n", ValueType.INT64), query=query), tmp_path)
    assert reasons(caught.value) == ["QUERY_FAILED"]


def test_tables_are_read_below_the_root_only(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    pyarrow.parquet.write_table(pa.table({"n": [1, 2]}), inside / "t.parquet")
    (inside / "t.csv").write_text("n,ignored\n3,x\n")
    n = Column("n", ValueType.INT64)
    assert run(source(n, path="t.parquet"), inside)["n"].to_pylist() == [1, 2]
    assert run(source(n, path="t.csv"), inside)["n"].to_pylist() == [3]
    deeper = inside / "deeper"
    deeper.mkdir()
    for path, reason in (("../t.parquet", "OUTSIDE_ROOT"), ("missing.parquet", "UNREADABLE"), (".", "UNREADABLE")):
        with pytest.raises(InvalidArgumentError) as caught:
            run(source(n, path=path), deeper)
        assert reasons(caught.value) == [reason]


def test_every_column_that_does_not_fit_is_named(tmp_path: Path) -> None:
    table = pa.table({"text": ["a"], "naive": pa.array([0], pa.timestamp("us")), "hole": pa.array([None], pa.int64())})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    asked = source(
        Column("text", ValueType.INT64),
        Column("naive", ValueType.TIMESTAMP),
        Column("hole", ValueType.INT64, nullable=False),
        Column("absent", ValueType.BOOL),
        path="t.parquet",
    )
    with pytest.raises(InvalidArgumentError) as caught:
        run(asked, tmp_path)
    assert {v.path: v.reason for v in caught.value.violations} == {
        "source.s.text": "WRONG_TYPE",
        "source.s.naive": "NAIVE_TIMESTAMP",
        "source.s.hole": "NULL_CELL",
        "source.s.absent": "UNKNOWN_COLUMN",
    }


PRICE = Column("price", ValueType("decimal(6,2)"), nullable=True)


def test_decimals_of_other_digits_are_taken_where_they_fit() -> None:
    query = "SELECT CAST(1.5 AS DECIMAL(38, 4)) AS price UNION ALL SELECT 7 UNION ALL SELECT NULL"
    found = run(source(PRICE, query=query), Path(), events=pa.table({"x": [1]}))
    assert found.schema.field("price").type == pa.decimal128(6, 2)
    assert sorted(map(str, found["price"].to_pylist())) == ["1.50", "7.00", "None"]


@pytest.mark.parametrize("number", ["1.005", "10000", "1.5::DOUBLE", "'x'"])
def test_what_is_no_decimal_exactly_is_refused(number: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        run(source(PRICE, query=f"SELECT {number} AS price"), Path(), events=pa.table({"x": [1]}))
    assert reasons(caught.value) == ["WRONG_TYPE"]


def test_decimals_of_a_csv_are_read_of_their_digits(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("price\n0.10\n9999.99\n")
    found = run(source(PRICE, path="prices.csv"), tmp_path)
    assert found["price"].to_pylist() == [Decimal("0.10"), Decimal("9999.99")]
    (tmp_path / "prices.csv").write_text("price\n0.105\n")
    with pytest.raises(InvalidArgumentError):
        run(source(PRICE, path="prices.csv"), tmp_path)
