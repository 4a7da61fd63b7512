"""How a setting is declared: its default, what it is, and what it may be."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Any, Final

PREFIX: Final = "SKEWLESS_"


class Secret:
    """A text that is not shown."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; never log it."""
        return self._text

    def __repr__(self) -> str:
        return "'***'"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def setting(
    default: Any = dataclasses.MISSING,
    doc: str = "",
    *,
    env: str | None = None,
    check: Callable[[Any], str | None] | None = None,
) -> Any:
    """A field of settings.

    default: its value when it is not set; without one it must be.
    doc: what it is, with its unit.
    env: the variable's name if it is not the field's name in capitals behind ``SKEWLESS_``.
    check: gives what is wrong with a value, or None.
    """
    return dataclasses.field(default=default, metadata={"doc": doc, "env": env, "check": check})


def bare_type(hint: Any) -> Any:
    """The type of an optional setting, without None; of another setting its type."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (hint,) = (option for option in typing.get_args(hint) if option is not types.NoneType)
    return hint


def variable(field: dataclasses.Field[Any]) -> str:
    """The environment variable of a field."""
    return field.metadata.get("env") or PREFIX + field.name.upper()


@dataclasses.dataclass(frozen=True)
class Range:
    """A check that a number is not below ``least`` and not above ``most``; None: there is no most."""

    least: float
    most: float | None = None

    def __call__(self, value: float) -> str | None:
        if self.most is None:
            return None if value >= self.least else f"must be at least {self.least}"
        return None if self.least <= value <= self.most else f"must be from {self.least} to {self.most}"


@dataclasses.dataclass(frozen=True)
class OneOf:
    """A check that a text is one of ``words``, which are in capitals; it need not be."""

    words: tuple[str, ...]

    def __call__(self, value: str) -> str | None:
        return None if value.upper() in self.words else f"must be one of {', '.join(self.words)}"


def at_least(least: float) -> Range:
    """A check that a number is not below ``least``."""
    return Range(least)


def between(least: float, most: float) -> Range:
    """A check that a number is not below ``least`` and not above ``most``."""
    return Range(least, most)


def one_of(*words: str) -> OneOf:
    """A check that a text is one of ``words``, in capitals or not."""
    return OneOf(words)
