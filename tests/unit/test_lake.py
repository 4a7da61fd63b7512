"""Rows and the marks behind them are one commit."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from skewless.lake import Lake, date_of, dates_of, log_mark


def test_dates_are_days_in_utc_also_before_1970() -> None:
    times = [0, -1, 86_400_000_000 - 1, 1_372_636_800_000_000]
    expected = ["1970-01-01", "1969-12-31", "1970-01-01", "2013-07-01"]
    assert [date_of(time) for time in times] == expected
    assert dates_of(pa.array(times, pa.int64())).to_pylist() == expected


def test_marks_move_with_their_rows_and_columns_may_come_later(tmp_path: Path) -> None:
    table = Lake(str(tmp_path)).events("p", "topic")
    assert table.read(["n"]) is None
    assert table.marks([log_mark(1, 0)]) == {}
    table.append(pa.table({"n": [1], "date": ["2013-01-01"]}), {log_mark(1, 0): 5})
    table.append(pa.table({"n": [2], "more": ["x"], "date": ["2013-01-02"]}), {log_mark(1, 1): 7})
    assert table.marks([log_mark(1, p) for p in range(3)]) == {"1/0": 5, "1/1": 7}
    found = table.read(["n", "more", "never"])
    assert found is not None
    assert sorted(found.to_pylist(), key=lambda row: row["n"]) == [{"n": 1, "more": None}, {"n": 2, "more": "x"}]
    some = table.read(["n"], dates=("2013-01-02", "9999"), where=pc.field("n") > 0)
    assert some is not None
    assert some["n"].to_pylist() == [2]
