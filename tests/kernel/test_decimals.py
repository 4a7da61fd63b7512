"""Decimals through the doors of the kernel."""

from decimal import Decimal

import pyarrow as pa
import pytest
import rfc8785

from skewless import kernel

MEANING = rfc8785.dumps(
    {
        "format": 1,
        "semantics": 1,
        "project": "p",
        "entity": {"name": "thing", "keys": [{"name": "k", "type": "string"}]},
        "kind": "latest_view",
        "name": "prices",
        "source": {
            "kind": "batch",
            "name": "rows",
            "columns": [
                {"name": "k", "type": "string", "nullable": False},
                {"name": "price", "type": "decimal(6,2)", "nullable": True},
            ],
            "event_time": None,
            "created_time": None,
            "table": {"path": "rows"},
        },
        "filter": None,
        "ttl_us": None,
        "head_slack_us": 2_000_000,
        "head_max": 256,
        "state_limit_bytes": 32 << 10,
        "features": [{"name": "price", "column": "price", "type": "decimal(6,2)"}],
    }
)
VIEW = kernel.LatestView(MEANING)
ASKED = pa.record_batch({"entity_id": ["s.a"], "request_time_us": [5], "run_seq": pa.array([None], pa.int64())})


def answered(cells: pa.Array) -> pa.RecordBatch:
    rows = pa.record_batch(
        {
            "entity_id": ["s.a"],
            "event_time_us": [0],
            "created_time_us": pa.array([None], pa.int64()),
            "run_seq": [1],
            "deleted": [False],
            "f_price": cells,
        }
    )
    return pa.record_batch(VIEW.frame(rows, ASKED))


@pytest.mark.parametrize(
    "kind",
    [pa.decimal128(6, 2), pa.decimal128(38, 9), pa.decimal128(4, 1), pa.decimal64(12, 3), pa.decimal32(9, 2)],
    ids=str,
)
def test_decimals_of_any_digits_are_taken_exactly(kind: pa.DataType) -> None:
    found = answered(pa.array([Decimal("-1.5")], kind)).column("price")
    assert found.type == pa.decimal128(6, 2)
    assert str(found[0].as_py()) == "-1.50"


@pytest.mark.parametrize(
    ("cell", "kind"),
    [("1.005", pa.decimal128(9, 3)), ("10000", pa.decimal128(38, 0)), ("0.001", pa.decimal64(12, 3))],
)
def test_what_does_not_fit_is_refused_with_its_row(cell: str, kind: pa.DataType) -> None:
    with pytest.raises(kernel.InputError, match=r"column \"f_price\", row 0: .* is no decimal\(6,2\) exactly"):
        answered(pa.array([Decimal(cell)], kind))


@pytest.mark.parametrize("cells", [pa.array([1.5]), pa.array([1]), pa.array(["1.5"])])
def test_other_columns_are_refused(cells: pa.Array) -> None:
    with pytest.raises(kernel.InputError, match=r"must be decimal\(6,2\)"):
        answered(cells)
