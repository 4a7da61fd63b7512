"""Latest views over tables through the door: what is stored, what it answers, and the same by frame."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from skewless import kernel
from skewless.types import TIMELESS_US
from tests.kernel.test_meaning import HOUR, canonical, latest_view

PRESENT, NULL, NOT_FOUND, OUTSIDE_TTL, NOT_ANSWERABLE = 1, 2, 3, 4, 8
UTC_TIME = pa.timestamp("us", tz="UTC")


def rows(*given: dict[str, Any]) -> pa.Table:
    """Rows of the planes table; what is not said is as for a plain row of run 1 at noon."""
    plain = {"entity_id": "s.N1", "event_time_us": 12 * HOUR, "created_time_us": None, "run_seq": 1, "deleted": False}
    schema = pa.schema(
        [
            ("entity_id", pa.string()),
            ("event_time_us", pa.int64()),
            ("created_time_us", pa.int64()),
            ("run_seq", pa.int64()),
            ("deleted", pa.bool_()),
            ("f_seats", pa.int64()),
            ("f_built", UTC_TIME),
        ]
    )
    return pa.Table.from_pylist([plain | row for row in given], schema)


def asked(*given: tuple[str | None, int, int | None]) -> pa.RecordBatch:
    ids, times, runs = zip(*given, strict=True)
    return pa.record_batch(
        {
            "entity_id": pa.array(ids, pa.string()),
            "request_time_us": pa.array(times, pa.int64()),
            "run_seq": pa.array(runs, pa.int64()),
        }
    )


def compiled(**changes: Any) -> kernel.LatestView:
    return kernel.LatestView(canonical(latest_view(**changes)))


def test_a_stored_row_is_read_back() -> None:
    view = compiled()
    ((entity, value, expiry),) = view.encode(rows({"f_seats": 150, "f_built": datetime(1970, 1, 2, tzinfo=UTC)}))
    assert (entity, expiry) == ("s.N1", None)
    assert view.read(value, 12 * HOUR) == [(150, PRESENT, 12 * HOUR), (24 * HOUR, PRESENT, 12 * HOUR)]
    assert view.read(value, 12 * HOUR - 1) == [(None, NOT_ANSWERABLE, None)] * 2
    assert view.read(None, 0) == [(None, NOT_FOUND, None)] * 2


def test_nulls_and_deletions_have_their_own_statuses() -> None:
    view = compiled()
    null, deleted = (value for _, value, _ in view.encode(rows({"f_seats": None}, {"deleted": True})))
    assert view.read(null, 12 * HOUR) == [(None, NULL, 12 * HOUR)] * 2
    assert view.read(deleted, 12 * HOUR) == [(None, NOT_FOUND, None)] * 2


def test_a_row_expires_after_its_ttl_and_never_before() -> None:
    view = compiled(ttl_us=HOUR)
    ((_, value, expiry),) = view.encode(rows({"event_time_us": 12 * HOUR + 1, "f_seats": 1}))
    assert view.read(value, 13 * HOUR + 1)[0] == (1, PRESENT, 12 * HOUR + 1)
    assert view.read(value, 13 * HOUR + 2)[0] == (None, OUTSIDE_TTL, 12 * HOUR + 1)
    assert expiry is not None
    assert expiry * 1000 > 13 * HOUR + 1


def test_the_greater_key_is_the_newer_row() -> None:
    view = compiled()
    encoded = view.encode(
        rows(
            {"event_time_us": -1, "run_seq": 9},
            {"event_time_us": 0},
            {"event_time_us": 0, "created_time_us": -5},
            {"event_time_us": 0, "created_time_us": 5},
            {"event_time_us": 0, "created_time_us": 5, "run_seq": 2},
        )
    )
    keys = [value[1:33] for _, value, _ in encoded]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


def test_a_frame_knows_what_its_rows_know() -> None:
    table = rows(
        {"f_seats": 100},
        {"event_time_us": 13 * HOUR, "run_seq": 2, "f_seats": 200, "f_built": datetime(1970, 1, 1, tzinfo=UTC)},
        {"event_time_us": 14 * HOUR, "run_seq": 3, "deleted": True},
    )
    asks = asked(
        ("s.N1", 12 * HOUR, None),
        ("s.N1", 13 * HOUR, None),
        ("s.N1", 13 * HOUR, 1),
        ("s.N1", 13 * HOUR, 0),
        ("s.N1", 13 * HOUR, -1),
        ("s.N1", 14 * HOUR, 3),
        ("s.N2", 14 * HOUR, None),
        (None, 14 * HOUR, None),
        ("s.N1", 11 * HOUR, None),
    )
    frame = pa.record_batch(compiled().frame(table.to_reader(max_chunksize=1), asks))
    assert frame.schema.names == [
        name for f in ("seats", "built") for name in (f, f"{f}__status", f"{f}__event_time_us")
    ]
    assert frame.schema.field("built").type == UTC_TIME
    assert frame.schema.field("seats__status").type == pa.uint8()
    assert frame["seats"].to_pylist() == [100, 200, 100] + [None] * 6
    assert frame["seats__status"].to_pylist() == [PRESENT] * 3 + [NOT_FOUND] * 6
    assert frame["built__status"].to_pylist() == [NULL, PRESENT, NULL] + [NOT_FOUND] * 6
    assert frame["seats__event_time_us"].to_pylist() == [12 * HOUR, 13 * HOUR, 12 * HOUR] + [None] * 6


def test_a_table_without_event_times_always_counts() -> None:
    source = latest_view()["source"] | {"event_time": None}
    view = compiled(source=source)
    table = rows({"f_seats": 1}, {"run_seq": 2, "f_seats": 2})
    values = [value for _, value, _ in view.encode(table)]
    assert view.read(max(values, key=lambda value: value[1:33]), TIMELESS_US) == [
        (2, PRESENT, None),
        (None, NULL, None),
    ]
    frame = pa.record_batch(view.frame(table, asked(("s.N1", 0, None), ("s.N1", 0, 1))))
    assert frame["seats"].to_pylist() == [2, 1]
    assert frame["seats__event_time_us"].to_pylist() == [None, None]


def test_no_rows_are_no_fault() -> None:
    view = compiled()
    assert view.encode(rows()) == []
    frame = pa.record_batch(view.frame(rows(), asked(("s.N1", 0, None))))
    assert frame["seats__status"].to_pylist() == [NOT_FOUND]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (rows({}).drop_columns(["f_seats"]), "lacks the column"),
        (rows({}).drop_columns(["run_seq"]), "lacks the column"),
        (rows({"event_time_us": None}), "must not be null"),
        (rows({"run_seq": 0}), "run_seq must be positive"),
        (rows({}).set_column(5, "f_seats", pa.array(["many"])), "must be int64"),
        (rows({}).set_column(6, "f_built", pa.array([0], pa.timestamp("us"))), "with a zone"),
        ("rows", "expected Arrow rows"),
    ],
)
def test_rows_that_are_not_as_promised_are_refused(table: Any, message: str) -> None:
    with pytest.raises(kernel.InputError, match=message):
        compiled().encode(table)


def test_the_created_time_may_be_absent() -> None:
    assert len(compiled().encode(rows({}).drop_columns(["created_time_us"]))) == 1


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x02" * 40, b"\x02" + b"\xff" * 60])
def test_foreign_bytes_are_an_error_with_a_name(value: bytes) -> None:
    with pytest.raises(kernel.StateError) as caught:
        compiled().read(value, 2**63 - 1)
    assert caught.value.reason.startswith("STATE_")


def test_only_latest_views_over_tables_are_taken() -> None:
    entity = {"format": 1, "kind": "entity", "project": "flights", **latest_view()["entity"]}
    with pytest.raises(kernel.DefinitionError) as caught:
        kernel.LatestView(canonical(entity))
    assert (caught.value.path, caught.value.reason) == ("$.kind", "UNEXPECTED_KIND")
    meaning = canonical(latest_view())
    assert kernel.LatestView(meaning).meaning_hash == kernel.meaning_hash(meaning)
