"""The field of a message that a column is read from: its numbers, its type, and what its absence means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from skewless.types import ValueType

TIMESTAMP: Final = "google.protobuf.Timestamp"
WRAPPERS: Final = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Bool", "Double", "Float", "Int32", "Int64", "UInt32", "UInt64", "String", "Bytes")
)
_NAMES: Final = {
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_SINT32: "sint32",
    FieldDescriptor.TYPE_SINT64: "sint64",
    FieldDescriptor.TYPE_FIXED32: "fixed32",
    FieldDescriptor.TYPE_FIXED64: "fixed64",
    FieldDescriptor.TYPE_SFIXED32: "sfixed32",
    FieldDescriptor.TYPE_SFIXED64: "sfixed64",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_ENUM: "enum",
}
_WORDS: Final = {
    **_NAMES,
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_GROUP: "group",
    FieldDescriptor.TYPE_MESSAGE: "message",
}
READ_AS: Final[dict[str, tuple[ValueType, ...]]] = {
    **dict.fromkeys(("int32", "uint32", "sint32", "fixed32", "sfixed32"), (ValueType.INT64,)),
    **dict.fromkeys(("int64", "uint64", "sint64", "fixed64", "sfixed64"), (ValueType.INT64, ValueType.TIMESTAMP)),
    "bool": (ValueType.BOOL,),
    "float": (ValueType.FLOAT64,),
    "double": (ValueType.FLOAT64,),
    "string": (ValueType.STRING, ValueType.TIMESTAMP),
    "enum": (ValueType.INT64, ValueType.STRING),
    "timestamp": (ValueType.TIMESTAMP,),
}
"""The types of columns that a field may be read as, the usual one first; a string also as any decimal. The kernel
judges by the same table."""


class FieldError(ValueError):
    """A column that cannot be read from a message.

    reason: stable, upper-snake.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Leaf:
    """path: field numbers from the message down. presence: whether an absent field is null."""

    path: tuple[int, ...]
    kind: str
    presence: bool
    enum: EnumDescriptor | None


def resolve(message: Descriptor, column: str, column_type: str, dotted: str) -> dict[str, Any]:
    """The member of ``payload.fields`` for a column that is read from the field at a dotted path.

    Raises FieldError where there is no such field, or none that can be read as a column of this type.
    """
    leaf = _leaf(message, column, dotted)
    fitting = READ_AS[leaf.kind]
    if leaf.kind == "string" and _is_decimal(column_type):
        fitting = (*fitting, ValueType(column_type))
    if (column_type in set(ValueType) or _is_decimal(column_type)) and column_type not in fitting:
        what = "google.protobuf.Timestamp" if leaf.kind == "timestamp" else leaf.kind
        raise FieldError(
            f"column {column!r} is {column_type}, the field {dotted} of {message.full_name} is {what}; "
            f"declare the column as {' or '.join(fitting)}, or read another field",
            "TYPE_MISMATCH",
        )
    named = leaf.enum if column_type == ValueType.STRING else None
    return {
        "column": column,
        "path": list(leaf.path),
        "type": leaf.kind,
        "presence": leaf.presence,
        "names": None if named is None else _names(named),
    }


def _is_decimal(name: str) -> bool:
    try:
        return ValueType(name).decimal is not None
    except ValueError:
        return False


def _leaf(message: Descriptor, column: str, dotted: str) -> _Leaf:
    path: list[int] = []
    within = message
    *way, last = dotted.split(".")
    for step in way:
        field = _field(within, step, column)
        if field.message_type is None or field.message_type.full_name in {TIMESTAMP, *WRAPPERS}:
            raise FieldError(
                f"{step!r} on the way {dotted!r} is {_described(field)}, which has no fields to read; end the path "
                "there",
                "UNSUPPORTED_FIELD",
            )
        path.append(field.number)
        within = field.message_type
    field = _field(within, last, column)
    path.append(field.number)
    inner = field.message_type
    if inner is not None and inner.full_name == TIMESTAMP:
        return _Leaf(tuple(path), "timestamp", presence=True, enum=None)
    if inner is not None and inner.full_name in WRAPPERS:
        field = _field(inner, "value", column)
        path.append(field.number)
    elif inner is not None:
        members = ", ".join(f"{dotted}.{member.name}" for member in inner.fields)
        raise FieldError(
            f"the field {dotted} of {message.full_name} is a message, {inner.full_name}; "
            f"read a field of it: {members or 'it has none'}",
            "UNSUPPORTED_FIELD",
        )
    return _Leaf(tuple(path), _NAMES[field.type], presence=field.has_presence, enum=field.enum_type)


def _field(message: Descriptor, name: str, column: str) -> FieldDescriptor:
    """A field that has at most one value, from itself alone."""
    field = message.fields_by_name.get(name)
    if field is None:
        raise FieldError(
            f"{message.full_name} has no field {name!r} for column {column!r}; "
            f"it has {', '.join(message.fields_by_name) or 'none'}. Name the field of a column in Protobuf(fields=...)",
            "UNKNOWN_FIELD",
        )
    oneof = field.containing_oneof
    if field.is_repeated or field.type in {FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_GROUP}:
        trouble = _described(field)
    elif oneof is not None and not _synthetic(field):
        trouble = f"a member of the oneof {oneof.name!r}"
    else:
        return field
    raise FieldError(
        f"the field {name!r} of {message.full_name}, for column {column!r}, is {trouble}, which no column is read "
        "from; add a field of one number, text, bool, enum or timestamp to the message",
        "UNSUPPORTED_FIELD",
    )


def _synthetic(field: FieldDescriptor) -> bool:
    """Whether its oneof only stands for the word ``optional``."""
    oneof = field.containing_oneof
    return oneof is not None and len(oneof.fields) == 1 and oneof.name == f"_{field.name}"


def _described(field: FieldDescriptor) -> str:
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        return "a map"
    words = _WORDS[field.type] if inner is None else inner.full_name
    return f"repeated {words}" if field.is_repeated else words


def _names(enum: EnumDescriptor) -> list[dict[str, Any]]:
    """Ascending by number; of several names of one number the first that is declared."""
    first: dict[int, str] = {}
    for value in enum.values:
        first.setdefault(value.number, value.name)
    return [{"number": number, "name": first[number]} for number in sorted(first)]
