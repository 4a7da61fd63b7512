"""Rows and the marks behind them are one commit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from skewless.lake import Condition, Lake, date_of, dates_of, log_mark


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
    some = table.read(["n"], dates=("2013-01-02", "9999"), where=[("n", ">", 0)])
    assert some is not None
    assert some["n"].to_pylist() == [2]


DAYS = [f"2013-01-{day:02}" for day in range(1, 11)]


@pytest.mark.parametrize(
    ("dates", "where"),
    [
        (("2013-01-04", "2013-01-05"), []),
        (None, [("n", ">=", 30), ("n", "<", 50)]),
        (None, [("text", "in", ["it's 4", "it's 3\"", "it's 3"]), ("text", "is not", None)]),
        (("2013-01-04", "2013-01-04"), [("text", "in", ["it's 3", *(f"{n}" for n in range(5_000))])]),
    ],
)
def test_files_that_cannot_have_the_rows_are_not_opened(
    dates: tuple[str, str] | None, where: list[Condition], tmp_path: Path
) -> None:
    table = Lake(str(tmp_path)).events("p", "topic")
    for day, date in enumerate(DAYS):
        cells = {"n": [10 * day, 10 * day + 9], "text": [f"it's {day}", None], "date": [date, date]}
        table.append(pa.table(cells), {})

    def read() -> list[dict[str, object]]:
        found = table.read(["text", "n"], dates=dates, where=where)
        assert found is not None
        rows: list[dict[str, object]] = found.sort_by("n").to_pylist()
        return rows

    days = (3,) if dates and dates[0] == dates[1] else (3, 4)
    expected = [{"text": text, "n": 10 * day + n} for day in days for text, n in ((f"it's {day}", 0), (None, 9))]
    if where and where[0][0] == "text":
        expected = [row for row in expected if row["text"]]
    assert read() == expected
    kept = {f"date={DAYS[day]}" for day in days}
    spoilt = [path for path in tmp_path.rglob("*.parquet") if path.parent.name not in kept]
    for path in spoilt:
        path.write_bytes(b"no parquet")
    assert len(spoilt) == len(DAYS) - len(days)
    assert read() == expected


def test_conditions_that_nothing_fulfils_give_no_rows_but_the_columns(tmp_path: Path) -> None:
    table = Lake(str(tmp_path)).events("p", "topic")
    table.append(pa.table({"n": [1], "text": ["a"], "date": ["2013-01-01"]}), {})
    nothing: list[Condition] = [("text", "in", []), ("n", ">", 1), ("text", "=", "' OR 1 = 1 --")]
    for condition in nothing:
        found = table.read(["n", "text"], where=[condition])
        assert found is not None
        assert (found.num_rows, found.schema.types) == (0, [pa.int64(), pa.string()])


def test_readers_follow_other_writers_and_recover_from_a_table_made_anew(tmp_path: Path) -> None:
    reader, writer = (Lake(str(tmp_path)).events("p", "topic") for _ in range(2))
    rows = pa.table({"n": [1], "date": ["2013-01-01"]})
    for count in range(1, 4):
        writer.append(rows, {log_mark(1, 0): count})
        found = reader.read(["n"])
        assert found is not None
        assert (found.num_rows, reader.marks([log_mark(1, 0)])) == (count, {"1/0": count})
    shutil.rmtree(tmp_path)
    writer.append(rows.set_column(0, "m", pa.array([2])), {})
    with pytest.raises((OSError, pa.ArrowException)):
        reader.read(["n"])
    found = reader.read(["m"])
    assert found is not None
    assert found.to_pylist() == [{"m": 2}]
