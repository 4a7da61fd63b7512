"""Functions that no definition may name; each says in its name why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, wraps

calls = 0


def _counted(function: Callable[[int], int]) -> Callable[[int], int]:
    @wraps(function)
    def counting(x: int) -> int:
        return function(x)

    return counting


def make() -> Callable[[int], int]:
    """Functions within functions."""

    def nested(x: int) -> int:
        return x + 1

    return nested


def make_closure(step: int) -> Callable[[int], int]:
    """A function that keeps something."""

    def closure(x: int) -> int:
        return x + step

    return closure


class Holder:
    """A class around a function."""

    def method(self, x: int) -> int:
        return x


nested = make()
closure = make_closure(2)
bound = Holder().method
part = partial(max, 3)
nameless = lambda x: x  # noqa: E731


@_counted
def decorated(x: int) -> int:
    return x


async def waiting(x: int) -> int:
    return x


def many(x: int) -> Iterator[int]:
    yield x


def mutable(x: int, seen: list[int] = []) -> int:  # noqa: B006
    seen.append(x)
    return len(seen)


def variadic(*x: int) -> int:
    return sum(x)


def late(x: int) -> int:
    import math  # noqa: PLC0415

    return math.isqrt(x)


def counting(x: int) -> int:
    global calls  # noqa: PLW0603
    calls += 1
    return x


def texts(x: str) -> str:
    return x


def stranger(nowhere: int) -> int:
    return nowhere
