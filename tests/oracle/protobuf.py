"""The cells of a protobuf message (docs/semantics.md, V9 to V11), by the wire format alone.

Brute force: the whole message becomes a list of occurrences, and each column looks for its own.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.oracle.cells import Value
from tests.oracle.decimals import is_decimal, read
from tests.oracle.rounding import INT64_MAX
from tests.oracle.verdicts import MALFORMED, Column, MalformedError, Verdict, in_years, instant, timed

LONGEST_STRING = 4096
GROUP_DEPTH = 64


@dataclass(frozen=True)
class Field:
    """Where a column stands: numbers from the message down, the type there, whether absent is null."""

    path: tuple[int, ...]
    type: str
    presence: bool
    names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Occurrence:
    """A field as it was written; `content` is a number or bytes."""

    number: int
    wire: int
    content: int | bytes


VARINT, FIXED64, BYTES, START, END, FIXED32 = range(6)
_WIRES = {
    **dict.fromkeys(("fixed32", "sfixed32", "float"), FIXED32),
    **dict.fromkeys(("fixed64", "sfixed64", "double"), FIXED64),
    **dict.fromkeys(("string", "timestamp"), BYTES),
}


def judge_protobuf(
    payload: bytes,
    append_time: int,
    columns: Sequence[Column],
    event_time: str,
    *,
    fields: Mapping[str, Field],
    tolerance: int,
) -> Verdict:
    """V3 and V9 to V11 for a message with its append time in microseconds."""
    try:
        message = _occurrences(payload)
        for where in fields.values():
            _check(message, where)
        row = {c.name: _cell(message, c, fields[c.name]) for c in columns}
    except MalformedError:
        return MALFORMED
    t = row.pop(event_time)
    assert isinstance(t, int)
    return timed(t, row, append_time, tolerance)


def _occurrences(content: bytes) -> list[_Occurrence]:
    """The fields of a message; of a group only that it is there."""
    found, at = [], 0
    groups: list[int] = []
    while at < len(content):
        tag, at = _varint(content, at)
        number, wire = tag >> 3, tag & 7
        if not 1 <= number < 2**29:
            raise MalformedError
        value, at = _content(content, at, wire)
        if wire == END and (not groups or groups.pop() != number):
            raise MalformedError
        if wire != END and not groups:
            found.append(_Occurrence(number, wire, value))
        if wire == START:
            groups.append(number)
        if len(groups) > GROUP_DEPTH:
            raise MalformedError
    if groups:
        raise MalformedError
    return found


def _content(content: bytes, at: int, wire: int) -> tuple[int | bytes, int]:
    """What a field holds, and where the next one begins."""
    if wire in {START, END}:
        return 0, at
    if wire == VARINT:
        return _varint(content, at)
    if wire == BYTES:
        length, at = _varint(content, at)
        return _take(content, at, length), at + length
    if wire not in {FIXED32, FIXED64}:
        raise MalformedError
    width = 4 if wire == FIXED32 else 8
    return int.from_bytes(_take(content, at, width), "little"), at + width


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        (byte,) = _take(content, at + place, 1)
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if value >= 2**64:
                raise MalformedError
            return value, at + place + 1
    raise MalformedError


def _take(content: bytes, at: int, length: int) -> bytes:
    taken = content[at : at + length]
    if len(taken) != length:
        raise MalformedError
    return taken


def _within(message: Sequence[_Occurrence], number: int) -> list[_Occurrence] | None:
    """The fields of the messages of this number, merged; None: there is none."""
    inner = [o for o in message if o.number == number]
    if not inner:
        return None
    if any(o.wire != BYTES for o in inner):
        raise MalformedError
    return [o for each in inner if isinstance(each.content, bytes) for o in _occurrences(each.content)]


def _find(message: Sequence[_Occurrence], where: Field) -> tuple[list[_Occurrence] | None, list[_Occurrence]]:
    """The message that holds the field, and the field's occurrences."""
    within: list[_Occurrence] | None = list(message)
    for number in where.path[:-1]:
        within = _within(within or [], number)
    return within, [o for o in within or [] if o.number == where.path[-1]]


def _check(message: Sequence[_Occurrence], where: Field) -> None:
    """Every occurrence is written as the type says, also one that another takes the place of."""
    _, found = _find(message, where)
    if any(o.wire != _WIRES.get(where.type, VARINT) for o in found):
        raise MalformedError
    if where.type == "timestamp":
        inner = _within(found, where.path[-1]) or []
        if any(o.wire != VARINT for o in inner if o.number in {1, 2}):
            raise MalformedError


def _cell(message: Sequence[_Occurrence], column: Column, where: Field) -> Value:
    within, found = _find(message, where)
    value: Value
    if not found and (where.presence or within is None):
        value = None
    elif where.type == "timestamp":
        value = _moment(_within(found, where.path[-1]) or [])
    elif where.type == "string":
        content = found[-1].content if found else b""
        assert isinstance(content, bytes)
        value = _text(content, column.type)
    else:
        number = found[-1].content if found else 0
        assert isinstance(number, int)
        value = _number(number, column.type, where)
    if value is None and not column.nullable:
        raise MalformedError
    return value


def _moment(inner: Sequence[_Occurrence]) -> int:
    last = {o.number: o.content for o in inner}
    seconds, nanos = (_signed(int(last.get(n, 0)), bits) for n, bits in ((1, 64), (2, 32)))
    if not 0 <= nanos < 10**9:
        raise MalformedError
    return _instant(seconds * 10**6 + nanos // 1000)


def _text(content: bytes, column_type: str) -> Value:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise MalformedError from None
    if column_type == "timestamp":
        return _instant(instant(text))
    if is_decimal(column_type):
        found = read(text, column_type)
        if found is None:
            raise MalformedError
        return found
    if len(content) > LONGEST_STRING:
        raise MalformedError
    return text


def _number(bits: int, column_type: str, where: Field) -> Value:
    if where.type == "bool":
        return bits != 0
    if where.type in {"float", "double"}:
        return _double(bits, where.type)
    integer = _INTEGERS[where.type](bits)
    if where.type == "enum" and column_type == "string":
        if integer not in where.names:
            raise MalformedError
        return where.names[integer]
    if integer > INT64_MAX:
        raise MalformedError
    return _instant(integer) if column_type == "timestamp" else integer


def _double(bits: int, kind: str) -> float:
    size, code = (4, "<f") if kind == "float" else (8, "<d")
    double: float = struct.unpack(code, bits.to_bytes(size, "little"))[0]
    if not math.isfinite(double):
        raise MalformedError
    return double


def _zigzag(bits: int) -> int:
    half, odd = divmod(bits, 2)
    return -half - 1 if odd else half


def _signed(bits: int, width: int) -> int:
    own: int = bits & ((1 << width) - 1)
    return own - (1 << width) if own >> (width - 1) else own


_INTEGERS: Mapping[str, Callable[[int], int]] = {
    **dict.fromkeys(("int32", "sfixed32", "enum"), lambda bits: _signed(bits, 32)),
    **dict.fromkeys(("int64", "sfixed64"), lambda bits: _signed(bits, 64)),
    **dict.fromkeys(("uint32", "fixed32"), lambda bits: bits % 2**32),
    **dict.fromkeys(("uint64", "fixed64"), lambda bits: bits),
    "sint32": lambda bits: _zigzag(bits % 2**32),
    "sint64": _zigzag,
}


def _instant(t: int) -> int:
    found = in_years(t)
    if found is None:
        raise MalformedError
    return found
