"""Cells as messages, and back."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final, cast

from skewless.api.types.v1 import value_pb2 as pb
from skewless.errors import WrongTypeError
from skewless.types import MOST_DIGITS, Cell, Status, ValueType, check_cell, describe, to_micros

_TYPES: Final[dict[ValueType, pb.ValueType]] = {
    ValueType.INT64: pb.VALUE_TYPE_INT64,
    ValueType.FLOAT64: pb.VALUE_TYPE_FLOAT64,
    ValueType.BOOL: pb.VALUE_TYPE_BOOL,
    ValueType.STRING: pb.VALUE_TYPE_STRING,
    ValueType.TIMESTAMP: pb.VALUE_TYPE_TIMESTAMP,
    ValueType.INT64_LIST: pb.VALUE_TYPE_INT64_LIST,
    ValueType.FLOAT64_LIST: pb.VALUE_TYPE_FLOAT64_LIST,
    ValueType.BOOL_LIST: pb.VALUE_TYPE_BOOL_LIST,
    ValueType.STRING_LIST: pb.VALUE_TYPE_STRING_LIST,
    ValueType.TIMESTAMP_LIST: pb.VALUE_TYPE_TIMESTAMP_LIST,
}
_TYPES_BACK: Final = {value: kind for kind, value in _TYPES.items()}
_MEMBERS: Final[dict[ValueType, str]] = {
    ValueType.INT64: "int64_value",
    ValueType.FLOAT64: "float64_value",
    ValueType.BOOL: "bool_value",
    ValueType.STRING: "string_value",
    ValueType.TIMESTAMP: "timestamp_us_value",
    ValueType.INT64_LIST: "int64_list",
    ValueType.FLOAT64_LIST: "float64_list",
    ValueType.BOOL_LIST: "bool_list",
    ValueType.STRING_LIST: "string_list",
    ValueType.TIMESTAMP_LIST: "timestamp_us_list",
}
_MEMBERS_BACK: Final = {member: kind for kind, member in _MEMBERS.items()}
_LIST_MEMBERS: Final = frozenset(member for kind, member in _MEMBERS.items() if kind.element is not None)
_DECIMAL: Final = re.compile(r"-?[0-9]{1,18}(?:\.([0-9]{1,18}))?", re.ASCII)


def type_to_proto(kind: ValueType) -> pb.ValueType:
    """The type; of a decimal without its digits, which its name has."""
    if kind.decimal is not None:
        return pb.VALUE_TYPE_DECIMAL
    if kind.element is not None and kind.element.decimal is not None:
        return pb.VALUE_TYPE_DECIMAL_LIST
    return _TYPES[kind]


def type_from_proto(kind: pb.ValueType) -> ValueType | None:
    """The type; None for UNSPECIFIED, decimals (which it does not tell apart) and types that are not known here."""
    return _TYPES_BACK.get(kind)


def status_to_proto(status: Status) -> pb.Status:
    """The status; the integers are the same on both sides."""
    return cast("pb.Status", int(status))


def value_to_proto(cell: object, kind: ValueType, *, field: str = "value") -> pb.Value:
    """A cell of a known type; ``None`` becomes a value without a member. Raises WrongTypeError."""
    checked = check_cell(cell, kind, field=field)
    if checked is None:
        return pb.Value()
    if kind.decimal is not None:
        return pb.Value(decimal_value=f"{checked:f}")
    if kind.element is None:
        return pb.Value(**{_MEMBERS[kind]: checked})  # type: ignore[arg-type]
    value = pb.Value()
    if kind.element.decimal is not None:
        value.decimal_list.SetInParent()
        value.decimal_list.values.extend(f"{item:f}" for item in checked)  # type: ignore[union-attr]
        return value
    items = getattr(value, _MEMBERS[kind])
    items.SetInParent()  # an empty list is no null
    items.values.extend(checked)
    return value


def infer_value(cell: object, *, field: str = "value", lists: bool = False) -> pb.Value:
    """A Python value by its own type: bool, int, float, str, Decimal, aware datetime or None. Raises WrongTypeError.

    lists: whether it may be a list of these, too.
    """
    kind = infer_type(cell, field=field, lists=lists)
    return pb.Value() if kind is None else value_to_proto(cell, kind, field=field)


_OWN_TYPES: Final = (
    (bool, ValueType.BOOL),  # before int, of which it is one
    (int, ValueType.INT64),
    (float, ValueType.FLOAT64),
    (str, ValueType.STRING),
    (dt.datetime, ValueType.TIMESTAMP),
)


def infer_type(cell: object, *, field: str = "value", lists: bool = False) -> ValueType | None:
    """The type that a Python value has by itself; None for null. Raises WrongTypeError."""
    if isinstance(cell, dt.datetime):
        to_micros(cell, field=field)
    kind = next((kind for own, kind in _OWN_TYPES if isinstance(cell, own)), None)
    if kind is not None or cell is None:
        return kind
    if isinstance(cell, Decimal) and cell.is_finite():
        return _decimal_type(-int(cell.as_tuple().exponent), cell, field=field)
    if lists and isinstance(cell, list | tuple):
        return _infer_list(cell, field=field)
    expected = "a bool, int, float, str, Decimal, datetime" + (", None or a list" if lists else " or None")
    raise WrongTypeError(field=field, expected=expected, got=describe(cell))


def _decimal_type(scale: int, cell: object, *, field: str) -> ValueType:
    """Of so many digits after the point."""
    if scale > MOST_DIGITS:
        raise WrongTypeError(field=field, expected=f"at most {MOST_DIGITS} digits after the point", got=describe(cell))
    return ValueType(f"decimal({MOST_DIGITS},{max(scale, 0)})")


def _infer_list(cell: Sequence[object], *, field: str) -> ValueType:
    """The type of a list by its items; one without items may be of any, and is told as one of int64."""
    kinds = {infer_type(item, field=f"{field}[{place}]") for place, item in enumerate(cell)}
    if kinds == {ValueType.INT64, ValueType.FLOAT64}:
        kinds = {ValueType.FLOAT64}
    if len(kinds) > 1 and None not in kinds:
        digits = [kind.decimal for kind in kinds if kind is not None]
        if None not in digits:  # decimals, some with fewer digits after the point
            kinds = {max(kinds, key=lambda kind: kind.decimal or (0, 0))}  # type: ignore[union-attr]
    kind = next(iter(kinds), ValueType.INT64)
    if len(kinds) > 1 or kind is None or kind.element is not None:
        raise WrongTypeError(field=field, expected="items of one type, none of them None", got=describe(cell))
    return ValueType(f"list<{kind.value}>")


def value_from_proto(value: pb.Value) -> Cell:
    """The cell; a timestamp is an ``int`` in microseconds; a value without a member is ``None``."""
    member = value.WhichOneof("kind")
    if member is None:
        return None
    cell = getattr(value, member)
    if member == "decimal_value":
        return _read_decimal(cell)
    if member == "decimal_list":
        return [_read_decimal(item) for item in cell.values]
    return list(cell.values) if member in _LIST_MEMBERS else cell


def _read_decimal(text: str) -> Decimal:
    if _DECIMAL.fullmatch(text) is None:
        raise WrongTypeError(field="value", expected="a decimal such as -12.34", got=describe(text))
    return Decimal(text)


def type_of_value(value: pb.Value) -> ValueType | None:
    """The type of the member that is set; None for null."""
    member = value.WhichOneof("kind")
    if member == "decimal_value":
        return infer_type(_read_decimal(value.decimal_value))
    if member == "decimal_list":
        return _infer_list([_read_decimal(item) for item in value.decimal_list.values], field="value")
    return None if member is None else _MEMBERS_BACK[member]


def column_to_proto(cells: Iterable[object], *, field: str = "column", lists: bool = False) -> pb.ValueColumn:
    """A column of Python values by their own types. Raises WrongTypeError, naming the row."""
    values = [infer_value(cell, field=f"{field}[{row}]", lists=lists) for row, cell in enumerate(cells)]
    return pb.ValueColumn(values=values)


def column_from_proto(column: pb.ValueColumn) -> list[Cell]:
    return [value_from_proto(value) for value in column.values]
