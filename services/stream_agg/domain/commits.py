"""Which offset may be committed: the greatest noted one below which everything is durable and logged."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

N = TypeVar("N")


class Trail(Generic[N]):
    """The positions of one log partition that states were written at, each with what was true there.

    A note belongs to exactly one offset: one from further on would make the records between look like
    repetitions. So only such offsets are ever committed.
    """

    def __init__(self) -> None:
        self._steps: deque[tuple[int, N]] = deque()

    def add(self, next_offset: int, note: N) -> None:
        """States were written with everything below ``next_offset``; offsets only grow."""
        self._steps.append((next_offset, note))

    def commit(self, *, durable: int, logged: int) -> tuple[int, N] | None:
        """The greatest position that is not above either bound; None: nothing new. Forgets what is below it."""
        bound = min(durable, logged)
        found: tuple[int, N] | None = None
        while self._steps and self._steps[0][0] <= bound:
            found = self._steps.popleft()
        return found
