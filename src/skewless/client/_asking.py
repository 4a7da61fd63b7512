"""From arguments to what messages take. What no message can carry is refused here, by the argument's name.

What an argument of the right type means is judged by the service that is asked. Every function takes the argument
and its name, and raises WrongTypeError unless it says otherwise.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from skewless.api.definitions.v1 import definition_pb2
from skewless.api.types.v1 import value_pb2
from skewless.client.results import Plan
from skewless.codec.definitions import definition_to_proto
from skewless.codec.values import column_to_proto
from skewless.definitions.project import Project
from skewless.definitions.resource import Definition, Kind
from skewless.errors import InvalidArgumentError, Violation, WrongTypeError
from skewless.types import ValueType, check_cell, describe

T = TypeVar("T")

INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1
_LONGEST_WAIT_S: Final = 1e8  # three years; gRPC counts deadlines in nanoseconds


def text(argument: object, field: str) -> str:
    """A text that UTF-8 can carry."""
    if argument is None:
        raise wrong(argument, field, "a text")
    return cast("str", check_cell(argument, ValueType.STRING, field=field))


def texts(argument: object, field: str) -> list[str]:
    """Texts in an order; not one text, whose characters would be taken for texts."""
    return [text(item, f"{field}[{place}]") for place, item in enumerate(_ordered(argument, field, "a list of texts"))]


def whole(argument: object, field: str, least: int = 0, most: int = INT32_MAX) -> int:
    """A whole number within bounds."""
    number = None if argument is None else _cell_or_none(argument, ValueType.INT64)
    if number is None or not least <= number <= most:
        raise wrong(argument, field, f"a whole number from {least} to {most}")
    return int(number)


def numbers(argument: object, field: str) -> list[float]:
    """Numbers in an order, of Python or of another library."""
    found = []
    for place, item in enumerate(_ordered(argument, field, "a list of numbers")):
        if isinstance(item, bool | str | bytes | bytearray | memoryview):
            raise wrong(item, f"{field}[{place}]", "a number")
        try:
            found.append(float(item))  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            raise wrong(item, f"{field}[{place}]", "a number that a double can hold") from None
    return found


def seconds(argument: object, field: str = "timeout_s") -> float:
    """How long to wait."""
    real = isinstance(argument, int | float) and not isinstance(argument, bool)
    if not real or not 0 < argument <= _LONGEST_WAIT_S:  # type: ignore[operator]
        raise wrong(argument, field, f"seconds above 0, at most {_LONGEST_WAIT_S:g}")
    return float(cast("float", argument))


def flag(argument: object, field: str) -> bool:
    """True or False."""
    return a(bool, argument, field, "True or False")


def path(argument: object, field: str) -> Path | None:
    """The path of a file; None stays None."""
    if argument is None:
        return None
    if not isinstance(argument, str | PathLike):
        raise wrong(argument, field, "the path of a file")
    return Path(argument)


def a(kind: type[T], argument: object, field: str, expected: str) -> T:
    """An object of this type."""
    if not isinstance(argument, kind):
        raise wrong(argument, field, expected)
    return argument


def callback(argument: T, field: str) -> T:
    """A function, or None."""
    if argument is not None and not callable(argument):
        raise wrong(argument, field, "a function")
    return argument


def instant(argument: object, field: str) -> int | None:
    """Microseconds since 1970 of an aware ``datetime`` or of such a number; None stays None."""
    return cast("int | None", check_cell(argument, ValueType.TIMESTAMP, field=field))


def positions(argument: object, field: str) -> list[tuple[str, int, int]]:
    """Triples of source, partition and next offset."""
    return [
        (
            text(source, f"{where}.source"),
            whole(partition, f"{where}.partition"),
            whole(offset, f"{where}.next_offset", most=INT64_MAX),
        )
        for where, (source, partition, offset) in _triples(argument, field, "(source, partition, next offset)")
    ]


def places(argument: object, field: str) -> list[tuple[int, int, int]]:
    """Triples of epoch, partition and offset."""
    return [
        (
            whole(epoch, f"{where}.epoch", least=1, most=INT64_MAX),
            whole(partition, f"{where}.partition"),
            whole(offset, f"{where}.offset", most=INT64_MAX),
        )
        for where, (epoch, partition, offset) in _triples(argument, field, "(epoch, partition, offset)")
    ]


def one_of(*fields: str) -> InvalidArgumentError:
    """What is said when not exactly one of these arguments is given."""
    says = f"give one of {' and '.join(fields)}"
    return InvalidArgumentError(Violation(field, says, "ONE_OF") for field in fields)


def columns(argument: object, field: str, *, lists: bool = False) -> dict[str, value_pb2.ValueColumn]:
    """Columns of values by name; a single value is a column of one. With ``lists`` a value may be a list."""
    if not isinstance(argument, Mapping):
        raise wrong(argument, field, "a mapping of names to values")
    return {
        text(name, f"a name in {field}"): column_to_proto(_cells(column, f"{field}[{name!r}]"), field=name, lists=lists)
        for name, column in argument.items()
    }


def definitions(argument: Project | Iterable[Definition]) -> Iterator[definition_pb2.Definition]:
    """Definitions as messages. Raises what the project's own faults are, too."""
    own: Iterable[object] = (
        argument.definitions()
        if isinstance(argument, Project)
        else _many(argument, "definitions", "a Project or a list of Definition")
    )
    for place, item in enumerate(own):
        where = f"definitions[{place}]"
        definition = a(Definition, item, where, "a Definition")
        try:
            yield definition_to_proto(definition)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InvalidArgumentError([Violation(where, f"is no definition: {error}", "MALFORMED")]) from error


def kind(argument: object) -> Kind:
    """A kind of definition, or its name. Raises InvalidArgumentError."""
    return Kind(word(argument, "kind", tuple(Kind)))


def revision(argument: object, field: str) -> int:
    """The revision of a plan."""
    return whole(a(Plan, argument, field, "a Plan").revision, f"{field}.revision", most=INT64_MAX)


def word(argument: object, field: str, known: Collection[str]) -> str:
    """One of the known words. Raises InvalidArgumentError."""
    if not isinstance(argument, str) or argument not in known:
        says = f"must be one of {', '.join(known)}, got {describe(argument)}"
        raise InvalidArgumentError([Violation(field, says, "UNKNOWN")])
    return argument


def wrong(argument: object, field: str, expected: str) -> WrongTypeError:
    """What is said of an argument that is not what is expected."""
    return WrongTypeError(field=field, expected=expected, got=describe(argument))


def _cell_or_none(argument: object, expected: ValueType) -> Any:
    try:
        return check_cell(argument, expected, field="")
    except WrongTypeError:
        return None


def _many(argument: object, field: str, expected: str) -> Iterable[object]:
    if isinstance(argument, str | bytes | bytearray | memoryview | Mapping | type) or not isinstance(
        argument, Iterable
    ):
        raise wrong(argument, field, expected)
    return argument


def _ordered(argument: object, field: str, expected: str) -> Iterable[object]:
    if isinstance(argument, set | frozenset):
        raise wrong(argument, field, f"{expected} in an order")
    return _many(argument, field, expected)


def _triples(argument: object, field: str, expected: str) -> Iterator[tuple[str, list[object]]]:
    """Each three parts with where they stand, e.g. ``wait_for[0]``."""
    for place, item in enumerate(_ordered(argument, field, f"a list of {expected}")):
        where = f"{field}[{place}]"
        parts = list(_ordered(item, where, expected))
        if len(parts) != 3:
            raise wrong(item, where, expected)
        yield where, parts


def _cells(column: object, field: str) -> Iterable[object]:
    """The cells of a column; arrays of other libraries give Python values."""
    for method in ("to_pylist", "tolist"):
        give: Callable[[], object] | None = getattr(column, method, None)
        if callable(give) and not isinstance(column, type):
            column = give()
            break
    if isinstance(column, str | bytes | dt.datetime) or not isinstance(column, Iterable):
        return [column]
    return _ordered(column, field, "a value or a list of values")
