"""Values and definitions survive the wire."""

import datetime as dt
from decimal import Decimal

import pytest

from skewless.api.definitions.v1 import definition_pb2
from skewless.api.types.v1 import value_pb2
from skewless.codec.definitions import (
    catalog_from_proto,
    definition_from_proto,
    definition_to_proto,
    kind_from_proto,
    kind_to_proto,
)
from skewless.codec.values import (
    column_from_proto,
    column_to_proto,
    infer_value,
    type_from_proto,
    type_of_value,
    type_to_proto,
    value_from_proto,
    value_to_proto,
)
from skewless.definitions.resource import Definition, Kind, Version, canonical
from skewless.errors import InvalidArgumentError, WrongTypeError
from skewless.types import Cell, Status, ValueType


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        (-(2**63), ValueType.INT64),
        (0, ValueType.INT64),
        (-0.0, ValueType.FLOAT64),
        (5e-324, ValueType.FLOAT64),
        (False, ValueType.BOOL),
        ("", ValueType.STRING),
        (253_402_300_799_999_999, ValueType.TIMESTAMP),
        (Decimal("-0.05"), ValueType("decimal(18,2)")),
        (Decimal(999999999999999999), ValueType("decimal(18,0)")),
        ([Decimal("0.000000000000000001")], ValueType("list<decimal(18,18)>")),
    ],
)
def test_a_cell_survives_with_its_type(cell: Cell, kind: ValueType) -> None:
    value = value_pb2.Value.FromString(value_to_proto(cell, kind).SerializeToString())
    assert repr(value_from_proto(value)) == repr(cell)
    assert type_of_value(value) is kind


def test_a_decimal_has_the_digits_of_its_type() -> None:
    assert value_to_proto(Decimal("1.5"), ValueType("decimal(6,3)")).decimal_value == "1.500"
    assert list(value_to_proto([1], ValueType("list<decimal(6,3)>")).decimal_list.values) == ["1.000"]
    assert value_from_proto(value_to_proto([], ValueType("list<decimal(6,3)>"))) == []
    assert infer_value([Decimal(1), Decimal("2.50")], lists=True).decimal_list.values == ["1.00", "2.50"]
    for text in ("", "1e2", "NaN", "1.", "٣"):
        with pytest.raises(WrongTypeError):
            value_from_proto(value_pb2.Value(decimal_value=text))


def test_null_has_no_member() -> None:
    value = value_to_proto(None, ValueType.INT64)
    assert value == value_pb2.Value()
    assert value_from_proto(value) is None
    assert type_of_value(value) is None


def test_python_values_are_taken_by_their_own_type() -> None:
    instant = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
    column = column_to_proto([1, 1.0, True, "1", None, instant])
    assert [type_of_value(value) for value in column.values] == [
        ValueType.INT64,
        ValueType.FLOAT64,
        ValueType.BOOL,
        ValueType.STRING,
        None,
        ValueType.TIMESTAMP,
    ]
    assert column_from_proto(column) == [1, 1.0, True, "1", None, 1_356_998_400_000_000]


NAIVE = dt.datetime(2013, 1, 1)  # noqa: DTZ001


@pytest.mark.parametrize("bad", [float("nan"), 2**63, b"x", "\ud800", [1], Decimal("NaN"), Decimal("1e-19"), NAIVE])
def test_what_is_no_value_is_refused_with_its_row(bad: object) -> None:
    with pytest.raises(WrongTypeError, match=r"origin\[1\]"):
        column_to_proto([1, bad], field="origin")
    with pytest.raises(WrongTypeError):
        infer_value(bad)


def test_types_and_statuses_are_those_of_the_contract() -> None:
    assert [type_from_proto(type_to_proto(kind)) for kind in ValueType] == list(ValueType)
    assert type_from_proto(value_pb2.VALUE_TYPE_UNSPECIFIED) is None
    assert type_to_proto(ValueType("decimal(12,2)")) == value_pb2.VALUE_TYPE_DECIMAL
    assert type_to_proto(ValueType("list<decimal(12,2)>")) == value_pb2.VALUE_TYPE_DECIMAL_LIST
    assert type_from_proto(value_pb2.VALUE_TYPE_DECIMAL) is None
    assert {f"STATUS_{status.name}": status.value for status in Status} == {
        name: number for name, number in value_pb2.Status.items() if number
    }


def test_kinds_are_those_of_the_contract() -> None:
    names = {f"RESOURCE_KIND_{kind.name}": kind_to_proto(kind) for kind in Kind}
    assert names == {name: number for name, number in definition_pb2.ResourceKind.items() if number}
    assert list(names.values()) == sorted(names.values())
    assert [kind_from_proto(number) for number in names.values()] == list(Kind)
    assert kind_from_proto(definition_pb2.RESOURCE_KIND_UNSPECIFIED) is None


def test_a_definition_survives() -> None:
    meaning = canonical({"format": 1, "kind": "entity", "project": "p", "name": "e", "keys": []})
    definition = Definition("p", Kind.ENTITY, "e", None, meaning, "what", "who", {"a": "b"})
    message = definition_to_proto(definition)
    assert message.meaning_hash == definition.meaning_hash
    assert definition_from_proto(message) == definition
    assert catalog_from_proto([message], 4).revision == 4


def test_the_hash_of_a_message_is_not_believed() -> None:
    message = definition_to_proto(Definition("p", Kind.WINDOW_VIEW, "e", Version(1, 2, 3), b"{}"))
    message.meaning_hash = b"\0" * 32
    assert definition_from_proto(message).meaning_hash != message.meaning_hash
    assert definition_from_proto(message).version == (1, 2, 3)


def test_a_message_that_is_no_definition_says_why() -> None:
    with pytest.raises(InvalidArgumentError, match=r"definitions\[2\].version: expected MAJOR.MINOR.PATCH"):
        definition_from_proto(definition_pb2.Definition(kind=3, version="1.x"), path="definitions[2]")  # type: ignore[arg-type]
