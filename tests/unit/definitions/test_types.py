"""Instants and cells: exact, and nothing is guessed."""

import copy
import datetime as dt
import math
import re
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from skewless.errors import NaiveTimestampError, WrongTypeError
from skewless.types import TIMELESS_US, Status, ValueType, check_cell, from_micros, to_micros


@pytest.mark.parametrize(
    ("instant", "micros"),
    [
        (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), 0),
        (dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC), -1),
        (dt.datetime(1, 1, 1, tzinfo=dt.UTC), TIMELESS_US),
        (dt.datetime(2013, 7, 1, 8, tzinfo=ZoneInfo("America/New_York")), 1_372_680_000_000_000),
        (dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC), 253_402_300_799_999_999),
    ],
)
def test_instants_are_exact(instant: dt.datetime, micros: int) -> None:
    assert to_micros(instant) == micros
    assert from_micros(micros) == instant


def test_a_naive_instant_is_refused_with_advice() -> None:
    with pytest.raises(NaiveTimestampError, match=r"request_time: expected a timestamp with a zone.*add one"):
        to_micros(dt.datetime(2013, 1, 1), field="request_time")  # noqa: DTZ001


@pytest.mark.parametrize(
    ("value", "kind", "cell"),
    [
        (None, ValueType.INT64, None),
        (3, ValueType.INT64, 3),
        (3, ValueType.FLOAT64, 3.0),
        (2**53, ValueType.FLOAT64, float(2**53)),
        (-0.5, ValueType.FLOAT64, -0.5),
        (True, ValueType.BOOL, True),
        ("é", ValueType.STRING, "é"),
        (-5, ValueType.TIMESTAMP, -5),
        (dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC), ValueType.TIMESTAMP, 1_000_000),
    ],
)
def test_values_of_the_type_pass(value: object, kind: ValueType, cell: object) -> None:
    checked = check_cell(value, kind, field="x")
    assert checked == cell
    assert type(checked) is type(cell)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, ValueType.INT64),
        (1, ValueType.BOOL),
        (1.0, ValueType.INT64),
        (2**63, ValueType.INT64),
        (2**53 + 1, ValueType.FLOAT64),
        (math.nan, ValueType.FLOAT64),
        (math.inf, ValueType.FLOAT64),
        (b"x", ValueType.STRING),
        ("2013-01-01", ValueType.TIMESTAMP),
        (1.5, ValueType("decimal(5,2)")),
        (True, ValueType("decimal(5,2)")),
        ("1.5", ValueType("decimal(5,2)")),
        (Decimal("1.005"), ValueType("decimal(5,2)")),
        (1000, ValueType("decimal(5,2)")),
        (Decimal("Infinity"), ValueType("decimal(5,2)")),
        (Decimal("sNaN"), ValueType("decimal(5,2)")),
        (Decimal("1E+999999"), ValueType("decimal(5,2)")),
        (Decimal("1E-999999"), ValueType("decimal(5,2)")),
    ],
)
def test_others_are_refused_by_name(value: object, kind: ValueType) -> None:
    with pytest.raises(WrongTypeError, match=rf"amount: expected {re.escape(kind)}(, a Decimal or an int)?, got "):
        check_cell(value, kind, field="amount")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("1.5"), "1.50"),
        (7, "7.00"),
        (Decimal("-0"), "0.00"),
        (Decimal("1E+2"), "100.00"),
        (Decimal("2.5000"), "2.50"),
    ],
)
def test_decimals_get_the_digits_of_their_type(value: object, shown: str) -> None:
    assert str(check_cell(value, ValueType("decimal(5,2)"), field="x")) == shown


def test_types_of_decimals_are_found_by_name() -> None:
    kind = ValueType("decimal(12,2)")
    assert ValueType("decimal(12,2)") is kind
    assert copy.deepcopy(kind) is kind
    assert (kind.decimal, kind.element, kind.numeric) == ((12, 2), None, False)
    assert ValueType("list<decimal(12,2)>").element is kind
    assert kind not in list(ValueType)
    for name in ("decimal", "decimal(19,2)", "decimal(2,3)", "decimal(0,0)", "decimal(5, 2)", "list<decimal(19,2)>"):
        with pytest.raises(ValueError, match=r"is not a valid ValueType"):
            ValueType(name)


def test_only_two_statuses_come_with_a_value() -> None:
    assert [status for status in Status if status.has_value] == [Status.PRESENT, Status.PARTIAL]
