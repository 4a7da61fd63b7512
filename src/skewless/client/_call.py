"""A call of a service before it is made, and how a client's method is made of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Unary(Generic[T]):
    """One answer.

    peer: the service. method: of it. read: makes the result of the answer. kept: the result, if nobody need be asked.
    """

    peer: str
    method: str
    request: Any
    timeout_s: float
    read: Callable[[Any], T]
    kept: T | None = None


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """A listing, page by page. timeout_s: for each. read: gives what is on one."""

    peer: str
    method: str
    request: Any
    timeout_s: float
    read: Callable[[Any], Iterable[T]]


@dataclass(frozen=True, slots=True)
class Streamed(Generic[T]):
    """Answers that come one after the other.

    request: a message, or an iterator of such. read: makes one result of all answers.
    """

    peer: str
    method: str
    request: Any
    timeout_s: float
    read: Callable[[Iterator[Any]], T]


def told_as(kind: str, build: Callable[..., Any], method: M, *, gives: str = "") -> M:
    """The method with the name, signature and documentation of what builds its call; it gives what the call does.

    kind: of the call, such as ``Unary``. gives: around what the call gives, such as ``Iterator``.
    """
    functools.update_wrapper(method, build)
    signature = inspect.signature(build)
    given = str(signature.return_annotation).removeprefix(f"{kind}[").removesuffix("]")
    shown = f"{gives}[{given}]" if gives else given
    method.__signature__ = signature.replace(return_annotation=shown)  # type: ignore[attr-defined]
    return method
