"""Texts of the command line as typed values."""

import datetime as dt

import pytest

from skewless.cli import values
from skewless.cli.answer import CliError, table
from skewless.types import ValueType

TYPES = {kind.value: kind for kind in ValueType}


def test_values_are_read_as_their_types() -> None:
    texts = {
        "int64": "-7",
        "float64": "12.5",
        "bool": "True",
        "string": "12.5",
        "timestamp": "1970-01-01T00:00:01+00:00",
    }
    assert values.typed(texts, TYPES, "--request", "x") == {
        "int64": -7,
        "float64": 12.5,
        "bool": True,
        "string": "12.5",
        "timestamp": 1_000_000,
    }


def test_an_empty_text_is_null_but_for_strings() -> None:
    found = values.typed(dict.fromkeys(TYPES, ""), TYPES, "--request", "x")
    assert found == {**dict.fromkeys(TYPES), "string": ""}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("int64", "1.5", "--request int64: expected int64, got str '1.5'"),
        ("int64", "1_000", "--request int64: expected int64, got str '1_000'"),
        ("float64", "1_0.5", "--request float64: expected float64, got str '1_0.5'"),
        ("int64", str(2**63), "--request int64: expected int64"),
        ("float64", "nan", "--request float64: expected float64, got nan"),
        ("float64", "much", "--request float64: expected float64, got str 'much'"),
        ("bool", "yes", "--request bool: expected bool"),
        ("timestamp", "2026-01-31T12:00:00", "has no zone"),
        ("other", "1", "--request other: x takes int64 (int64)"),
    ],
)
def test_faulty_values_are_told(name: str, text: str, words: str) -> None:
    with pytest.raises(CliError) as error:
        values.typed({name: text, "bool": "no"} if name != "bool" else {name: text}, TYPES, "--request", "x")
    assert words in error.value.message
    assert "--request bool" in error.value.message  # every fault at once


def test_pairs() -> None:
    assert values.pairs(["a=1", "b=x=y", "c="], "--entity") == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(CliError, match="--entity takes NAME=VALUE, got 'a'"):
        values.pairs(["a"], "--entity")
    with pytest.raises(CliError, match="--entity a is given twice"):
        values.pairs(["a=1", "a=2"], "--entity")


def test_instants_need_a_zone() -> None:
    assert values.instant(None, "--at") is None
    assert values.instant("2026-01-31T12:00:00Z", "--at") == dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
    now = values.instant("now", "--at")
    assert now is not None
    assert abs(now - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    with pytest.raises(CliError, match=r"--at 2026-01-31T12:00 has no zone; add one, e\.g\. 2026-01-31T12:00Z"):
        values.instant("2026-01-31T12:00", "--at")
    with pytest.raises(CliError, match=r"no time of day and no zone; say e\.g\. 2026-01-31T00:00:00Z"):
        values.instant("2026-01-31", "--at")
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        with pytest.raises(CliError, match="outside the years 1 to 9999"):
            values.instant(text, "--at")
    with pytest.raises(CliError, match="takes a time such as"):
        values.instant("yesterday", "--at")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (1.2345, "1.23s"), (70, "1m 10s"), (3_660, "1h 1m"), (90_000, "1d 1h"), (-70, "-1m 10s")],
)
def test_ages(seconds: float, text: str) -> None:
    assert values.age(seconds) == text


def test_tables_are_in_line() -> None:
    assert table(("a", "long one"), [("xyz", None), (1, 2)]) == "A    LONG ONE\nxyz  -\n1    2"
